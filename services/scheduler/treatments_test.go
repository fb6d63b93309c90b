package scheduler_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// treat gives the stack another treatment.
func (f *fleet) treat(s stack.ID, t stack.Treatment) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		v, err := tx.Stacks().Get(ctx, tenancy.Everything(), s)
		if err != nil {
			return err
		}
		v.Treatment, v.UpdatedAt = t, time.Now()
		if err := tx.Stacks().Update(ctx, v); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
	})
}

func TestATreatmentReachesEveryClusterAtOnceAndMovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a, b := f.agent("a", "prod"), f.agent("b", "prod")
		s := f.stack("web", "prod")
		o := f.publish(s, "one")
		settle()
		f.unlabel(b, "prod") // b has a tombstone, which it has not acknowledged
		settle()
		before := f.assignments(s)
		removed, err := f.store.Removals().Since(t.Context(), time.Time{})
		if err != nil || len(removed) != 1 {
			t.Fatalf("removals %v, %v: want that of b", removed, err)
		}
		orphan := stack.Treatment{Prune: "orphan", IgnorePaths: []string{"/spec/replicas"}}
		f.treat(s, orphan)
		synctest.Wait() // a wakeup suffices
		got := f.assignments(s)
		for id, state := range map[agent.ID]delivery.State{a: delivery.Assigned, b: delivery.Removing} {
			x := got[id]
			if !x.Treatment.Equal(orphan) || x.State != state || x.Object != o || x.Revision != before[id].Revision+1 || x.Reason != before[id].Reason {
				t.Errorf("%s: %+v after %+v, want it as it was with the treatment, in the next revision", state, x, before[id])
			}
		}
		if removed, err = f.store.Removals().Since(t.Context(), time.Time{}); err != nil || len(removed) != 1 {
			t.Errorf("removals %v, %v: a tombstone with another treatment is no removal", removed, err)
		}
		record, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		stop()
		defer f.start(f.store)()
		settle()
		if again, _, err := f.store.Decisions().Latest(t.Context(), s); err != nil || again.Generation != record.Generation {
			t.Errorf("generation %d, %v: a restart has decided anew what is decided (%d)", again.Generation, err, record.Generation)
		}
		f.publish(s, "two")
		synctest.Wait()
		if x := f.assignments(s)[a]; !x.Treatment.Equal(orphan) || x.Object == o {
			t.Errorf("the next object: %+v, want it with the treatment", x)
		}
		f.treat(s, stack.Treatment{})
		synctest.Wait()
		if x := f.assignments(s)[a]; !x.Treatment.IsZero() || x.State != delivery.Assigned {
			t.Errorf("back to the defaults: %+v", x)
		}
	})
}

// A stack is deleted a moment after it was told to leave its objects: the tombstones say so, though no agent had heard of it.
func TestTombstonesHaveTheTreatmentThatTheStackHadLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		stop()
		f.treat(s, stack.Treatment{Prune: "orphan"})
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().Delete(ctx, s, time.Now()); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackDeleted, Stack: s, At: time.Now()})
		})
		defer f.start(f.store)()
		settle()
		if x := f.assignments(s)[a]; x.State != delivery.Removing || x.Treatment.Prune != "orphan" {
			t.Errorf("got %+v, want a tombstone that says orphan", x)
		}
	})
}

// The record tells an order to remove that is told anew, because the stack is treated otherwise, apart from a removal.
func TestWhatIsLeavingAlreadyIsNotRemovedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		settle()
		a, b := f.agent("a", "prod"), f.agent("b", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		changes := func(want map[agent.ID]bool) {
			t.Helper()
			rec, _, err := f.store.Decisions().Latest(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			got := map[agent.ID]bool{}
			for _, c := range rec.Decision.Changes {
				if c.State == delivery.Removing {
					got[c.Agent] = c.Going
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("removing, and whether it was already: got %v, want %v", got, want)
			}
		}
		f.unlabel(a, "prod")
		settle()
		changes(map[agent.ID]bool{a: false})
		f.treat(s, stack.Treatment{Prune: "orphan"})
		settle()
		changes(map[agent.ID]bool{a: true})
		f.unlabel(b, "prod")
		settle()
		changes(map[agent.ID]bool{b: false})
	})
}

// While a removal is held the stack can be told to leave its objects.
func TestATreatmentDoesNotWaitForAHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		for i := range 6 {
			f.agent(fmt.Sprint("a", i), "prod")
		}
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().RemoveLabel(ctx, s, "prod"); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
		})
		settle()
		f.treat(s, stack.Treatment{Prune: "orphan"})
		settle()
		_, hold, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || hold == nil {
			t.Fatalf("hold %+v, %v: want the removals held as before", hold, err)
		}
		for a, x := range f.assignments(s) {
			if x.State != delivery.Assigned || x.Treatment.Prune != "orphan" {
				t.Errorf("%s: %+v, want it assigned, and told to orphan", a, x)
			}
		}
	})
}
