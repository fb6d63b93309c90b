package porttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// Live checks that an adapter keeps the contract of ports.Live. Open returns two replicas that share a server, which works
// all through the test and which only this test uses; an adapter within one process returns the same one twice.
func Live(t *testing.T, open func(t *testing.T) (one, two ports.Live)) {
	t.Helper()
	for name, run := range map[string]func(t *testing.T, one, two ports.Live){
		"frames reach the topic's subscribers everywhere": liveEverywhere,
		"topics are apart":                        liveTopics,
		"what was published before does not come": liveBefore,
		"a subscriber that is gone is closed":     liveGone,
		"one who comes later hears from then on":  liveLater,
		"a slow reader is told and blocks nobody": liveSlow,
		"a large batch":                           liveLarge,
		"nothing to say":                          liveNothing,
		"a cancelled context":                     liveCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := open(t)
			run(t, one, two)
		})
	}
}

// watch returns a subscription that listens.
func watch(t *testing.T, ctx context.Context, l ports.Live, topic string) <-chan ports.LiveBatch {
	t.Helper()
	ch, err := l.Subscribe(ctx, topic)
	wantNone(t, "subscribe", err)
	if first := receive(t, "first batch", ch); !first.Lost || len(first.Frames) > 0 {
		t.Fatalf("first batch: got %+v, want a lost one", first)
	}
	return ch
}

func batch(topic string, frames ...string) ports.LiveBatch {
	b := ports.LiveBatch{Topic: topic}
	for _, f := range frames {
		b.Frames = append(b.Frames, []byte(f))
	}
	return b
}

func say(t *testing.T, l ports.Live, batches ...ports.LiveBatch) {
	t.Helper()
	wantNone(t, "publish", l.Publish(t.Context(), batches))
}

// frames takes n frames; that something is lost is said at most by those who join, and passed over.
func frames(t *testing.T, topic string, ch <-chan ports.LiveBatch, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		b := receive(t, fmt.Sprintf("batch after %d of %d frames", len(got), n), ch)
		if b.Topic != topic {
			t.Fatalf("topic: got %q, want %q", b.Topic, topic)
		}
		for _, f := range b.Frames {
			got = append(got, string(f))
		}
	}
	return got
}

func liveEverywhere(t *testing.T, one, two ports.Live) {
	x, y, z := watch(t, t.Context(), one, "stack:a"), watch(t, t.Context(), two, "stack:a"), watch(t, t.Context(), two, "stack:a")
	say(t, one, batch("stack:a", `{"n":1}`, `{"n":2}`))
	say(t, one, batch("stack:a", `{"n":3}`))
	want := []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}
	for name, ch := range map[string]<-chan ports.LiveBatch{"the same replica": x, "the other replica": y, "another subscriber": z} {
		wantSame(t, name, frames(t, "stack:a", ch, 3), want)
	}
}

func liveTopics(t *testing.T, one, two ports.Live) {
	a, b := watch(t, t.Context(), one, "stack:a"), watch(t, t.Context(), two, "stack:b")
	say(t, two, batch("stack:a", "1"), batch("stack:b", "2"), batch("stack:c", "3"))
	wantSame(t, "a", frames(t, "stack:a", a, 1), []string{"1"})
	wantSame(t, "b", frames(t, "stack:b", b, 1), []string{"2"})
	wantQuiet(t, "a frame of another topic", a)
}

func liveBefore(t *testing.T, one, two ports.Live) {
	say(t, one, batch("stack:a", "before"))
	wantQuiet(t, "a frame from before", watch(t, t.Context(), two, "stack:a"))
}

func liveGone(t *testing.T, one, two ports.Live) {
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := watch(t, ctx, one, "stack:a"), watch(t, t.Context(), one, "stack:a")
	cancel()
	wantClosed(t, "the channel of a context that ended", gone)
	say(t, two, batch("stack:a", "1"))
	wantSame(t, "the other", frames(t, "stack:a", stays, 1), []string{"1"})
	again := watch(t, t.Context(), two, "stack:a")
	say(t, one, batch("stack:a", "2"))
	wantSame(t, "one who came later", frames(t, "stack:a", again, 1), []string{"2"})
}

// liveLater has everybody leave and somebody come back, as people do.
func liveLater(t *testing.T, one, two ports.Live) {
	for i := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		ch := watch(t, ctx, one, "stack:a")
		text := fmt.Sprint(i)
		say(t, two, batch("stack:a", text))
		wantSame(t, "frame", frames(t, "stack:a", ch, 1), []string{text})
		cancel()
		wantClosed(t, "the channel", ch)
	}
}

func liveSlow(t *testing.T, one, two ports.Live) {
	const batches = 2000
	slow, fast := watch(t, t.Context(), one, "stack:a"), watch(t, t.Context(), two, "stack:a")
	done := make(chan bool, 1)
	go func() {
		for b := range fast {
			if len(b.Frames) > 0 && string(b.Frames[len(b.Frames)-1]) == "last" {
				done <- true
				return
			}
		}
	}()
	for i := range batches {
		say(t, one, batch("stack:a", fmt.Sprint(i)))
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // the fast one is no faster than this machine
		}
	}
	say(t, one, batch("stack:a", "last"))
	receive(t, "the fast one's last frame", done)
	seen := 0
	for end := time.After(patience); ; {
		select {
		case b := <-slow:
			if seen += len(b.Frames); b.Lost || seen > batches {
				return
			}
		case <-end:
			t.Fatalf("the slow one got %d of %d frames and was not told", seen, batches)
		}
	}
}

func liveLarge(t *testing.T, one, two ports.Live) {
	ch := watch(t, t.Context(), two, "stack:a")
	var want []string
	for i := range 2000 {
		want = append(want, fmt.Sprint(i, " ", strings.Repeat("x", 300)))
	}
	want = append(want, strings.Repeat("y", 1<<20))
	say(t, one, batch("stack:a", want...))
	wantSame(t, "frames", frames(t, "stack:a", ch, len(want)), want)
}

func liveNothing(t *testing.T, one, two ports.Live) {
	ch := watch(t, t.Context(), two, "stack:a")
	say(t, one)
	say(t, one, batch("stack:a"))
	wantQuiet(t, "a batch of nothing", ch)
}

func liveCancelled(t *testing.T, one, _ ports.Live) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := one.Publish(ctx, []ports.LiveBatch{batch("stack:a", "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("publish: got %v, want context.Canceled", err)
	}
	if ch, err := one.Subscribe(ctx, "stack:a"); err == nil {
		wantClosed(t, "the channel of a context that ended before", ch)
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("subscribe: got %v, want context.Canceled", err)
	}
}
