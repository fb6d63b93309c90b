package scheduler_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/internal/statechart"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// docs/state/assignment.md draws what becomes of an assignment: only a tombstone that was acknowledged, or the end of its agent,
// takes it away.
func TestStatesOfAnAssignmentAreDrawn(t *testing.T) {
	t.Parallel()
	type held struct {
		state  string
		object stack.ObjectID
	}
	walked := statechart.Walked{}
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		a, s := f.agent("a"), f.stack("web", "prod")
		now := func() held {
			x, ok := f.assignments(s)[a]
			if !ok {
				return held{state: statechart.Nothing}
			}
			return held{string(x.State), x.Object}
		}
		var labelled, deleted bool
		acknowledge := func() {
			if x, ok := f.assignments(s)[a]; ok {
				if _, err := f.store.Reports().Acknowledge(t.Context(), a, delivery.Removal{Stack: s, Revision: x.Revision}); err != nil {
					t.Fatal(err)
				}
			}
		}
		label := func() {
			if !labelled {
				labelled = true
				f.label(a, "prod")
			}
		}
		unlabel := func() {
			if labelled {
				labelled = false
				f.unlabel(a, "prod")
			}
		}
		publish := func() {
			if !deleted {
				f.publish(s, time.Now().String())
			}
		}
		end := func() {
			f.write(func(ctx context.Context, tx ports.Repositories) error {
				if err := tx.Agents().Delete(ctx, a, time.Now()); err != nil {
					return err
				}
				return tx.Outbox().Append(ctx, event.Event{Type: event.AgentDeregistered, Agent: a, At: time.Now()})
			})
			a, labelled = f.agent("another"), false
		}
		for _, step := range []func(){
			publish, label, publish, acknowledge, unlabel, publish, label, unlabel, acknowledge, // moved, and moved back before the agent knew
			label, end, label, unlabel, end, label, // agents that end, with the stack and with its tombstone
			func() {
				deleted = true
				f.write(func(ctx context.Context, tx ports.Repositories) error {
					if err := tx.Stacks().Delete(ctx, s, time.Now()); err != nil {
						return err
					}
					return tx.Outbox().Append(ctx, event.Event{Type: event.StackDeleted, Stack: s, At: time.Now()})
				})
			},
			acknowledge,
		} {
			of, from := a, now()
			step()
			settle()
			if a != of { // the former agent's assignments are looked at
				x, ok := f.assignments(s)[of]
				if ok {
					t.Errorf("an agent that is gone still has %+v", x)
				}
				walked.Step(from.state, statechart.Nothing)
				continue
			}
			if to := now(); to != from {
				walked.Step(from.state, to.state)
			}
		}
	})
	walked.Check(t, "assignment")
}
