package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Signals checks that an adapter keeps the contract of ports.Signals. Open returns signals whose server works all through
// the test and that only this test uses.
func Signals(t *testing.T, open func(t *testing.T) ports.Signals) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, ports.Signals){
		"the first batch is nil":                    signalFirst,
		"a batch reaches every subscriber in order": signalEveryone,
		"a subscriber that is gone is closed":       signalGone,
		"a slow reader is told and blocks nobody":   signalSlow,
		"nothing to say":                            signalNothing,
		"a cancelled context":                       signalCancelled,
		"batches are copies":                        signalCopies,
		"many publishers":                           signalMany,
		"a large batch":                             signalLarge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func newSignal(r delivery.Revision) ports.Signal {
	return ports.Signal{Agent: newID[agent.ID](), Revision: r}
}

// subscribe returns a subscription of which the first, nil, batch was taken.
func subscribe(t *testing.T, ctx context.Context, s ports.Signals) <-chan []ports.Signal {
	t.Helper()
	ch, err := s.Subscribe(ctx)
	wantNone(t, "subscribe", err)
	if first := receive(t, "first batch", ch); first != nil {
		t.Fatalf("first batch: got %v, want nil", first)
	}
	return ch
}

// collect takes batches until n signals have come; a nil batch fails the test, because nothing was lost.
func collect(t *testing.T, ch <-chan []ports.Signal, n int) []ports.Signal {
	t.Helper()
	var got []ports.Signal
	for len(got) < n {
		batch := receive(t, "batch", ch)
		if batch == nil {
			t.Fatalf("after %d of %d signals: got a nil batch", len(got), n)
		}
		got = append(got, batch...)
	}
	return got
}

func signalFirst(t *testing.T, s ports.Signals) {
	wantNone(t, "publish before anybody listens", s.Publish(t.Context(), []ports.Signal{newSignal(1)}))
	ch := subscribe(t, t.Context(), s)
	wantQuiet(t, "a batch from before", ch)
}

func signalEveryone(t *testing.T, s ports.Signals) {
	x, y := subscribe(t, t.Context(), s), subscribe(t, t.Context(), s)
	want := []ports.Signal{newSignal(1), newSignal(2), newSignal(1 << 53)}
	wantNone(t, "publish", s.Publish(t.Context(), want[:2]))
	wantNone(t, "publish", s.Publish(t.Context(), want[2:]))
	wantSame(t, "signals of the first", collect(t, x, 3), want)
	wantSame(t, "signals of the second", collect(t, y, 3), want)
}

func signalGone(t *testing.T, s ports.Signals) {
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := subscribe(t, ctx, s), subscribe(t, t.Context(), s)
	cancel()
	wantClosed(t, "the channel of a context that ended", gone)
	want := []ports.Signal{newSignal(1)}
	wantNone(t, "publish", s.Publish(t.Context(), want))
	wantSame(t, "signals of the other", collect(t, stays, 1), want)
}

// signalSlow has one subscriber that never reads while another gets everything; then it reads, and finds either all
// of it or a nil batch after which it must look at everything.
func signalSlow(t *testing.T, s ports.Signals) {
	const batches = 3000
	slow, fast := subscribe(t, t.Context(), s), subscribe(t, t.Context(), s)
	last := newSignal(batches)
	done := make(chan []ports.Signal, 1)
	go func() {
		var got []ports.Signal
		for b := range fast {
			got = append(got, b...)
			if len(b) > 0 && b[len(b)-1] == last {
				break
			}
		}
		done <- got
	}()
	for i := range batches - 1 {
		wantNone(t, "publish", s.Publish(t.Context(), []ports.Signal{newSignal(delivery.Revision(i + 1))}))
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // the fast one is no faster than this machine
		}
	}
	wantNone(t, "publish", s.Publish(t.Context(), []ports.Signal{last}))
	if got := receive(t, "the fast one's signals", done); len(got) == 0 {
		t.Fatal("the fast one got nothing")
	}
	seen, told := 0, false
	for end := time.After(patience); ; {
		select {
		case b, ok := <-slow:
			if !ok {
				t.Fatal("the slow one's channel is closed")
			}
			seen += len(b)
			told = told || b == nil
			if !told && seen < batches {
				continue
			}
			return
		case <-end:
			t.Fatalf("the slow one got %d of %d signals and no nil batch", seen, batches)
		}
	}
}

func signalNothing(t *testing.T, s ports.Signals) {
	ch := subscribe(t, t.Context(), s)
	wantNone(t, "publish nil", s.Publish(t.Context(), nil))
	wantNone(t, "publish nothing", s.Publish(t.Context(), []ports.Signal{}))
	wantQuiet(t, "a batch of nothing", ch)
}

func signalCancelled(t *testing.T, s ports.Signals) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Publish(ctx, []ports.Signal{newSignal(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("publish: got %v, want context.Canceled", err)
	}
	if ch, err := s.Subscribe(ctx); err == nil {
		wantClosed(t, "the channel of a context that ended before", ch)
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("subscribe: got %v, want context.Canceled", err)
	}
}

func signalCopies(t *testing.T, s ports.Signals) {
	x, y := subscribe(t, t.Context(), s), subscribe(t, t.Context(), s)
	batch := []ports.Signal{newSignal(1)}
	want := batch[0]
	wantNone(t, "publish", s.Publish(t.Context(), batch))
	batch[0].Revision = 99
	got := collect(t, x, 1)
	wantSame(t, "signal", got[0], want)
	got[0].Revision = 98
	wantSame(t, "signal of the other", collect(t, y, 1)[0], want)
}

func signalMany(t *testing.T, s ports.Signals) {
	const publishers, each = 4, 20
	ch := subscribe(t, t.Context(), s)
	for _, err := range race(publishers, func(int) error {
		for i := range each {
			if err := s.Publish(t.Context(), []ports.Signal{newSignal(delivery.Revision(i + 1))}); err != nil {
				return err
			}
		}
		return nil
	}) {
		wantNone(t, "publish", err)
	}
	seen := map[agent.ID]bool{}
	for _, x := range collect(t, ch, publishers*each) {
		seen[x.Agent] = true
	}
	wantSame(t, "different signals", len(seen), publishers*each)
}

func signalLarge(t *testing.T, s ports.Signals) {
	ch := subscribe(t, t.Context(), s)
	want := make([]ports.Signal, 10000)
	for i := range want {
		want[i] = ports.Signal{Agent: agent.ID(uuid.NewString()), Revision: delivery.Revision(i + 1)}
	}
	wantNone(t, "publish", s.Publish(t.Context(), want))
	wantSame(t, "signals", collect(t, ch, len(want)), want)
}
