package courier_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/courier"
)

// world is a broker and all receivers.
type world struct {
	*testing.T
	mu      sync.Mutex
	queue   []wire.PendingWebhook
	fetches []error // what the next ones answer
	tells   []error
	asked   int
	told    map[string][]wire.WebhookResult
	sent    []webhook.Request
	now     int
	most    int
	classes map[string]int
}

func newWorld(t *testing.T) *world {
	return &world{T: t, told: map[string][]wire.WebhookResult{}, classes: map[string]int{}}
}

func (w *world) wait(n int, url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.queue = append(w.queue, wire.PendingWebhook{ID: fmt.Sprintf("%s-%d", url, len(w.queue)), EventType: "stack.created", Payload: "{}", URL: url, TimeoutSeconds: 30, Signature: "t=1,v1=a"})
	}
}

func (w *world) PendingWebhooks(_ context.Context, id agent.ID) ([]wire.PendingWebhook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if len(w.fetches) > 0 {
		err := w.fetches[0]
		w.fetches = w.fetches[1:]
		return nil, err
	}
	if id != "me" {
		w.Errorf("asked for %s", id)
	}
	n := min(10, len(w.queue))
	out := w.queue[:n:n]
	w.queue = w.queue[n:]
	return out, nil
}

func (w *world) TellWebhook(_ context.Context, d string, r wire.WebhookResult) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[d] = append(w.told[d], r)
	if len(w.tells) > 0 {
		err := w.tells[0]
		w.tells = w.tells[1:]
		return err
	}
	return nil
}

func (w *world) Send(ctx context.Context, r webhook.Request) webhook.Outcome {
	w.mu.Lock()
	w.sent = append(w.sent, r)
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	switch r.URL {
	case "good":
		return webhook.Outcome{Class: webhook.Delivered, Success: true, StatusCode: 204, Took: 12 * time.Millisecond}
	case "bad":
		return webhook.Outcome{Class: webhook.WrongAnswer, StatusCode: 500, Error: "the receiver answered 500"}
	default:
		select {
		case <-ctx.Done():
			return webhook.Outcome{Class: webhook.Unreachable, Error: "stopped"}
		case <-time.After(r.Timeout):
			return webhook.Outcome{Class: webhook.TimedOut, Error: "no answer"}
		}
	}
}

func (w *world) start() (c *courier.Courier, stop func()) {
	c = courier.New(w, "me", w, func(class string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.classes[class]++
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			w.Error(err)
		}
	}()
	return c, func() {
		cancel()
		<-done
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, stop := w.start()
		defer stop()
		auth := "Bearer b"
		w.wait(1, "good")
		w.queue[0].AuthHeader = &auth
		w.wait(1, "bad")
		settle(time.Hour)
		if w.asked != 0 {
			t.Errorf("asked %d times without a reason", w.asked)
		}
		c.Ring()
		synctest.Wait()
		want := webhook.Request{URL: "good", AuthHeader: auth, EventType: "stack.created", DeliveryID: "good-0", Signature: "t=1,v1=a", Body: "{}", Timeout: 30 * time.Second}
		if len(w.sent) != 2 || (w.sent[0] != want && w.sent[1] != want) {
			t.Errorf("sent %+v, want %+v among it", w.sent, want)
		}
		status, failed, ms, none, text := 204, 500, int64(12), int64(0), "the receiver answered 500"
		if diff := cmp.Diff(map[string][]wire.WebhookResult{
			"good-0": {{Success: true, StatusCode: &status, DurationMS: &ms}}, "bad-1": {{StatusCode: &failed, Error: &text, DurationMS: &none}},
		}, w.told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if w.classes["delivered"] != 1 || w.classes["answer"] != 1 {
			t.Errorf("counted %v", w.classes)
		}
		if w.asked > 4 {
			t.Errorf("asked %d times for two deliveries", w.asked)
		}
	})
}

func TestReceiversThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, stop := w.start()
		w.wait(200, "hangs")
		c.Ring()
		settle(time.Second)
		if w.peak() != 20 {
			t.Errorf("%d attempts at a time, want 20", w.peak())
		}
		settle(10 * time.Minute)
		if w.all() != 200 || w.peak() != 20 {
			t.Errorf("told of %d, %d at a time", w.all(), w.peak())
		}
		w.wait(1, "hangs still")
		c.Ring()
		settle(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 5*time.Second || w.all() != 200 {
			t.Errorf("the end took %s; told of %d, want nothing of the one that was cut off", took, w.all())
		}
	})
}

func TestABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		away := fault.New(fault.Unavailable, "broker_unreachable", "away")
		w.fetches, w.tells = []error{away, away}, []error{away, away, away}
		w.wait(1, "good")
		c, stop := w.start()
		defer stop()
		c.Ring()
		settle(2 * time.Minute)
		if got := w.times("good-0"); w.calls() != 1 || got != 4 {
			t.Errorf("sent %d times, told %d times; want one and four", w.calls(), got)
		}
		for name, err := range map[string]error{"over": fault.New(fault.Forbidden, "delivery_not_acquired_by_agent", "over"), "gone": fault.New(fault.NotFound, "delivery_not_found", "gone")} {
			w.refuse(err)
			w.wait(1, "bad")
			w.forget()
			c.Ring()
			settle(5 * time.Minute)
			if w.all() != 1 || w.times("bad-0") != 1 {
				t.Errorf("%s: told of %d, want of one, once", name, w.all())
			}
		}
		w.refuse(slices.Repeat([]error{away}, 1000)...)
		w.wait(1, "bad")
		w.forget()
		c.Ring()
		settle(time.Hour)
		if n := w.times("bad-0"); n < 4 || n > 12 {
			t.Errorf("told %d times in vain, want it given up when the claim is over", n)
		}
	})
}

// settle lets d pass and waits until all is quiet.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func read[T any](w *world, f func() T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return f()
}

// peak is how many attempts ran at a time, at most.
func (w *world) peak() int { return read(w, func() int { return w.most }) }

// times is how often the broker was told of a delivery, all of how many, calls how many attempts there were.
func (w *world) times(id string) int { return read(w, func() int { return len(w.told[id]) }) }
func (w *world) all() int            { return read(w, func() int { return len(w.told) }) }
func (w *world) calls() int          { return read(w, func() int { return len(w.sent) }) }

// refuse lets the broker answer the next calls with these errors.
func (w *world) refuse(errs ...error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tells = errs
}

func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.told)
}
