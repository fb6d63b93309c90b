package rpc

import (
	"context"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
)

// Trace makes a span per operation.
func Trace(t trace.Tracer) Middleware {
	return func(i Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, req any) (any, error) {
				ctx, span := t.Start(ctx, i.Op, trace.WithAttributes(attribute.String("brokkr.operation", i.Op)))
				defer span.End()
				res, err := next(ctx, req)
				if err != nil {
					span.SetAttributes(attribute.String("brokkr.fault", fault.KindOf(err).String()))
					if fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Unavailable {
						span.SetStatus(codes.Error, fault.CodeOf(err))
					}
				}
				return res, err
			}
		}
	}
}

// Measure counts operations and their duration by operation and outcome (ok or the fault's kind), with the trace
// as an exemplar. It registers its metrics with reg, so it is made once a registry.
func Measure(reg prometheus.Registerer, service string) Middleware {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "brokkr_operation_duration_seconds", Help: "Duration of API operations by operation and outcome.",
		ConstLabels: prometheus.Labels{"service": service},
		Buckets:     prometheus.ExponentialBuckets(0.001, 2, 16),
	}, []string{"operation", "outcome"})
	reg.MustRegister(seconds)
	return func(i Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, req any) (any, error) {
				start := time.Now()
				res, err := next(ctx, req)
				outcome := "ok"
				if err != nil {
					outcome = fault.KindOf(err).String()
				}
				telemetry.Observe(ctx, seconds.WithLabelValues(i.Op, outcome), time.Since(start).Seconds())
				return res, err
			}
		}
	}
}
