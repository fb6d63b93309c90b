package transport

import (
	"context"
	"encoding/json"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

// received is a frame that was read and is the agent's own. One of its parts is set.
type received struct {
	heartbeat *wire.HeartbeatFrame
	event     *wire.AgentEventFrame
	health    *wire.AgentHealthFrame
	offered   app.Offered
	size      int64 // bytes of the frame; only of events and healths
}

// readFrame reads a frame of agent a. Its faults are Invalid: invalid_frame is no frame, unknown_frame one of a type that is not
// known, agent_id_mismatch one that speaks for another agent.
func readFrame(a agent.ID, data []byte) (received, error) {
	var f wire.Frame
	if err := json.Unmarshal(data, &f); err != nil {
		return received{}, fault.New(fault.Invalid, "invalid_frame", "the frame is no JSON object with type and body").Because(err)
	}
	var out received
	var err error
	var of string
	switch f.Type {
	case wire.FrameHeartbeat:
		out.heartbeat, err = bodyOf[wire.HeartbeatFrame](f)
		of = field(out.heartbeat, func(b *wire.HeartbeatFrame) string { return b.AgentID })
	case wire.FrameAgentEvent:
		out.event, err = bodyOf[wire.AgentEventFrame](f)
		of = field(out.event, func(b *wire.AgentEventFrame) string { return b.AgentID })
	case wire.FrameAgentHealth:
		out.health, err = bodyOf[wire.AgentHealthFrame](f)
		of = field(out.health, func(b *wire.AgentHealthFrame) string { return b.AgentID })
	case wire.FrameK8sEvent:
		out.offered.Event, err = bodyOf[wire.K8sEvent](f)
		of = field(out.offered.Event, func(b *wire.K8sEvent) string { return b.AgentID })
	case wire.FramePodLog:
		out.offered.Line, err = bodyOf[wire.PodLogLine](f)
		of = field(out.offered.Line, func(b *wire.PodLogLine) string { return b.AgentID })
	case wire.FrameLogGap:
		out.offered.Gap, err = bodyOf[wire.LogGap](f)
		of = field(out.offered.Gap, func(b *wire.LogGap) string { return b.AgentID })
	default:
		return received{}, fault.New(fault.Invalid, "unknown_frame", "frames of this type are not known")
	}
	if err != nil {
		return received{}, err
	}
	if of != string(a) {
		return received{}, fault.New(fault.Invalid, "agent_id_mismatch", "the frame speaks for another agent")
	}
	return out, nil
}

func bodyOf[T any](f wire.Frame) (*T, error) {
	var v T
	if err := json.Unmarshal(f.Body, &v); err != nil {
		return nil, fault.Newf(fault.Invalid, "invalid_frame", "the body of the %s frame cannot be read", f.Type).Because(err)
	}
	return &v, nil
}

func field[T any](v *T, of func(*T) string) string {
	if v == nil {
		return ""
	}
	return of(v)
}

// take does what a frame says, as the same over REST would. Telemetry is taken without a promise: false means that there is
// no room for it.
func take(ctx context.Context, g *app.Gateway, p tenancy.Principal, r received) (bool, error) {
	a := string(p.Agent)
	switch {
	case r.heartbeat != nil:
		return true, g.Heartbeat(ctx, p, a, r.heartbeat.K8sReachable, r.heartbeat.K8sAPILatencyMS)
	case r.event != nil:
		_, err := g.AddEvent(ctx, p, a, app.NewEvent{
			Agent: a, Object: r.event.DeploymentObjectID, Type: r.event.EventType, Status: r.event.Status, Message: r.event.Message,
		})
		return true, err
	case r.health != nil:
		h := objectHealth{ID: r.health.DeploymentObjectID, Status: r.health.Status, CheckedAt: r.health.CheckedAt}
		if r.health.Summary != nil {
			var s healthSummary
			if json.Unmarshal([]byte(*r.health.Summary), &s) == nil { // a summary that cannot be read is none
				h.Summary = &s
			}
		}
		return true, g.Health(ctx, p, a, []app.HealthUpdate{healthOf(h)})
	default:
		return g.Offer(p.Agent, r.offered)
	}
}
