package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// field is what stands at a path of keys and list positions.
func field(t *testing.T, v any, path ...any) map[string]any {
	t.Helper()
	for _, k := range path {
		switch k := k.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if len(l) <= k {
				t.Fatalf("%v is not in the configuration", path)
			}
			v = l[k]
		}
	}
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is not in the configuration", path)
	}
	return m
}

// throughCollector starts a collector with deploy/otel/collector.yaml before a store of traces, on other ports, deciding sooner, and keeping this
// share of ordinary traces. It returns where it takes traces.
func throughCollector(t *testing.T, store *world.Collector, share float64) string {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.FreePort(t)))
	p := world.StartOTelCollector(t, "collector.yaml", func(config map[string]any) {
		field(t, config, "receivers", "otlp", "protocols", "http")["endpoint"] = addr
		field(t, config, "exporters", "otlp")["endpoint"] = store.GRPC(t)
		sampling := field(t, config, "processors", "tail_sampling")
		sampling["decision_wait"] = "1s"
		field(t, sampling, "policies", 2, "probabilistic")["sampling_percentage"] = share
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the collector:\n%s", p.Logs())
		}
	})
	return "http://" + addr
}

// A publish is one trace of all services behind a real collector with the configuration that we hand out; and what the services log leads to
// it: the collector that reads their logs finds time, severity and the trace in each line that has one.
func TestARealCollectorHasTraceAndLogs(t *testing.T) {
	store := world.NewCollector(t)
	w := world.New(t, programs, world.Options{Traces: throughCollector(t, store, 100)})
	s := w.Tenant.NewStack(t, "shop", world.All)
	// What is published before the schedulers have shared the stacks is decided when they read everything, in a trace of its own.
	w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, w.App("shop", "one", 1).Bundle()), w.Agents...)
	o := w.Tenant.Publish(t, s.ID, w.App("shop", "two", 1).Bundle())
	w.Tenant.WaitHealthy(t, o, w.Agents...)
	wantTrace(t, store, w, o)

	pods := t.TempDir()
	logs := world.NewLogStore(t)
	world.StartOTelCollector(t, "logs.yaml", func(config map[string]any) {
		files := field(t, config, "receivers", "filelog")
		include, _ := files["include"].([]any)
		pattern, ok := strings.CutPrefix(fmt.Sprint(include[0]), "/var/log/pods/")
		if !ok {
			t.Fatalf("it reads %v", include)
		}
		files["include"], files["start_at"] = []string{filepath.Join(pods, pattern)}, "beginning"
		field(t, config, "exporters", "otlphttp/loki")["endpoint"] = logs.URL + "/otlp"
	})
	lines := 0
	for pod, service := range map[string]*world.Service{
		"brokkr_brokkr-broker-api-5d4f6-x7v2k_3f0e/api": w.API, "brokkr_brokkr-agent-79c8d-9qlmz_77aa/agent": w.Agents[0].Service,
	} {
		var file strings.Builder
		for line := range strings.SplitSeq(service.Logs(), "\n") {
			if strings.HasPrefix(line, "{") { // the first start prints a key, not as JSON
				fmt.Fprintf(&file, "%s stderr F %s\n", time.Now().UTC().Format(time.RFC3339Nano), line)
				lines++
			}
		}
		dir := filepath.Join(pods, filepath.FromSlash(pod))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "0.log"), []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	world.Eventually(t, world.Patience, "the logs are there", func() error {
		if n := len(logs.Records()); n < lines {
			return fmt.Errorf("%d lines of %d", n, lines)
		}
		return nil
	})
	of := 0
	for _, r := range logs.Records() {
		if r.Time == 0 || r.Severity == "" {
			t.Errorf("a line without time or severity: %+v", r)
		}
		if has := strings.Contains(r.Body, `"trace_id"`); has != (r.TraceID != "") || has != (r.SpanID != "") {
			t.Errorf("a line and its trace: %+v", r)
		}
		if r.TraceID == o.TraceID {
			of++
		}
	}
	if of == 0 {
		t.Error("no line of the publish leads to its trace")
	}
}

// Where hardly an ordinary trace is kept, those with an error and the slow ones are.
func TestTheCollectorKeepsErrorsAndWhatIsSlow(t *testing.T) {
	store := world.NewCollector(t)
	url := throughCollector(t, store, 0)
	send := func(name string, took time.Duration, code trace.Status_StatusCode) string {
		id := []byte(fmt.Sprintf("%-16s", name))
		now := time.Now()
		body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{
			TraceId: id, SpanId: id[:8], Name: name, StartTimeUnixNano: uint64(now.Add(-took).UnixNano()), EndTimeUnixNano: uint64(now.UnixNano()), Status: &trace.Status{Code: code},
		}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", name, res.Status)
		}
		return hex.EncodeToString(id)
	}
	ordinary := send("ordinary", 10*time.Millisecond, trace.Status_STATUS_CODE_OK)
	failed, slow := send("failed", 10*time.Millisecond, trace.Status_STATUS_CODE_ERROR), send("slow", 1500*time.Millisecond, trace.Status_STATUS_CODE_OK)
	world.Eventually(t, world.Patience, "the traces that matter", func() error {
		for _, id := range []string{failed, slow} {
			if _, spans := store.Trace(id); len(spans) != 1 {
				return fmt.Errorf("%d spans of %s", len(spans), id)
			}
		}
		return nil
	})
	if _, spans := store.Trace(ordinary); len(spans) > 0 {
		t.Errorf("an ordinary trace is kept: %v", spans)
	}
}
