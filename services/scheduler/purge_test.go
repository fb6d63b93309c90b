package scheduler_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// A deleted stack is there for as long as a cluster has it, a week in which it can be restored, and a month; then nothing is left of
// it, and of its contents those that another stack has.
func TestNothingIsLeftOfADeletedStackInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a := f.agent("a", "prod")
		s, other := f.stack("web", "prod"), f.stack("other", "prod")
		o := f.publish(s, "one")
		f.publish(s, "shared")
		kept := f.publish(other, "shared")
		synctest.Wait()
		f.deleteStack(s)
		synctest.Wait()
		order := f.assignments(s)[a]
		if order.State != delivery.Removing {
			t.Fatalf("after the deletion: %+v, want a tombstone", order)
		}
		// pass lets time pass with nobody at work, and then a replica for a while.
		pass := func(d time.Duration) {
			stop()
			time.Sleep(d)
			stop = f.start(f.store)
			time.Sleep(30 * time.Second)
			synctest.Wait()
		}
		left := func(o stack.ObjectID) bool {
			t.Helper()
			_, err := f.store.Objects().Get(t.Context(), tenancy.Everything(), o)
			if err != nil && !fault.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
			return err == nil
		}
		pass(100 * 24 * time.Hour)
		if _, err := f.store.Stacks().Deleted(t.Context(), tenancy.Everything(), s); err != nil || !left(o) {
			t.Fatalf("while the agent is away: %v, object there %t; want it restorable", err, left(o))
		}
		if !f.acknowledge(f.assignments(s)[a]) {
			t.Fatal("the tombstone did not go")
		}
		pass(time.Hour)
		if _, err := f.store.Stacks().Deleted(t.Context(), tenancy.Everything(), s); !fault.Is(err, fault.NotFound) || !left(o) {
			t.Fatalf("after the removal: %v, object there %t; want it collected and not purged", err, left(o))
		}
		pass(29 * 24 * time.Hour)
		if !left(o) {
			t.Error("its objects went before their time")
		}
		pass(3 * 24 * time.Hour)
		defer func() { stop() }()
		if left(o) || !left(kept) {
			t.Errorf("object there %t, another stack's %t; want the other's alone", left(o), left(kept))
		}
		next := f.publish(other, "next")
		synctest.Wait()
		if got := f.assignments(other)[a]; got.Object != next || got.State != delivery.Assigned {
			t.Errorf("another stack after it all: %+v, want object %s", got, next)
		}
	})
}
