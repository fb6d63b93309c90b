package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, file string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.UnmarshalStrict(b, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// at is what stands at a path of keys; nil if nothing does.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// The examples of collectors are not run here. What can be seen without: each part of a pipeline is defined and each definition is part
// of one, the ports and names by which the parts find each other agree, and the fields that logs are read by are those that we write.
func TestCollectors(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"otel/collector.yaml", "otel/logs.yaml", "otel/logs-elasticsearch.yaml"} {
		c := parse(t, file)
		used := map[string]bool{}
		pipelines, ok := at(c, "service", "pipelines").(map[string]any)
		if !ok || len(pipelines) == 0 {
			t.Fatalf("%s has no pipeline", file)
		}
		for name, p := range pipelines {
			for _, kind := range []string{"receivers", "processors", "exporters"} {
				parts, _ := at(p, kind).([]any)
				if len(parts) == 0 && kind != "processors" {
					t.Errorf("%s: the pipeline %s has no %s", file, name, kind)
				}
				for _, part := range parts {
					id := fmt.Sprint(part)
					used[kind+" "+id] = true
					if defined, _ := at(c, kind).(map[string]any); defined[id] == nil {
						t.Errorf("%s: the pipeline %s uses %s of the %s, which is not defined", file, name, id, kind)
					}
				}
			}
		}
		for _, kind := range []string{"receivers", "processors", "exporters"} {
			defined, _ := at(c, kind).(map[string]any)
			for id := range defined {
				if !used[kind+" "+id] {
					t.Errorf("%s: %s of the %s is in no pipeline", file, id, kind)
				}
			}
		}
	}
	if batch := at(parse(t, "otel/collector.yaml"), "service", "pipelines", "traces", "processors"); fmt.Sprint(batch) != "[memory_limiter tail_sampling batch]" {
		t.Errorf("processors %v: memory is limited first, traces are chosen whole, and only then cut into batches", batch)
	}
}

// Logs lie in namespace_pod_uid/container; the containers of the charts are named after what they are (api, agent), their pods after the release.
func TestTheLogsOfOurPodsAreRead(t *testing.T) {
	t.Parallel()
	include, _ := at(parse(t, "otel/logs.yaml"), "receivers", "filelog", "include").([]any)
	for _, file := range []string{"brokkr_brokkr-broker-5d4f6-x7v2k_3f0e/broker/0.log", "a_brokkr-broker-api-5d4f6-x7v2k_3f0e/api/0.log", "b_brokkr-agent-79c8d-9qlmz_77aa/agent/3.log"} {
		read := false
		for _, pattern := range include {
			ok, err := filepath.Match(fmt.Sprint(pattern), "/var/log/pods/"+file)
			if err != nil {
				t.Fatal(err)
			}
			read = read || ok
		}
		if !read {
			t.Errorf("%v does not read %s", include, file)
		}
	}
}

// The collector of the tests has no exporter for Elasticsearch. It runs the receiver that both have; of the exporter's settings there are
// these, as of version 0.130 of the contributed collector.
func TestElasticsearchGetsWhatLokiGets(t *testing.T) {
	t.Parallel()
	loki, elastic := parse(t, "otel/logs.yaml"), parse(t, "otel/logs-elasticsearch.yaml")
	if diff := cmp.Diff(at(loki, "receivers"), at(elastic, "receivers")); diff != "" {
		t.Errorf("lines are read in another way (-Loki +Elasticsearch):\n%s", diff)
	}
	settings, _ := at(elastic, "exporters", "elasticsearch").(map[string]any)
	for key, value := range settings {
		switch key {
		case "endpoints", "logs_index", "api_key", "user", "password", "tls", "retry", "sending_queue", "timeout", "compression":
		case "mapping":
			if mode := fmt.Sprint(at(value, "mode")); !slices.Contains([]string{"none", "ecs", "otel", "raw", "bodymap"}, mode) {
				t.Errorf("no mode of mapping is %q", mode)
			}
		default:
			t.Errorf("the exporter has no setting %s", key)
		}
	}
	if key := fmt.Sprint(settings["api_key"]); !strings.HasPrefix(key, "${env:") {
		t.Errorf("the key is in the file: %q", key)
	}
}

