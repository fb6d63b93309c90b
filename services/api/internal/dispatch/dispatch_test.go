package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/services/api/internal/dispatch"
)

// receivers answers calls as told by the URL's host, and counts them.
type receivers struct {
	mu    sync.Mutex
	calls map[string][]time.Time
	most  map[string]int // at a time
	now   map[string]int
}

func newReceivers() *receivers {
	return &receivers{calls: map[string][]time.Time{}, most: map[string]int{}, now: map[string]int{}}
}

func (r *receivers) Send(ctx context.Context, q webhook.Request) webhook.Outcome {
	host := strings.TrimPrefix(q.URL, "http://")
	r.mu.Lock()
	r.calls[host] = append(r.calls[host], time.Now())
	r.now[host]++
	r.most[host] = max(r.most[host], r.now[host])
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now[host]--
		r.mu.Unlock()
	}()
	switch host {
	case "fast":
		return webhook.Outcome{Class: webhook.Delivered, Success: true, StatusCode: 200}
	case "broken":
		return webhook.Outcome{Class: webhook.WrongAnswer, StatusCode: 500}
	default: // it hangs
		select {
		case <-ctx.Done():
			return webhook.Outcome{Class: webhook.Unreachable, Error: "stopped"}
		case <-time.After(q.Timeout):
			return webhook.Outcome{Class: webhook.TimedOut, Error: "no answer"}
		}
	}
}

// atOnce returns how many calls host had at a time, at most.
func (r *receivers) atOnce(host string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most[host]
}

func (r *receivers) count(host string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls[host])
}

type world struct {
	t     *testing.T
	store *memory.Store
	to    *receivers
	mets  *dispatch.Metrics
}

func newWorld(t *testing.T) *world {
	return &world{t: t, store: memory.New(time.Now), to: newReceivers(), mets: dispatch.NewMetrics(prometheus.NewRegistry())}
}

func (w *world) subscribe(host string, change ...func(*webhook.Subscription)) webhook.ID {
	w.t.Helper()
	s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: host, EventTypes: []string{"*"}, Enabled: true, MaxRetries: 2,
		Timeout: 30 * time.Second, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	for _, f := range change {
		f(&s)
	}
	if err := w.store.Webhooks().Insert(w.t.Context(), s, webhook.Target{URL: "http://" + host, Secret: "0123456789abcdef"}); err != nil {
		w.t.Fatal(err)
	}
	return s.ID
}

// happen appends n events of the type, all at once: nobody sees some of them.
func (w *world) happen(typ event.Type, n int) {
	w.t.Helper()
	all := make([]event.Event, n)
	for i := range all {
		all[i] = event.Event{ID: uuid.NewString(), Type: typ, At: time.Now(), Data: map[string]any{"stack_id": "s"}}
	}
	if err := w.store.Outbox().Append(w.t.Context(), all...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) statuses(id webhook.ID) map[webhook.Status]int {
	w.t.Helper()
	list, err := w.store.Deliveries().Page(w.t.Context(), page.Query{Limit: 1000, Is: map[string]string{"subscription_id": string(id)}})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[webhook.Status]int{}
	for _, d := range list.Items {
		out[d.Status]++
	}
	return out
}

// start runs a replica until the returned function is called.
func (w *world) start(holder string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &dispatch.Fanout{Store: w.store, Wakeups: w.store, Holder: holder, Keep: 24 * time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: w.mets}
	d := &dispatch.Dispatcher{Store: w.store, Wakeups: w.store, Sender: w.to, Workers: 64, Each: 4, Now: time.Now,
		Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler), Metrics: w.mets}
	var group sync.WaitGroup
	for _, run := range []func(context.Context) error{f.Run, d.Run} {
		group.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Errorf("%s: %v", holder, err)
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func settled(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestEveryEventIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.happen(event.StackCreated, 1) // before anybody asked
		time.Sleep(time.Second)
		all := w.subscribe("fast")
		some := w.subscribe("fast", func(s *webhook.Subscription) { s.EventTypes = []string{"agent.*"} })
		stops := []func(){w.start("a"), w.start("b"), w.start("c")}
		w.happen(event.StackCreated, 30)
		w.happen(event.AgentChanged, 3) // nobody's business
		settled(time.Minute)
		for _, stop := range stops {
			stop()
		}
		if got := w.statuses(all); got[webhook.Success] != 30 || len(got) != 1 || w.to.count("fast") != 30 {
			t.Errorf("got %v in %d calls, want 30 deliveries, each once", got, w.to.count("fast"))
		}
		if got := w.statuses(some); len(got) != 0 {
			t.Errorf("got %v of what was not asked for", got)
		}
	})
}

func TestOneThatHangsCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hangs, fast := w.subscribe("hangs"), w.subscribe("fast")
		stop := w.start("a")
		w.happen(event.StackCreated, 200)
		settled(time.Second)
		if got := w.statuses(fast); got[webhook.Success] != 200 {
			t.Errorf("after a second: %v, want all delivered while the other hangs", got)
		}
		if w.to.atOnce("hangs") != 4 {
			t.Errorf("%d calls at a time to the one that hangs, want its quota of 4", w.to.atOnce("hangs"))
		}
		settled(time.Minute)
		w.to.mu.Lock()
		w.to.most["hangs"] = 0
		w.to.mu.Unlock()
		settled(5 * time.Minute)
		if most := w.to.atOnce("hangs"); most != 1 {
			t.Errorf("%d calls at a time to one that goes on hanging, want one", most)
		}
		stop()
		if got := w.statuses(hangs); got[webhook.Acquired] != 0 {
			t.Errorf("after the stop: %v, want nothing left in somebody's hands", got)
		}
	})
}

func TestRetriesThenDeadThenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.subscribe("broken")
		stop := w.start("a")
		defer stop()
		w.happen(event.StackCreated, 1)
		settled(time.Minute)
		if got := w.statuses(id); got[webhook.Dead] != 1 {
			t.Fatalf("got %v, want it dead", got)
		}
		calls := w.to.calls["broken"]
		if len(calls) != 3 {
			t.Fatalf("%d attempts, want one and two retries", len(calls))
		}
		for i, want := range []time.Duration{2 * time.Second, 8 * time.Second} {
			if got := calls[i+1].Sub(calls[i]); got < want || got > want+2*time.Second {
				t.Errorf("retry %d came after %s, want %s", i+1, got, want)
			}
		}
		list, err := w.store.Deliveries().Page(t.Context(), webhook.DeliveryList().All(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Deliveries().Redeliver(t.Context(), list.Items[0].ID); err != nil {
			t.Fatal(err)
		}
		settled(100 * time.Millisecond)
		if got := w.to.count("broken"); got != 4 {
			t.Errorf("%d attempts after a redelivery, want 4", got)
		}
	})
}

// A replica that is away loses nothing: the next holder goes on where the cursor is.
func TestNothingIsLostBetweenReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.subscribe("fast")
		stop := w.start("a")
		w.happen(event.StackCreated, 5)
		settled(time.Second)
		stop()
		w.happen(event.StackDeleted, 7)
		settled(time.Hour)
		stop = w.start("b")
		settled(time.Minute)
		stop()
		if got := w.statuses(id); got[webhook.Success] != 12 || w.to.count("fast") != 12 {
			t.Errorf("got %v in %d calls, want 12", got, w.to.count("fast"))
		}
		stop = w.start("c")
		settled(30 * time.Hour)
		stop()
		if got := w.statuses(id); len(got) != 0 {
			t.Errorf("got %v after the time that deliveries are kept, want none", got)
		}
	})
}

// A stop in the middle of the last attempt is not the receiver's fault: it is tried again.
func TestAStopIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.subscribe("hangs", func(s *webhook.Subscription) { s.MaxRetries = 0 })
		stop := w.start("a")
		w.happen(event.StackCreated, 1)
		settled(time.Second)
		stop()
		if got := w.statuses(id); got[webhook.Failed] != 1 {
			t.Errorf("got %v, want it to be tried again", got)
		}
		stop = w.start("b")
		settled(time.Minute)
		stop()
		if got := w.to.count("hangs"); got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
	})
}

// BenchmarkDeliveries shows how many deliveries a second one replica makes while another receiver hangs, on the memory store.
func BenchmarkDeliveries(b *testing.B) {
	store, to := memory.New(time.Now), newReceivers()
	for i := range 9 {
		host := "fast"
		if i == 0 {
			host = "hangs"
		}
		s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: fmt.Sprint(i), EventTypes: []string{"*"}, Enabled: true, Timeout: time.Second, CreatedAt: time.Now()}
		if err := store.Webhooks().Insert(b.Context(), s, webhook.Target{URL: "http://" + host, Secret: "0123456789abcdef"}); err != nil {
			b.Fatal(err)
		}
		var list []webhook.Delivery
		for range b.N/8 + 1 {
			list = append(list, webhook.Delivery{ID: webhook.DeliveryID(uuid.NewString()), Subscription: s.ID, EventType: event.StackCreated, EventID: uuid.NewString(), Payload: "{}"})
		}
		if _, err := store.Deliveries().Enqueue(b.Context(), list); err != nil {
			b.Fatal(err)
		}
	}
	d := &dispatch.Dispatcher{Store: store, Wakeups: store, Sender: to, Workers: 1024, Each: 16, Now: time.Now, Jitter: func() float64 { return 0.5 },
		Log: slog.New(slog.DiscardHandler), Metrics: dispatch.NewMetrics(prometheus.NewRegistry())}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- d.Run(ctx) }()
	for to.count("fast") < b.N {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
