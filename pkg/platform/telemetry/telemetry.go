// Package telemetry sets up logs, metrics and traces of a process: slog JSON with trace ids, a Prometheus
// registry, and an OpenTelemetry tracer whose OTLP export is off unless an endpoint is configured.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config of a process's telemetry.
type Config struct {
	Service      string
	Version      string
	LogLevel     string  // debug | info | warn | error
	LogFormat    string  // json (default) | text
	OTLPEndpoint string  // e.g. http://collector:4318; empty: traces are made and passed on, not exported
	SampleRatio  float64 // of traces that begin here; 1 if zero
	Output       io.Writer
	// Exporter overrides the OTLP exporter, for tests.
	Exporter sdktrace.SpanExporter
}

// Telemetry is what the parts of a process share.
type Telemetry struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	Traces   *sdktrace.TracerProvider
	level    *slog.LevelVar
}

// New sets up telemetry. It sets the process-wide propagator and tracer provider, since libraries look there.
func New(ctx context.Context, c Config) (*Telemetry, error) {
	level := &slog.LevelVar{}
	if c.LogLevel != "" {
		parsed, err := parseLevel(c.LogLevel)
		if err != nil {
			return nil, err
		}
		level.Set(parsed)
	}
	opts := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(c.Output, opts)
	if c.LogFormat == "text" {
		handler = slog.NewTextHandler(c.Output, opts)
	}
	log := slog.New(traced{handler}).With("service", c.Service)

	ratio := c.SampleRatio
	if ratio == 0 {
		ratio = 1
	}
	res := resource.NewSchemaless(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version))
	to := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)))}
	switch {
	case c.Exporter != nil:
		to = append(to, sdktrace.WithSyncer(c.Exporter))
	case c.OTLPEndpoint != "":
		if !strings.Contains(c.OTLPEndpoint, "://") {
			return nil, fmt.Errorf("OTLP endpoint %q is not a URL such as http://collector:4318", c.OTLPEndpoint)
		}
		exp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.OTLPEndpoint, "/")+"/v1/traces"))
		if err != nil {
			return nil, fmt.Errorf("set up OTLP export to %s: %w", c.OTLPEndpoint, err)
		}
		to = append(to, sdktrace.WithBatcher(exp))
	}
	traces := sdktrace.NewTracerProvider(to...)
	otel.SetTracerProvider(traces)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.WarnContext(ctx, "telemetry", "error", err.Error()) }))

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_build_info", Help: "Always 1; the version is in the label.",
		ConstLabels: prometheus.Labels{"service": c.Service, "version": c.Version}})
	build.Set(1)
	reg.MustRegister(build)
	return &Telemetry{Log: log, Registry: reg, Traces: traces, level: level}, nil
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("log level %q is not debug, info, warn or error", text)
	}
	return level, nil
}

// LogLevel returns what makes the log begin at another level (debug, info, warn, error) from then on.
func (t *Telemetry) LogLevel(text string) (set func(), err error) {
	level, err := parseLevel(text)
	if err != nil {
		return nil, err
	}
	return func() { t.level.Set(level) }, nil
}

// Tracer returns a tracer of the process.
func (t *Telemetry) Tracer(name string) trace.Tracer { return t.Traces.Tracer(name) }

// Shutdown flushes and ends the traces.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.Traces.Shutdown(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// CountBy registers a counter of a service with one label and returns what adds one to it; safe for concurrent use. The
// values are shown as 0 from the start, so that a rate is right at its first event. It panics if the service has it already.
func (t *Telemetry) CountBy(service, name, help, label string, values ...string) func(value string) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"service": service}}, []string{label})
	t.Registry.MustRegister(c)
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return func(value string) { c.WithLabelValues(value).Inc() }
}

// Observe adds v to o, with the trace of ctx as an exemplar if it is sampled.
func Observe(ctx context.Context, o prometheus.Observer, v float64) {
	sc := trace.SpanContextFromContext(ctx)
	if eo, ok := o.(prometheus.ExemplarObserver); ok && sc.IsSampled() {
		eo.ObserveWithExemplar(v, prometheus.Labels{"trace_id": sc.TraceID().String()})
		return
	}
	o.Observe(v)
}

// Metrics serves the registry.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Admin is the handler of an admin port: /metrics and, with profiles, /debug/pprof. It asks nobody who they are; profiles show
// command lines and what the process is at, and cost it time: they are for those who work on this machine, or are let in.
func (t *Telemetry) Admin(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", t.Metrics())
	if !profiles {
		return mux
	}
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// traced adds the ids of the current trace to each record.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(a []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(a)} }
func (h traced) WithGroup(n string) slog.Handler      { return traced{h.Handler.WithGroup(n)} }

// Remote returns ctx as a child of the W3C traceparent, or ctx if that is empty or malformed.
func Remote(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// TraceParent returns the W3C traceparent of ctx, empty without a trace.
func TraceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}
