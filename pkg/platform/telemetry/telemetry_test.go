package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func setup(t *testing.T, c telemetry.Config) (*telemetry.Telemetry, *bytes.Buffer, *tracetest.InMemoryExporter) {
	t.Helper()
	var out bytes.Buffer
	spans := tracetest.NewInMemoryExporter()
	c.Service, c.Version, c.Output, c.Exporter = "svc", "1.2.3", &out, spans
	tel, err := telemetry.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return tel, &out, spans
}

func TestLogsCarryServiceAndTrace(t *testing.T) {
	t.Parallel()
	tel, out, _ := setup(t, telemetry.Config{LogLevel: "warn"})
	ctx := telemetry.Remote(t.Context(), parent)
	tel.Log.InfoContext(ctx, "too quiet")
	tel.Log.With("a", 1).WithGroup("g").WarnContext(ctx, "loud", "b", 2)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("want exactly one line of JSON, got %q: %v", out, err)
	}
	group, _ := line["g"].(map[string]any)
	if line["service"] != "svc" || line["msg"] != "loud" || line["a"] != 1.0 || group["b"] != 2.0 || !strings.Contains(out.String(), "4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("got %v, want service, attributes and trace id", line)
	}
}

// Metrics lead to traces: those that are kept, in the format that can say so.
func TestObservationsOfSampledTracesAreExemplars(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parent string
		want   bool
	}{
		"sampled":     {parent, true},
		"not sampled": {strings.TrimSuffix(parent, "1") + "0", false},
		"no trace":    {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel, _, _ := setup(t, telemetry.Config{})
			seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1}})
			tel.Registry.MustRegister(seconds)
			telemetry.Observe(telemetry.Remote(t.Context(), c.parent), seconds, 0.5)
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
			req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
			res := httptest.NewRecorder()
			tel.Metrics().ServeHTTP(res, req)
			text := res.Body.String()
			if !strings.Contains(text, "took_seconds_count 1\n") {
				t.Errorf("the observation is not counted:\n%s", text)
			}
			if has := strings.Contains(text, `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.5`); has != c.want {
				t.Errorf("an exemplar: %v, want %v:\n%s", has, c.want, text)
			}
		})
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]telemetry.Config{
		`log level "loud" is not debug, info, warn or error`:                        {LogLevel: "loud"},
		`OTLP endpoint "collector:4318" is not a URL such as http://collector:4318`: {OTLPEndpoint: "collector:4318"},
	} {
		c.Output = &bytes.Buffer{}
		if _, err := telemetry.New(t.Context(), c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTextLogs(t *testing.T) {
	t.Parallel()
	tel, out, _ := setup(t, telemetry.Config{LogFormat: "text"})
	tel.Log.Info("hello")
	if !strings.Contains(out.String(), "msg=hello") {
		t.Errorf("got %q, want text", out)
	}
}

func TestATraceGoesOnAcrossProcesses(t *testing.T) {
	t.Parallel()
	tel, _, spans := setup(t, telemetry.Config{})
	ctx, span := tel.Tracer("t").Start(telemetry.Remote(context.Background(), parent), "child")
	carried := telemetry.TraceParent(ctx)
	span.End()
	got := spans.GetSpans()
	if len(got) != 1 || got[0].Parent.SpanID().String() != "00f067aa0ba902b7" || carried != "00-4bf92f3577b34da6a3ce929d0e0e4736-"+got[0].SpanContext.SpanID().String()+"-01" {
		t.Errorf("span %+v, carried %q: want a child of %s that is passed on", got, carried, parent)
	}
	for _, none := range []string{"", "nonsense", "00-0-0-00"} {
		if tp := telemetry.TraceParent(telemetry.Remote(context.Background(), none)); tp != "" {
			t.Errorf("%q: got %q, want no trace", none, tp)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestAdminServesMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	tel, _, _ := setup(t, telemetry.Config{})
	for path, want := range map[string]string{
		"/metrics": `brokkr_build_info{service="svc",version="1.2.3"} 1`, "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "telemetry",
	} {
		rec := httptest.NewRecorder()
		tel.Admin(true).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: got %d without %q", path, rec.Code, want)
		}
		rec = httptest.NewRecorder()
		tel.Admin(false).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[path == "/metrics"]; rec.Code != want {
			t.Errorf("%s without profiles: got %d, want %d", path, rec.Code, want)
		}
	}
}

func TestCountersShowAllTheirValues(t *testing.T) {
	t.Parallel()
	tel, _, _ := setup(t, telemetry.Config{})
	count := tel.CountBy("api", "things_total", "Things by colour.", "colour", "red", "blue")
	tel.CountBy("gateway", "things_total", "Things by colour.", "colour", "red")
	count("red")
	count("red")
	rec := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{`things_total{colour="red",service="api"} 2`, `things_total{colour="blue",service="api"} 0`, `things_total{colour="red",service="gateway"} 0`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, rec.Body)
		}
	}
}
