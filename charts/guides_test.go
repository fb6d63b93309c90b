package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/internal/guides"
)

// values of a chart of this folder, those of its parts below their names.
func chartValues(t *testing.T, dir string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	parts, _ := filepath.Glob(filepath.Join(dir, "charts", "*", "values.yaml"))
	for _, p := range parts {
		name, values := filepath.Base(filepath.Dir(p)), chartValues(t, filepath.Dir(p))
		delete(values, "global")
		own, _ := out[name].(map[string]any)
		for k, v := range own {
			values[k] = v
		}
		out[name] = values
	}
	return out
}

// known says whether a value at path can be set: it is there, or below something that holds what one likes.
func known(values map[string]any, path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		v, ok := values[regexp.MustCompile(`\[\d+\]$`).ReplaceAllString(part, "")]
		if !ok {
			return false
		}
		m, isMap := v.(map[string]any)
		if !isMap || len(m) == 0 {
			return true
		}
		values = m
	}
	return true
}

// Every line of Helm in the guides names charts, files and values that there are.
func TestGuides(t *testing.T) {
	t.Parallel()
	cmds, err := guides.Commands("..", "helm")
	if err != nil || len(cmds) < 8 {
		t.Fatalf("got %d commands, %v", len(cmds), err)
	}
	published := regexp.MustCompile(`^oci://[^/]+(/[^/]+)*/charts/(brokkr-[a-z]+)$|^(?:\./)?(brokkr-[a-z]+)-[^/]*\.tgz$`)
	for _, c := range cmds {
		var values map[string]any
		var sets []string
		for n, a := range c.Args {
			dir := filepath.Join("..", filepath.FromSlash(a))
			if m := published.FindStringSubmatch(a); m != nil {
				dir = m[2] + m[3]
			}
			if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err == nil {
				values = chartValues(t, dir)
			} else if strings.Contains(a, "charts/") && n > 0 && c.Args[n-1] != "-f" && !strings.HasPrefix(a, "oci://") {
				t.Errorf("%s: `%s`: no chart %s", c.Where, c, a)
			}
			if n == 0 {
				continue
			}
			switch c.Args[n-1] {
			case "--set", "--set-string":
				key, _, _ := strings.Cut(a, "=")
				sets = append(sets, key)
			case "-f", "--values":
				if _, err := os.Stat(dir); err != nil && strings.Contains(a, "charts/") {
					t.Errorf("%s: `%s`: no file %s", c.Where, c, a)
				}
			}
		}
		for _, key := range sets {
			if values == nil || !known(values, key) {
				t.Errorf("%s: `%s`: no value %s", c.Where, c, key)
			}
		}
	}
}

// The example for Datadog names a container of the chart and the port at which it tells its metrics, and lets the reader in.
func TestTheExampleForDatadogFits(t *testing.T) {
	t.Parallel()
	blocks, _, err := guides.Read("..", "docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	for _, b := range blocks {
		if strings.Contains(b.Text, "ad.datadoghq.com/") {
			if err := os.WriteFile(file, []byte(b.Text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := theCluster(t, nil)
	for _, u := range (install{broker, broker, append(set("postgresql.enabled=true"), "-f", file)}).objects(t) {
		u.SetNamespace("brokkr")
		c.add(t, u)
		note, found, _ := unstructured.NestedString(u.Object, "spec", "template", "metadata", "annotations", "ad.datadoghq.com/broker.checks")
		if u.GetKind() != "Deployment" || u.GetName() != broker {
			continue
		}
		var check struct {
			OpenMetrics struct {
				Instances []struct {
					Endpoint string `json:"openmetrics_endpoint"`
				} `json:"instances"`
			} `json:"openmetrics"`
		}
		if err := json.Unmarshal([]byte(note), &check); !found || err != nil || len(check.OpenMetrics.Instances) != 1 {
			t.Fatalf("the pods carry %q: %v", note, err)
		}
		p := c.pods[len(c.pods)-1]
		if p.spec.Containers[0].Name != "broker" || check.OpenMetrics.Instances[0].Endpoint != fmt.Sprintf("http://%%%%host%%%%:%d/metrics", p.ports["metrics"]) {
			t.Errorf("the container %s has the ports %v; the check is %+v", p.spec.Containers[0].Name, p.ports, check)
		}
	}
	c.namespaces["datadog"] = labels.Set{"kubernetes.io/metadata.name": "datadog"}
	reader := peer{name: "datadog", namespace: "datadog", labels: labels.Set{"app": "datadog"}}
	for _, p := range c.pods {
		if p.name == "brokkr/"+broker && !c.lets(t, reader, p.peer, p.ports["metrics"], corev1.ProtocolTCP) {
			t.Errorf("the reader is shut out of %s", p.name)
		}
	}
}

// What the guides call a value is one of a chart, if it is no option of a program.
func TestGuidesNameValues(t *testing.T) {
	t.Parallel()
	var all []map[string]any
	dirs, _ := filepath.Glob("brokkr-*")
	more, _ := filepath.Glob("brokkr-*/charts/*")
	for _, dir := range append(dirs, more...) {
		all = append(all, chartValues(t, dir))
	}
	options, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`((?:global|postgresql|redis|rbac|join|auth|broker|networkPolicy|microservices|autoscaling|ingress|httpRoute|serviceAccount|persistence|monitoring)(?:\\.[A-Za-z_]+)+)`")
	seen := 0
	for _, file := range []string{"install.md", "quickstart.md", "multi-cluster.md", "air-gapped.md", "gitops.md", "external-broker.md", "multi-arch.md", "troubleshooting.md"} {
		b, err := os.ReadFile("../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
	values:
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			seen++
			for _, values := range all {
				if known(values, m[1]) {
					continue values
				}
			}
			if !strings.Contains(string(options), m[0]) {
				t.Errorf("docs/%s: no chart has the value %s", file, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d values were looked at", seen)
	}
}
