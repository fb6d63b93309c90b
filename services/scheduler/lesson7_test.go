package scheduler_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (f *fleet) revoke(a agent.ID) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Registrations().Delete(ctx, a, f.team); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.ConsentChanged, Agent: a, Generator: f.team, At: time.Now()})
	})
}

func (f *fleet) consent(a agent.ID) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		r := tenancy.Registration{ID: tenancy.RegistrationID(uuid.NewString()), Agent: a, Generator: f.team, State: tenancy.RegistrationApproved, RegisteredAt: time.Now()}
		if err := tx.Registrations().Insert(ctx, r); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.ConsentChanged, Agent: a, Generator: f.team, At: time.Now()})
	})
}

// Lesson 7: what an agent has lost while it was away is not orphaned: the order to remove it waits for months, whoever was at work
// when consent was revoked or a label went, and when the event of it is long forgotten. Given back before the agent comes, it is given
// anew, and what the agent does about the old order takes nothing away. Whoever was not concerned keeps what it has.
func TestLesson7WhatAnAbsentAgentHasLostWaitsForIt(t *testing.T) {
	t.Parallel()
	type way struct{ take, give func(f *fleet, a agent.ID) }
	ways := map[string]way{
		"consent": {(*fleet).revoke, (*fleet).consent},
		"a label": {func(f *fleet, a agent.ID) { f.unlabel(a, "prod") }, func(f *fleet, a agent.ID) { f.label(a, "prod") }},
	}
	for name, lost := range ways {
		for when, idle := range map[string]bool{"schedulers at work": false, "schedulers away": true} {
			for end, back := range map[string]bool{"it comes back": false, "it is given back before": true} {
				t.Run(name+", "+when+", "+end, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t)
						stop := f.start(f.store)
						defer func() { stop() }()
						settle()
						away, here := f.agent("away", "prod"), f.agent("here", "prod")
						s := f.stack("web", "prod")
						o := f.publish(s, "one")
						settle()
						f.healthy(s, away, here)
						if idle {
							stop()
						}
						lost.take(f, away)
						if idle {
							time.Sleep(time.Hour)
							stop = f.start(f.store)
						}
						settle()
						order := f.assignments(s)[away]
						if order.State != delivery.Removing || order.Object != o || order.Reason == "" {
							t.Fatalf("after the loss: %+v, want an order to remove it, with its reason", order)
						}
						for range 3 { // events are kept for a day
							stop()
							time.Sleep(20 * 24 * time.Hour)
							stop = f.start(f.store)
							time.Sleep(time.Minute)
							synctest.Wait()
						}
						got := f.assignments(s)
						if x := got[away]; x.State != delivery.Removing || x.Revision != order.Revision {
							t.Fatalf("two months later: %+v, want the order as it was", x)
						}
						if back {
							lost.give(f, away)
							settle()
							if x := f.assignments(s)[away]; x.State != delivery.Assigned || x.Object != o || x.Revision <= order.Revision {
								t.Errorf("given back: %+v, want object %s in a revision after %d", x, o, order.Revision)
							}
							if f.acknowledge(order) {
								t.Error("an acknowledgement of the old order took away what was given back")
							}
						} else if !f.acknowledge(order) {
							t.Error("the agent has removed it, and the order stands")
						}
						time.Sleep(11 * time.Minute) // everything is read and decided again
						synctest.Wait()
						got = f.assignments(s)
						if _, has := got[away]; has != back {
							t.Errorf("at the end: %+v; want it assigned: %t", got[away], back)
						}
						if x := got[here]; x.State != delivery.Assigned || x.Object != o {
							t.Errorf("who was not concerned has %+v, want object %s all the time", x, o)
						}
					})
				})
			}
		}
	}
}
