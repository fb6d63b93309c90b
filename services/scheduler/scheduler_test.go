package scheduler_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler"
)

func TestPublishUpdateRelabelDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		defer stop()
		heard, err := f.sig.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settle() // the replica has its shards
		a, b := f.agent("a", "prod"), f.agent("b", "prod")
		f.agent("other", "test")
		s := f.stack("web", "prod")
		o1 := f.publish(s, "one")
		synctest.Wait() // a wakeup suffices: no time passes
		got := f.assignments(s)
		if len(got) != 2 || got[a].Object != o1 || got[b].Object != o1 {
			t.Fatalf("after publishing: %+v, want object %s on a and b", got, o1)
		}
		if tp := got[a].Traceparent; len(tp) < 35 || tp[3:35] != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("traceparent of the assignment = %q, want the publishing trace", tp)
		}
		signalled := map[agent.ID]delivery.Revision{}
		for more := true; more; {
			select {
			case batch := <-heard:
				for _, x := range batch {
					signalled[x.Agent] = x.Revision
				}
			default:
				more = false
			}
			synctest.Wait()
		}
		if signalled[a] != 1 || signalled[b] != 1 || len(signalled) != 2 {
			t.Errorf("signals = %v, want revision 1 of a and b", signalled)
		}
		o2 := f.publish(s, "two")
		synctest.Wait()
		if got := f.assignments(s); got[a].Object != o2 || got[a].Revision != 2 {
			t.Fatalf("after the update: %+v, want object %s in revision 2", got[a], o2)
		}
		if got := f.seen("brokkr_scheduler_publish_to_decision_seconds"); got != 2 {
			t.Errorf("decisions whose way was measured: got %d, want one for each object", got)
		}
		f.unlabel(b, "prod")
		synctest.Wait()
		if got := f.assignments(s); got[b].State != delivery.Removing || got[b].Reason == "" || got[a].State != delivery.Assigned {
			t.Fatalf("after relabelling b: %+v, want a tombstone with a reason on b alone", got)
		}
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().Delete(ctx, s, time.Now()); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackDeleted, Stack: s, At: time.Now()})
		})
		synctest.Wait()
		if got := f.assignments(s); got[a].State != delivery.Removing || got[b].State != delivery.Removing {
			t.Fatalf("after deleting the stack: %+v, want tombstones", got)
		}
	})
}

// Lessons 21-25: a restart, a lost wakeup, and an outage of the store neither lose nor repeat anything.
func TestRestartWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		stop := f.start(f.store)
		settle()
		stop()
		before, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || f.assignments(s)[a].State != delivery.Assigned {
			t.Fatalf("published before the start: %v, %+v", err, f.assignments(s))
		}
		defer f.start(f.store)()
		time.Sleep(20 * time.Minute) // resyncs included
		synctest.Wait()
		after, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || after.Generation != before.Generation {
			t.Fatalf("generation after a restart and resyncs = %d (%v), want %d still", after.Generation, err, before.Generation)
		}
	})
}

// stale answers the first bulk read of clusters after spoil with facts from before.
type stale struct {
	ports.Store
	old *[]placement.Cluster
}

func (s stale) Facts() ports.Facts { return staleFacts{s.Store.Facts(), s.old} }

type staleFacts struct {
	ports.Facts
	old *[]placement.Cluster
}

func (s staleFacts) Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error) {
	if ids == nil && *s.old != nil {
		old := *s.old
		*s.old = nil
		return old, nil
	}
	return s.Facts.Clusters(ctx, ids)
}

// A replica with a stale snapshot can remove nothing: its commit rests on versions that have moved on.
func TestStaleSnapshotRemovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		stop := f.start(f.store)
		settle()
		stop()
		old, err := f.store.Facts().Clusters(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		old[0].Labels, old[0].Version = nil, old[0].Version-1 // as it was before its label
		defer f.start(stale{f.store, &old})()
		settle()
		if old != nil {
			t.Fatal("the stale facts were not read")
		}
		if got := f.assignments(s)[a]; got.State != delivery.Assigned {
			t.Fatalf("assignment = %+v, want it to stand", got)
		}
	})
}

func TestMassRemovalWaitsForApproval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		var agents []agent.ID
		for i := range 6 {
			agents = append(agents, f.agent(fmt.Sprint("a", i), "prod"))
		}
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		f.unlabelStack(s, "prod")
		settle()
		_, hold, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || hold == nil || len(hold.Removes) != len(agents) {
			t.Fatalf("hold = %+v (%v), want all %d removals held", hold, err, len(agents))
		}
		for a, x := range f.assignments(s) {
			if x.State != delivery.Assigned {
				t.Fatalf("%s: %+v, want nothing removed before the approval", a, x)
			}
		}
		f.approve(s)
		settle()
		for a, x := range f.assignments(s) {
			if x.State != delivery.Removing {
				t.Errorf("%s: %+v, want a tombstone after the approval", a, x)
			}
		}
	})
}

func TestConfigReportsEveryProblem(t *testing.T) {
	t.Parallel()
	err := scheduler.Config{}.Validate()
	if err == nil {
		t.Fatal("an empty configuration is valid")
	}
	for _, key := range []string{"scheduler.shards", "scheduler.lease_ttl", "scheduler.poll", "scheduler.resync", "scheduler.brake_share"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not name %s", err, key)
		}
	}
	c := scheduler.Defaults()
	if c.UnreachableAfter = time.Minute; c.Validate() == nil {
		t.Error("agents that have nothing to do would be taken for unreachable: nothing says so")
	}
}