// Jaeger stands where Tempo does: the collector is told its name and the port of OTLP, which Jaeger listens at.
func TestJaegerInPlaceOfTempo(t *testing.T) {
	t.Parallel()
	over, under := parse(t, "otel/compose-jaeger.yaml"), parse(t, "otel/compose.yaml")
	command := fmt.Sprint(at(over, "services", "collector", "command"))
	if !strings.Contains(command, "--set=exporters.otlp.endpoint=jaeger:4317") || at(over, "services", "jaeger", "image") == nil {
		t.Errorf("traces go elsewhere: %s", command)
	}
	if config, _, _ := strings.Cut(strings.Trim(fmt.Sprint(at(under, "services", "collector", "command")), "[]"), " "); !strings.Contains(command, config) {
		t.Errorf("the collector has another configuration than in compose.yaml: %s, %s", command, config)
	}
	if !regexp.MustCompile(`^jaegertracing/jaeger:2\.[0-9.]+$`).MatchString(fmt.Sprint(at(over, "services", "jaeger", "image"))) {
		t.Error("the image has no version")
	}
}

func TestTheExamplesFindEachOther(t *testing.T) {
	t.Parallel()
	compose := parse(t, "otel/compose.yaml")
	services, _ := at(compose, "services").(map[string]any)
	for name, s := range services {
		image := fmt.Sprint(at(s, "image"))
		if !regexp.MustCompile(`^[a-z0-9/-]+:v?[0-9][0-9.]*$`).MatchString(image) {
			t.Errorf("%s: the image %s has no version", name, image)
		}
		volumes, _ := at(s, "volumes").([]any)
		for _, v := range volumes {
			from, _, _ := strings.Cut(fmt.Sprint(v), ":")
			if _, err := os.Stat(filepath.Join("otel", from)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	reaches := func(what, url, service string, port string) {
		t.Helper()
		if services[service] == nil || !strings.HasSuffix(strings.TrimPrefix(url, "http://"), service+":"+port) {
			t.Errorf("%s is looked for at %q, want %s:%s", what, url, service, port)
		}
	}
	tempo := parse(t, "otel/tempo.yaml")
	_, grpc, _ := strings.Cut(fmt.Sprint(at(tempo, "distributor", "receivers", "otlp", "protocols", "grpc", "endpoint")), ":")
	reaches("the trace store", fmt.Sprint(at(parse(t, "otel/collector.yaml"), "exporters", "otlp", "endpoint")), "tempo", grpc)
	sources, _ := at(parse(t, "otel/grafana-datasources.yaml"), "datasources").([]any)
	if len(sources) != 2 {
		t.Fatalf("%d data sources", len(sources))
	}
	listen := regexp.MustCompile(`--web\.listen-address=:(\d+)`).FindStringSubmatch(fmt.Sprint(at(compose, "services", "prometheus", "command")))
	if listen == nil {
		t.Fatal("Prometheus does not say where it listens")
	}
	reaches("Prometheus", fmt.Sprint(at(sources[0], "url")), "prometheus", listen[1])
	reaches("Tempo", fmt.Sprint(at(sources[1], "url")), "tempo", fmt.Sprint(at(tempo, "server", "http_listen_port")))
	b, err := os.ReadFile("grafana/brokkr-fleet.json")
	if err != nil || !strings.Contains(string(b), "${datasource}") || at(sources[0], "isDefault") != true {
		t.Errorf("the dashboards ask the data source that is chosen, which has to be Prometheus unless one chooses (%v)", err)
	}
	providers, _ := at(parse(t, "otel/grafana-dashboards.yaml"), "providers").([]any)
	if path := fmt.Sprint(at(providers[0], "options", "path")); !strings.Contains(fmt.Sprint(at(compose, "services", "grafana", "volumes")), "../grafana:"+path+":") {
		t.Errorf("the dashboards are not mounted at %s", path)
	}
}
