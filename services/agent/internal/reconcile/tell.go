package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

// Urgency of a report.
const (
	now   = true
	later = false // it may wait a moment for something better
)

// tell reports on the current assignment. A process that cannot read the inventory of what it is to remove does not know which object
// that is: the broker would refuse a report without one, and with it everything else that is told. It is in the log.
func (w *worker) tell(p delivery.Phase, h delivery.Health, message string, urgent bool) {
	s := w.current
	if s.DeploymentObjectID == "" {
		w.log.Warn("the broker is not told of a stack of which it is not known what is here", "phase", string(p), "message", message)
		return
	}
	w.e.c.Reports.Applied(wire.Applied{
		StackID: w.stack, DeploymentObjectID: s.DeploymentObjectID, SequenceID: s.SequenceID,
		Phase: string(p), Health: string(h), Message: health.Shorten(message, maxText), ObservedAt: time.Now().UTC(),
	}, urgent)
}

// tellHealth reports how a stack is that is applied, unless there is a problem, which is told already.
func (w *worker) tellHealth() {
	if w.problem != "" || !w.isCurrent() {
		return
	}
	h, message := w.summary()
	if len(w.notes.contested) > 0 {
		h = health.Worse(h, delivery.HealthDegraded)
	}
	if text := w.notes.String(); text != "" {
		if message != "" {
			message += "; "
		}
		message += text
	}
	if h == delivery.HealthHealthy && !w.wasHealthy {
		w.wasHealthy = true
		w.traceHealthy()
	}
	w.tell(delivery.PhaseApplied, h, message, now)
}

func (w *worker) summary() (delivery.Health, string) {
	var bad []health.Object
	for _, s := range w.seen {
		if !s.isHealthy() {
			bad = append(bad, s.health)
		}
	}
	return health.Summary(bad)
}

// traceHealthy ends the trace of the change: from taking the assignment until everything was healthy.
func (w *worker) traceHealthy() {
	if w.current.Traceparent == "" {
		return
	}
	ctx := telemetry.Remote(context.Background(), w.current.Traceparent)
	_, span := w.e.c.Tracer.Start(ctx, "agent.healthy", trace.WithTimestamp(w.began), w.about(w.current))
	span.End()
}

// about says of a span what it is about, and which of a trace's many agents made it.
func (w *worker) about(s wire.Stack) trace.SpanStartOption {
	return trace.WithAttributes(attribute.String("brokkr.agent", w.e.c.Agent),
		attribute.String("brokkr.stack", w.stack), attribute.Int64("brokkr.sequence", s.SequenceID))
}

// startPass begins the span and the measures of a pass. A new assignment goes on with the trace of the change.
func (w *worker) startPass(ctx context.Context, kind string, s wire.Stack) (context.Context, func(error)) {
	began := time.Now()
	if kind == passApply && s.Traceparent != "" {
		ctx = telemetry.Remote(ctx, s.Traceparent)
	}
	ctx, span := w.e.c.Tracer.Start(ctx, "agent."+kind, w.about(s))
	return ctx, func(err error) {
		result := outcome(ctx, err)
		if result == "failed" {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
		w.e.c.Metrics.passed(kind, result, began)
	}
}

func outcome(ctx context.Context, err error) string {
	var wait *waiting
	switch {
	case err == nil:
		return "ok"
	case ctx.Err() != nil:
		return "superseded"
	case errors.As(err, &wait):
		return "waiting"
	default:
		return "failed"
	}
}

// failed reports a pass that failed, and when the next follows.
func (w *worker) failed(ctx context.Context, phase delivery.Phase, err error, next time.Duration) {
	text := err.Error()
	if as := w.current.Policy.ServiceAccount; as != "" && fault.Is(err, fault.Forbidden) {
		text += ", as service account " + as
	}
	if text != w.problem {
		w.problem = text
		if f, ok := fault.As(err); ok && f.Code == codePanic {
			w.log.ErrorContext(ctx, "panic", "stack_trace", f.Cause.Error())
		}
		w.log.WarnContext(ctx, "pass failed", "phase", string(phase), "error", text, "code", fault.CodeOf(err), "attempt", w.attempts, "next_try", next.Round(time.Millisecond).String())
	}
	message := fmt.Sprintf("%s (attempt %d, next try in %s)", health.Shorten(text, maxText-100), w.attempts, next.Round(time.Second))
	switch {
	case phase == delivery.PhaseRemoving:
		w.tell(delivery.PhaseRemoving, delivery.HealthUnknown, message, now)
	case w.isCurrent() && w.away:
		w.tell(delivery.PhaseApplied, delivery.HealthUnknown, message, now)
	default:
		w.setState(stateFailing)
		w.tell(delivery.PhaseFailed, delivery.HealthDegraded, message, now)
	}
}
