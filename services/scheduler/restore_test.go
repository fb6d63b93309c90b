package scheduler_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (f *fleet) deleteStack(s stack.ID) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Stacks().Delete(ctx, s, time.Now()); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackDeleted, Stack: s, At: time.Now()})
	})
}

func (f *fleet) restoreStack(s stack.ID) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Stacks().Restore(ctx, s, time.Now()); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackRestored, Stack: s, At: time.Now()})
	})
}

// acknowledge is what an agent says that has carried out an order to remove; it reports whether the order stood.
func (f *fleet) acknowledge(order delivery.Assignment) bool {
	f.t.Helper()
	gone, err := f.store.Reports().Acknowledge(f.t.Context(), order.Agent, delivery.Removal{Stack: order.Stack, Revision: order.Revision})
	if err != nil {
		f.t.Fatal(err)
	}
	if gone {
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			return tx.Outbox().Append(ctx, event.Event{Type: event.RemovalAcknowledged, Stack: order.Stack, Agent: order.Agent, At: time.Now()})
		})
	}
	return gone
}

// Who has removed a deleted stack gets it again when it is restored; for who has not the order to remove it is replaced, and
// having carried it out meanwhile takes nothing away. Whether schedulers were at work between makes no difference.
func TestARestoredStackComesBackAndNoOrderToRemoveItStays(t *testing.T) {
	t.Parallel()
	for name, absent := range map[string]bool{"schedulers at work": false, "schedulers away at the restoration": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				stop := f.start(f.store)
				settle()
				a, b, c := f.agent("a", "prod"), f.agent("b", "prod"), f.agent("c", "prod")
				s := f.stack("web", "prod")
				o := f.publish(s, "one")
				synctest.Wait()
				f.deleteStack(s)
				synctest.Wait()
				orders := f.assignments(s)
				if len(orders) != 3 || orders[a].State != delivery.Removing || orders[b].State != delivery.Removing {
					t.Fatalf("after the deletion: %+v, want three tombstones", orders)
				}
				if !f.acknowledge(orders[a]) {
					t.Fatal("the tombstone of a did not go")
				}
				synctest.Wait()
				if absent {
					stop()
				}
				f.restoreStack(s)
				if absent {
					stop = f.start(f.store)
					settle()
				}
				synctest.Wait() // else a wakeup suffices
				defer stop()
				got := f.assignments(s)
				for _, id := range []agent.ID{a, b, c} {
					if x := got[id]; x.State != delivery.Assigned || x.Object != o || x.Revision <= orders[id].Revision {
						t.Errorf("restored: %+v, want object %s in a revision after %d", x, o, orders[id].Revision)
					}
				}
				if f.acknowledge(orders[b]) {
					t.Error("an acknowledgement of the order from before took away what b is given again")
				}
				if x := f.assignments(s)[b]; x.State != delivery.Assigned {
					t.Errorf("after a late acknowledgement: %+v", x)
				}
				if next := f.publish(s, "two"); next == o {
					t.Fatal("published nothing")
				} else if synctest.Wait(); f.assignments(s)[a].Object != next {
					t.Errorf("published after the restoration: %+v, want %s", f.assignments(s)[a], next)
				}
			})
		})
	}
}

// Nothing is left of the stack in any cluster, and the schedulers have forgotten it.
func TestAStackThatIsGoneEverywhereComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		o := f.publish(s, "one")
		synctest.Wait()
		f.deleteStack(s)
		synctest.Wait()
		f.acknowledge(f.assignments(s)[a])
		f.ahead.Store(int64(6 * 24 * time.Hour)) // it is kept for seven days
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := f.assignments(s); len(got) != 0 {
			t.Fatalf("after the removal: %+v, want nothing", got)
		}
		f.restoreStack(s)
		synctest.Wait()
		if x := f.assignments(s)[a]; x.State != delivery.Assigned || x.Object != o {
			t.Errorf("restored: %+v, want object %s again", x, o)
		}
	})
}
