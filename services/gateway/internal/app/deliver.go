package app

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/target"
)

// traceFor is how old a change may be for its delivery to be part of its trace; a restart is no news of old ones.
const traceFor = 15 * time.Minute

// deliver answers with the whole target state; false if there is no news after all.
func (s *waiting) deliver(ctx context.Context, known delivery.Revision, woken time.Time) (wire.SyncResponse, bool, error) {
	// The credential may have ended while the sync was parked.
	if err := s.reauthenticate(ctx); err != nil {
		return wire.SyncResponse{}, false, err
	}
	has := delivery.Revision(s.req.Revision)
	read := s.gateway.Targets.Newest
	if known >= has && !s.woken {
		read = func(ctx context.Context, _ agent.ID) (target.State, error) {
			return s.gateway.Targets.At(ctx, s.agent, known)
		}
	}
	began := s.gateway.Now()
	state, err := read(ctx, s.agent)
	if err != nil {
		return wire.SyncResponse{}, false, err
	}
	if state.Revision == has && !s.full {
		return wire.SyncResponse{}, false, nil
	}
	ctx, span := s.gateway.Tracer.Start(ctx, "sync", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began),
		trace.WithLinks(links(state, has)...), trace.WithAttributes(
			attribute.String("brokkr.agent", string(s.agent)),
			attribute.Int64("brokkr.revision", int64(state.Revision)),
			attribute.Int64("brokkr.revision_before", int64(has)),
		))
	defer span.End()
	res := s.answer(ctx, state, has, began)
	telemetry.Observe(ctx, s.gateway.Metrics.Delivery, time.Since(woken).Seconds())
	return res, true, nil
}

func (s *waiting) answer(ctx context.Context, state target.State, has delivery.Revision, began time.Time) wire.SyncResponse {
	stacks := make([]wire.Stack, 0, len(state.Wanted))
	res := s.unchanged()
	res.Revision, res.Stacks = int64(state.Revision), &stacks
	for _, w := range state.Wanted {
		switch {
		case w.State == delivery.Removing:
			policy := policyOf(w.Treatment)
			res.Removed = append(res.Removed, wire.Removed{StackID: string(w.Stack), Revision: int64(w.Revision), GeneratorID: string(w.Generator), Policy: &policy})
			if isNews(w, has, began) {
				s.trace(ctx, w, began)
			}
		case w.Marker: // never a manifest: its tombstone is on its way
		default:
			line := wire.Stack{
				StackID: string(w.Stack), StackName: w.StackName, GeneratorID: string(w.Generator), DeploymentObjectID: string(w.Object),
				SequenceID: int64(w.Sequence), Checksum: string(w.Checksum), Size: w.Size, Revision: int64(w.Revision), Traceparent: w.Traceparent, Policy: policyOf(w.Treatment), StreamLogs: w.Treatment.StreamLogs,
			}
			if isNews(w, has, began) {
				line.Traceparent = s.trace(ctx, w, began)
			}
			stacks = append(stacks, line)
		}
	}
	return res
}

// policyOf is a stack's treatment in the words of the wire.
func policyOf(t stack.Treatment) wire.Policy {
	return wire.Policy{
		Prune: t.Prune, PruneAdopted: t.PruneAdopted, PruneProtected: t.PruneProtected, Adopt: t.Adopt, Drift: t.Drift,
		IgnorePaths: t.IgnorePaths, ServiceAccount: t.ServiceAccount, HealthRules: t.HealthRules,
	}
}

func isNews(w delivery.Wanted, has delivery.Revision, now time.Time) bool {
	return w.Traceparent != "" && w.Revision > has && now.Sub(w.Since) < traceFor
}

// links of the sync's own span to the changes that it delivers.
func links(state target.State, has delivery.Revision) []trace.Link {
	var out []trace.Link
	for _, w := range state.Wanted {
		if w.Revision <= has || w.Traceparent == "" {
			continue
		}
		if sc := trace.SpanContextFromContext(telemetry.Remote(context.Background(), w.Traceparent)); sc.IsValid() {
			out = append(out, trace.Link{SpanContext: sc})
		}
	}
	return out
}

// trace notes the delivery in the change's own trace and returns the traceparent under which the agent goes on.
func (s *waiting) trace(ctx context.Context, w delivery.Wanted, began time.Time) string {
	change := telemetry.Remote(ctx, w.Traceparent)
	change, span := s.gateway.Tracer.Start(change, "deliver", trace.WithTimestamp(began), trace.WithLinks(trace.LinkFromContext(ctx)), trace.WithAttributes(assignmentAttributes(w)...))
	span.End()
	return telemetry.TraceParent(change)
}

func assignmentAttributes(w delivery.Wanted) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("brokkr.agent", string(w.Agent)),
		attribute.String("brokkr.stack", string(w.Stack)),
		attribute.String("brokkr.deployment_object", string(w.Object)),
		attribute.String("brokkr.state", string(w.State)),
		attribute.Int64("brokkr.revision", int64(w.Revision)),
	}
}
