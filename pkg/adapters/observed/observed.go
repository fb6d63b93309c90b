// Package observed decorates the store with one span and one histogram observation per port call, so that no adapter
// and no use case instruments itself.
package observed

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
)

//go:generate go run ./internal/gen ../../ports zz_generated.go

type observer struct {
	tracer  trace.Tracer
	seconds *prometheus.HistogramVec
}

// Store wraps store. The metric brokkr_store_duration_seconds (labels role, method, outcome) is registered with reg.
func Store(store ports.Store, tracer trace.Tracer, reg prometheus.Registerer) ports.Store {
	o := &observer{tracer: tracer, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "brokkr_store_duration_seconds", Help: "Duration of calls to the store by role, method and outcome (ok or the kind of fault).",
		Buckets: prometheus.ExponentialBuckets(0.0002, 2, 16),
	}, []string{"role", "method", "outcome"})}
	reg.MustRegister(o.seconds)
	return observedStore{repositories{o, store}, store}
}

type repositories struct {
	o  *observer
	in ports.Repositories
}

type observedStore struct {
	repositories
	store ports.Store
}

func (s observedStore) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) (err error) {
	ctx, done := s.o.start(ctx, "Store", "Write")
	defer func() { done(err) }()
	return s.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		return fn(ctx, repositories{s.o, tx})
	})
}

func (s observedStore) Ping(ctx context.Context) error { return s.store.Ping(ctx) }

func (s observedStore) Close() error { return s.store.Close() }

// start begins a span only inside a trace: the idle loops of the services are no traces of their own.
func (o *observer) start(ctx context.Context, role, method string) (context.Context, func(error)) {
	begin := time.Now()
	var span trace.Span
	if trace.SpanContextFromContext(ctx).IsSampled() {
		ctx, span = o.tracer.Start(ctx, "store."+role+"."+method, trace.WithSpanKind(trace.SpanKindClient))
	}
	return ctx, func(err error) {
		outcome := "ok"
		if err != nil {
			outcome = fault.KindOf(err).String()
		}
		telemetry.Observe(ctx, o.seconds.WithLabelValues(role, method, outcome), time.Since(begin).Seconds())
		if span == nil {
			return
		}
		if k := fault.KindOf(err); err != nil && (k == fault.Internal || k == fault.Unavailable) {
			span.SetStatus(codes.Error, fault.CodeOf(err))
		}
		span.End()
	}
}
