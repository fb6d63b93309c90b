package orders_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/orders"
)

type world struct {
	*testing.T
	store *memory.Store
	agent agent.ID
}

func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, store: memory.New(time.Now), agent: agent.ID(uuid.NewString())}
		w.must(w.store.Agents().Insert(t.Context(), agent.Agent{ID: w.agent, Name: "a", ClusterName: "c", Status: agent.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}))
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// order stores one with this many retries after 10 s, and a claim timeout of 60 s.
func (w *world) order(retries int32) workorder.Order {
	w.Helper()
	sum, err := w.store.Blobs().Put(w.Context(), []byte("kind: Job"))
	w.must(err)
	backoff, timeout := int32(10), int32(60)
	o, err := workorder.New(workorder.ID(uuid.NewString()), workorder.Spec{
		Type: "custom", MaxRetries: &retries, Backoff: &backoff, ClaimTimeout: &timeout, Targeting: workorder.Targeting{Agents: []agent.ID{w.agent}},
	}, sum, 9, time.Now().UTC())
	w.must(err)
	w.must(w.store.WorkOrders().Insert(w.Context(), o))
	return o
}

func (w *world) see(id workorder.ID) workorder.Order {
	w.Helper()
	o, err := w.store.WorkOrders().Get(w.Context(), tenancy.Everything(), id)
	w.must(err)
	return o
}

func (w *world) claim(id workorder.ID) {
	w.Helper()
	o, err := w.see(id).ClaimFor(w.agent, time.Now().UTC())
	w.must(err)
	w.must(w.store.WorkOrders().Update(w.Context(), o))
}

func (w *world) run(holder string) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = orders.New(w.store, holder, 24*time.Hour, time.Now, slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestASilentClaimIsTriedAgainAndThenEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		defer w.run("a")()
		defer w.run("b")()
		o := w.order(1)
		w.claim(o.ID)
		time.Sleep(58 * time.Second)
		if got := w.see(o.ID); got.Status != workorder.Claimed {
			t.Fatalf("before its timeout: got %s, want it claimed", got.Status)
		}
		time.Sleep(6 * time.Second)
		if got := w.see(o.ID); got.Status != workorder.RetryPending || got.Retries != 1 || !strings.Contains(*got.LastError, "not completed within 1m0s") {
			t.Fatalf("after its timeout: got %+v, want a retry with the reason", got)
		}
		wakeups, err := w.store.Listen(w.Context(), ports.WorkGrew)
		w.must(err)
		<-wakeups // the first says nothing
		time.Sleep(12 * time.Second)
		if got := w.see(o.ID); got.Status != workorder.Pending {
			t.Fatalf("after its backoff: got %s, want it pending", got.Status)
		}
		if got := <-wakeups; got.Channel != ports.WorkGrew {
			t.Errorf("wakeup: got %+v, want a ring for the retry", got)
		}
		w.claim(o.ID)
		time.Sleep(64 * time.Second)
		entry, err := w.store.WorkOrderLog().Get(w.Context(), tenancy.Everything(), o.ID)
		w.must(err)
		if entry.Success || entry.Retries != 1 || entry.ClaimedBy != w.agent {
			t.Errorf("in the end: got %+v, want a failure after one retry", entry)
		}
		events, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now(), time.Minute, 10)
		w.must(err)
		if len(events) != 1 || events[0].Type != event.WorkOrderFailed || events[0].Agent != w.agent || events[0].Data["work_order_log_id"] != string(o.ID) {
			t.Errorf("events: got %+v, want one failure, told once", events)
		}
	})
}

func TestWhatNobodyTakesEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		defer w.run("a")()
		o := w.order(3)
		time.Sleep(24*time.Hour - time.Minute)
		w.see(o.ID)
		time.Sleep(2 * time.Minute)
		_, err := w.store.WorkOrders().Get(w.Context(), tenancy.Everything(), o.ID)
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("after a day: got %v, want it ended", err)
		}
	})
}

func TestAnotherReplicaTakesOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.run("a")
		time.Sleep(5 * time.Second)
		defer w.run("b")()
		time.Sleep(5 * time.Second)
		stop()
		o := w.order(1)
		w.claim(o.ID)
		time.Sleep(75 * time.Second)
		if got := w.see(o.ID); got.Status == workorder.Claimed {
			t.Error("the claim still holds, want it ended by the other replica")
		}
	})
}
