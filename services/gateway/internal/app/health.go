package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// HealthUpdate is the health of one object as a published agent sends it.
type HealthUpdate struct {
	Object    string
	Status    string
	Message   string
	Summary   string // JSON; empty if the agent sends none
	CheckedAt time.Time
}

// Health takes a batch of healths: all, or none if one is wrong. A status that is not known and an object that is not
// assigned to the agent are Refused.
func (g *Gateway) Health(ctx context.Context, p tenancy.Principal, agentID string, updates []HealthUpdate) error {
	a, err := g.worker(ctx, p, agentID)
	if err != nil || len(updates) == 0 {
		return err
	}
	parsed := make([]delivery.Report, len(updates))
	for i, u := range updates {
		object, err := id.Parse[stack.ObjectID]("id", u.Object)
		if err != nil {
			return err
		}
		health, err := delivery.ParseHealth(u.Status)
		if err != nil {
			return err
		}
		parsed[i] = delivery.Report{Object: object, Health: health, Message: u.Message, Summary: u.Summary, ObservedAt: u.CheckedAt}
	}
	began, reading := g.Now().UTC(), g.Hub.Begin()
	var done outcome
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		done = outcome{}
		if err := tx.Reports().Serial(ctx, a); err != nil { // the phase is what another report may be changing
			return err
		}
		reports := make([]delivery.Report, len(parsed))
		for i, r := range parsed {
			w, sequence, err := assigned(ctx, tx, a, r.Object, &done)
			if fault.Is(err, fault.NotFound) {
				return fault.Newf(fault.Refused, "foreign_key_violation", "deployment object %s is not assigned to this agent", r.Object)
			}
			if err != nil {
				return err
			}
			r.Stack, r.Sequence, r.Phase = w.Stack, sequence, priorPhase(w, r.Object)
			reports[i] = r
		}
		changed, err := tx.Reports().Record(ctx, a, began, reports)
		done.statuses = changed
		if err != nil {
			return err
		}
		tellRollouts(&done, changed, began)
		if err := done.publish(ctx, tx); err != nil {
			return err
		}
		return did(ctx, tx, p, audit.Did(audit.AgentHealthReported, string(a), nil, updates).With("objects", strconv.Itoa(len(updates))))
	})
	if err != nil {
		return fmt.Errorf("record health: %w", err)
	}
	g.Metrics.Reports.WithLabelValues("health").Add(float64(len(updates)))
	g.reported(ctx, a, reading, began, done)
	return nil
}

func priorPhase(w delivery.Wanted, object stack.ObjectID) delivery.Phase {
	if w.Status == nil || w.Status.Object != object {
		return delivery.PhasePending
	}
	return w.Status.Phase
}
