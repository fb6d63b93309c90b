package app

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// NewEvent is an event as an agent posts it.
type NewEvent struct {
	Agent   string
	Object  string
	Type    string
	Status  string
	Message *string
}

// Longest parts of an event, in bytes.
const (
	maxEventWord    = 64
	maxEventMessage = 64 << 10
)

// Events returns a page of what the agent has reported.
func (g *Gateway) Events(ctx context.Context, p tenancy.Principal, agentID string, q page.Query) (page.Page[agent.Event], error) {
	a, err := g.selfOrStaff(ctx, p, agentID)
	if err != nil {
		return page.Page[agent.Event]{}, err
	}
	return g.Store.Insights().Feed(ctx, tenancy.Scope{Agent: a}, q)
}

// AddEvent takes an event about an object that is assigned to the agent. Success makes its status applied, anything
// else failed; success for a removal that the agent has been told of acknowledges it.
func (g *Gateway) AddEvent(ctx context.Context, p tenancy.Principal, agentID string, in NewEvent) (agent.Event, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return agent.Event{}, err
	}
	object, err := checkEvent(a, in)
	if err != nil {
		return agent.Event{}, err
	}
	began, reading := g.Now().UTC(), g.Hub.Begin()
	var done outcome
	var stored agent.Event
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		done = outcome{}
		if err := tx.Reports().Serial(ctx, a); err != nil { // the health is what another report may be changing
			return err
		}
		w, sequence, err := assigned(ctx, tx, a, object, &done)
		if err != nil {
			return err
		}
		stored, err = tx.Reports().AddEvent(ctx, agent.Event{
			ID: agent.EventID(uuid.NewString()), Agent: a, Object: object, Type: in.Type, Status: in.Status, Message: in.Message,
			CreatedAt: began, UpdatedAt: began,
		})
		if err != nil {
			return err
		}
		reported := audit.Did(audit.AgentEventReported, string(a), nil, stored).With("event_id", string(stored.ID)).With("status", stored.Status)
		if err := did(ctx, tx, p, reported); err != nil {
			return err
		}
		done.occurred(w, stored, began)
		if err := g.eventStatus(ctx, tx, w, sequence, stored, began, &done); err != nil {
			return err
		}
		return done.publish(ctx, tx)
	})
	if err != nil {
		return agent.Event{}, err
	}
	g.Metrics.Reports.WithLabelValues("event").Inc()
	g.reported(ctx, a, reading, began, done)
	return stored, nil
}

func checkEvent(a agent.ID, in NewEvent) (stack.ObjectID, error) {
	of, err := id.Parse[agent.ID]("agent_id", in.Agent)
	if err != nil {
		return "", err
	}
	if of != a {
		return "", fault.New(fault.Invalid, "agent_id_mismatch", "agent_id in the body is not the agent of the path")
	}
	object, err := id.Parse[stack.ObjectID]("deployment_object_id", in.Object)
	if err != nil {
		return "", err
	}
	for name, word := range map[string]string{"event_type": in.Type, "status": in.Status} {
		if word == "" || len(word) > maxEventWord {
			return "", fault.Newf(fault.Invalid, "invalid_agent_event", "%s must have 1 to %d bytes", name, maxEventWord)
		}
	}
	if in.Message != nil && len(*in.Message) > maxEventMessage {
		return "", fault.Newf(fault.Invalid, "invalid_agent_event", "message is longer than %d bytes", maxEventMessage)
	}
	return object, nil
}

// succeeded reads the status word as the contract does: every other word than success is a failure.
func succeeded(e agent.Event) bool { return strings.ToUpper(e.Status) == statusSuccess }

// assigned returns the agent's assignment that object is or was of, and the object's sequence; NotFound if there is none.
func assigned(ctx context.Context, tx ports.Repositories, a agent.ID, object stack.ObjectID, done *outcome) (delivery.Wanted, stack.Sequence, error) {
	if done.wanted == nil {
		_, list, err := tx.Assignments().OfAgent(ctx, a)
		if err != nil {
			return delivery.Wanted{}, 0, err
		}
		done.wanted = byStack(list)
	}
	for _, w := range done.wanted {
		if w.Object == object {
			return w, w.Sequence, nil
		}
	}
	none := fault.Newf(fault.NotFound, "deployment_object_not_found", "deployment object %s is not assigned to this agent", object)
	o, err := tx.Objects().Get(ctx, tenancy.Scope{Agent: a}, object)
	if fault.Is(err, fault.NotFound) {
		return delivery.Wanted{}, 0, none
	}
	if err != nil {
		return delivery.Wanted{}, 0, err
	}
	w, ok := done.wanted[o.Stack]
	if !ok {
		return delivery.Wanted{}, 0, none
	}
	return w, o.Sequence, nil
}

// eventStatus turns an event into the status of the assignment.
func (g *Gateway) eventStatus(ctx context.Context, tx ports.Repositories, w delivery.Wanted, sequence stack.Sequence, e agent.Event, at time.Time, done *outcome) error {
	report := delivery.Report{Stack: w.Stack, Object: e.Object, Sequence: sequence, Health: priorHealth(w, e.Object), ObservedAt: at}
	if e.Message != nil {
		report.Message = *e.Message
	}
	switch {
	case w.State == delivery.Removing && w.Object == e.Object:
		if !hasBeenTold(w) {
			return nil // it speaks of the time before the removal
		}
		if succeeded(e) {
			return g.acknowledge(ctx, tx, e.Agent, at, []delivery.Removal{{Stack: w.Stack, Revision: w.Revision}}, done)
		}
		report.Phase = delivery.PhaseRemoving
	case w.State == delivery.Removing:
		return nil
	case succeeded(e):
		report.Phase = delivery.PhaseApplied
	default:
		report.Phase = delivery.PhaseFailed
	}
	changed, err := tx.Reports().Record(ctx, e.Agent, at, []delivery.Report{report})
	done.statuses = append(done.statuses, changed...)
	if err != nil {
		return err
	}
	tellRollouts(done, changed, at)
	return nil
}

// priorHealth is the health that the agent told of the object as it applied it before. One from before it was applied is of
// what was there until then.
func priorHealth(w delivery.Wanted, object stack.ObjectID) delivery.Health {
	if w.Status == nil || w.Status.Object != object || w.Status.Phase != delivery.PhaseApplied {
		return delivery.HealthUnknown
	}
	return w.Status.Health
}
