package dispatch_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api/internal/dispatch"
)

// watched counts claims and takes its time for each row that is queued.
type watched struct {
	ports.Store
	claims *atomic.Int64
	each   time.Duration
	seen   func() // called after events were read for the first time; nil: nothing
}

func (s watched) Deliveries() ports.Deliveries { return watchedDeliveries{s.Store.Deliveries(), s} }

func (s watched) Write(ctx context.Context, do func(context.Context, ports.Repositories) error) error {
	return s.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return do(ctx, watchedTx{tx, s}) })
}

type watchedTx struct {
	ports.Repositories
	s watched
}

func (t watchedTx) Deliveries() ports.Deliveries {
	return watchedDeliveries{t.Repositories.Deliveries(), t.s}
}

func (s watched) Outbox() ports.Outbox { return watchedOutbox{s.Store.Outbox(), s} }

type watchedOutbox struct {
	ports.Outbox
	s watched
}

func (o watchedOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gap time.Duration, limit int) ([]event.Event, ports.Cursor, error) {
	events, next, err := o.Outbox.Read(ctx, c, now, gap, limit)
	if len(events) > 0 && o.s.seen != nil {
		o.s.seen()
	}
	return events, next, err
}

type watchedDeliveries struct {
	ports.Deliveries
	s watched
}

func (d watchedDeliveries) Claim(ctx context.Context, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	d.s.claims.Add(1)
	return d.Deliveries.Claim(ctx, grace, q)
}

func (d watchedDeliveries) Enqueue(ctx context.Context, list []webhook.Delivery) (int, error) {
	time.Sleep(time.Duration(len(list)) * d.s.each)
	return d.Deliveries.Enqueue(ctx, list)
}

// Without anything due a replica claims, which is a transaction, a few times a minute; when something is due it is at once.
func TestNothingDueCostsNextToNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := watched{Store: w.store, claims: &atomic.Int64{}}
		d := &dispatch.Dispatcher{Store: s, Wakeups: w.store, Sender: w.to, Workers: 8, Each: 4, Now: time.Now,
			Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler), Metrics: w.mets}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		settled(10 * time.Minute)
		if n := s.claims.Load(); n > 45 {
			t.Errorf("%d claims in ten idle minutes", n)
		}
		id := w.subscribe("broken", func(s *webhook.Subscription) { s.MaxRetries = 3 })
		if _, err := w.store.Deliveries().Enqueue(t.Context(), []webhook.Delivery{{ID: webhook.DeliveryID(uuid.NewString()), Subscription: id, EventType: event.StackCreated, EventID: "e", Payload: "{}"}}); err != nil {
			t.Fatal(err)
		}
		settled(5 * time.Minute)
		calls := w.to.calls["broken"]
		if len(calls) != 4 {
			t.Fatalf("%d attempts, want 4", len(calls))
		}
		for i, want := range []time.Duration{2 * time.Second, 8 * time.Second, 32 * time.Second} {
			if got := calls[i+1].Sub(calls[i]); got < want || got > want+100*time.Millisecond {
				t.Errorf("retry %d came after %s, want %s", i+1, got, want)
			}
		}
		cancel()
		group.Wait()
	})
}

// However many subscriptions an event has, however long a store takes for each row, and however much of the lease the step before
// has used up, no step outlives the lease.
func TestManySubscriptionsDoNotOutliveTheLease(t *testing.T) {
	t.Parallel()
	for first, rest := range map[int]int{300: 0, 51: 130, 53: 130, 55: 130, 57: 130, 59: 130} { // 24 s for all, or a first step that ends behind the tick of 5 s
		t.Run(strconv.Itoa(first), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { fanOutSlowly(t, first, rest) })
		})
	}
}

// fanOutSlowly lets events happen in two parts, the second when the first has been read, and queues them by steps of up to 10 s.
func fanOutSlowly(t *testing.T, first, rest int) {
	t.Helper()
	w := newWorld(t)
	const subscriptions = 40
	for range subscriptions {
		w.subscribe("fast")
	}
	var log bytes.Buffer
	s := watched{Store: w.store, claims: &atomic.Int64{}, each: 2 * time.Millisecond, seen: sync.OnceFunc(func() { w.happen(event.StackCreated, rest) })}
	f := &dispatch.Fanout{Store: s, Wakeups: w.store, Holder: "a", Keep: 24 * time.Hour, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: w.mets}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	settled(time.Second)
	w.happen(event.StackCreated, first)
	settled(5 * time.Minute)
	cancel()
	group.Wait()
	want := subscriptions * (first + rest)
	list, err := w.store.Deliveries().Page(t.Context(), page.Query{Limit: want + 1})
	if err != nil || len(list.Items) != want {
		t.Errorf("%d deliveries, %v; want %d", len(list.Items), err, want)
	}
	if log.Len() > 0 {
		t.Errorf("the log has: %s", &log)
	}
}

// An agent that is parked hears of a retry within seconds of when it is due.
func TestRetriesRingForAgents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "far", ClusterName: "far", Status: agent.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		for _, err := range []error{w.store.Agents().Insert(ctx, a), w.store.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(uuid.NewString()), Agent: a.ID, Label: "far"})} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.subscribe("far", func(s *webhook.Subscription) { s.TargetLabels = []string{"far"} })
		stop := w.start("a")
		defer stop()
		w.happen(event.StackCreated, 1)
		settled(time.Second)
		calls, err := w.store.Deliveries().ClaimFor(ctx, a.ID, time.Minute, 0, ports.Quota{Limit: 1, Each: 1})
		if err != nil || len(calls) != 1 {
			t.Fatalf("got %v, %v", calls, err)
		}
		settled(10 * time.Second)
		heard, err := w.store.Listen(ctx, ports.WorkGrew)
		if err != nil {
			t.Fatal(err)
		}
		<-heard // that there may have been something before
		x := webhook.Settle(calls[0].ID, 1, 2, webhook.Outcome{}, time.Now(), 0.5)
		if _, err := w.store.Deliveries().Settle(ctx, a.ID, []webhook.Settlement{x}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-heard
		if took := time.Since(began); took < 2*time.Second || took > 8*time.Second {
			t.Errorf("rung after %s, want soon after 2 s", took)
		}
		settled(time.Minute)
		select {
		case u := <-heard:
			t.Errorf("it rings again, %+v, for what is not taken", u)
		default:
		}
	})
}
