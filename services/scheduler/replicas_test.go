package scheduler_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func TestReplicasShareAndTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.agent("a", "prod")
		stopOne := f.start(f.store)
		stopTwo := f.start(f.store)
		defer stopTwo()
		settle()
		settle()
		leases, err := f.store.Leases().List(t.Context(), "scheduler/shard/")
		if err != nil {
			t.Fatal(err)
		}
		holders := map[string]int{}
		for _, l := range leases {
			holders[l.Holder]++
		}
		if len(leases) != 16 || len(holders) != 2 {
			t.Fatalf("shards = %v, want 16 shared by two", holders)
		}
		var stacks []stack.ID
		for i := range 20 {
			s := f.stack(fmt.Sprint("s", i), "prod")
			f.publish(s, "x")
			stacks = append(stacks, s)
		}
		settle()
		stopOne()
		for i := range 20 {
			s := f.stack(fmt.Sprint("t", i), "prod")
			f.publish(s, "x")
			stacks = append(stacks, s)
		}
		settle()
		settle()
		for _, s := range stacks {
			if got := f.assignments(s); len(got) != 1 {
				t.Errorf("stack %s has %d assignments, want 1", s, len(got))
			}
			rec, _, err := f.store.Decisions().Latest(t.Context(), s)
			if err != nil || rec.Generation != 1 {
				t.Errorf("stack %s was decided %d times (%v), want once", s, rec.Generation, err)
			}
		}
	})
}

// outage is a store that is away while it is told so.
type outage struct {
	ports.Store
	away *atomic.Bool
}

func (o outage) Outbox() ports.Outbox { return outageOutbox{o.Store.Outbox(), o.away} }
func (o outage) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	if o.away.Load() {
		return fault.New(fault.Unavailable, "database_unavailable", "the database is away")
	}
	return o.Store.Write(ctx, fn)
}

type outageOutbox struct {
	ports.Outbox
	away *atomic.Bool
}

func (o outageOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gap time.Duration, n int) ([]event.Event, ports.Cursor, error) {
	if o.away.Load() {
		return nil, c, fault.New(fault.Unavailable, "database_unavailable", "the database is away")
	}
	return o.Outbox.Read(ctx, c, now, gap, n)
}

func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var away atomic.Bool
		defer f.start(outage{f.store, &away})()
		a := f.agent("a", "prod")
		settle()
		away.Store(true)
		synctest.Wait()
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		if got := f.assignments(s); len(got) != 0 {
			t.Fatalf("assigned during the outage: %+v", got)
		}
		away.Store(false)
		settle()
		if got := f.assignments(s); got[a].State != delivery.Assigned {
			t.Fatalf("after the outage: %+v, want the assignment", got)
		}
	})
}

// away are signals that cannot be sent for a while.
type away struct {
	ports.Signals
	now atomic.Bool
}

func (s *away) Publish(ctx context.Context, batch []ports.Signal) error {
	if s.now.Load() {
		return fault.New(fault.Unavailable, "unavailable", "away")
	}
	return s.Signals.Publish(ctx, batch)
}

func TestSignalsThatCouldNotBeSentAreSentLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		line := &away{Signals: f.sig}
		f.sig = line
		stop := f.start(f.store)
		defer stop()
		settle()
		heard, err := line.Signals.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if batch := <-heard; batch != nil {
			t.Fatalf("first batch = %v, want nil", batch)
		}
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		line.now.Store(true)
		f.publish(s, "one")
		synctest.Wait()
		f.publish(s, "two")
		settle()
		line.now.Store(false)
		settle()
		select {
		case batch := <-heard:
			if len(batch) != 1 || batch[0] != (ports.Signal{Agent: a, Revision: 2}) {
				t.Errorf("signals = %v, want the newest revision, 2, of the agent", batch)
			}
		default:
			t.Error("no signal came when they could be sent again")
		}
		settle()
		select {
		case batch := <-heard:
			t.Errorf("signals = %v came again", batch)
		default:
		}
	})
}
