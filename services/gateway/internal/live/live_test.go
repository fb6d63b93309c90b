package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/live"
)

const topic = "stack:33333333-3333-4333-8333-333333333333"

func newHub(t *testing.T, limit int) *live.Hub {
	t.Helper()
	h := live.New(memory.NewLive(), limit, live.Gap, time.Now, slog.New(slog.DiscardHandler))
	go func() {
		if err := h.Run(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	return h
}

func TestWhoDoesNotKeepUpIsToldAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 10)
		slow, err := h.Subscribe(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		fast, err := h.Subscribe(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		const frames = 10_000
		got := 0
		for i := 0; i < frames; i += 100 {
			b := ports.LiveBatch{Topic: topic}
			for n := range 100 {
				b.Frames = append(b.Frames, []byte(fmt.Sprint(i+n)))
			}
			h.Offer([]ports.LiveBatch{b})
			synctest.Wait()
			got += len(fast.Take())
		}
		if got != frames {
			t.Errorf("the fast one got %d frames, want all %d", got, frames)
		}
		late := slow.Take()
		var f wire.FrameOf[wire.LogGap]
		if err := json.Unmarshal(late[len(late)-1], &f); err != nil {
			t.Fatal(err)
		}
		if f.Type != wire.FrameLogGap || f.Body.Reason != "buffer_full" || int(f.Body.DroppedCount)+len(late)-1 != frames || h.Dropped() != f.Body.DroppedCount {
			t.Errorf("the slow one got %d frames and %+v, want that to be all", len(late)-1, f)
		}
		if string(late[0]) != "0" || string(late[len(late)-2]) != fmt.Sprint(len(late)-2) {
			t.Errorf("the slow one's frames are not the first ones in a row")
		}
		h.Offer([]ports.LiveBatch{{Topic: topic, Frames: [][]byte{[]byte("again")}}})
		synctest.Wait()
		if again := slow.Take(); len(again) != 1 || string(again[0]) != "again" {
			t.Errorf("after it has read: got %q, want the next frame", again)
		}
		slow.Leave()
		slow.Leave()
		fast.Leave()
		if n := h.Subscribers(); n != 0 {
			t.Errorf("subscribers: got %d, want 0", n)
		}
		synctest.Wait()
	})
}

func TestSubscribersAreLimitedAndDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, 1)
		s, err := h.Subscribe(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Subscribe(t.Context(), topic); !fault.Is(err, fault.Limited) {
			t.Errorf("one too many: got %v, want Limited", err)
		}
		h.Drain()
		select {
		case <-s.Ended():
		default:
			t.Error("the drain was not told")
		}
		if _, err := h.Subscribe(t.Context(), topic); !fault.Is(err, fault.Unavailable) {
			t.Errorf("in a drain: got %v, want Unavailable", err)
		}
		s.Leave()
		synctest.Wait()
	})
}

// slowPort connects when it is let, or fails.
type slowPort struct {
	ports.Live
	let chan error
}

func (p slowPort) Subscribe(ctx context.Context, topic string) (<-chan ports.LiveBatch, error) {
	select {
	case err := <-p.let:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.Live.Subscribe(ctx, topic)
}

func TestNobodyWaitsForAConnectionBeingMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		port := slowPort{Live: memory.NewLive(), let: make(chan error)}
		h := live.New(port, 10, live.Gap, time.Now, slog.New(slog.DiscardHandler))
		go func() { _ = h.Run(t.Context()) }()
		began := time.Now()
		answers := make(chan *live.Subscription, 2)
		for range 2 {
			go func() {
				s, err := h.Subscribe(t.Context(), topic)
				if err != nil {
					t.Error(err)
				}
				answers <- s
			}()
		}
		synctest.Wait()
		h.Offer([]ports.LiveBatch{{Topic: topic, Frames: [][]byte{[]byte("lost")}}}) // it must not wait
		synctest.Wait()
		if n := h.Subscribers(); n != 2 || !time.Now().Equal(began) {
			t.Errorf("while the connection is made: %d subscribers after %s, want 2 at once", n, time.Since(began))
		}
		port.let <- nil
		one, two := <-answers, <-answers
		h.Offer([]ports.LiveBatch{{Topic: topic, Frames: [][]byte{[]byte("heard")}}})
		synctest.Wait()
		if x, y := one.Take(), two.Take(); len(x) != 1 || len(y) != 1 {
			t.Errorf("once it is made: got %q and %q, want the frame", x, y)
		}
		one.Leave()
		two.Leave()
		synctest.Wait()
	})
}

func TestAConnectionThatCannotBeMadeIsToldToAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		port := slowPort{Live: memory.NewLive(), let: make(chan error)}
		h := live.New(port, 10, live.Gap, time.Now, slog.New(slog.DiscardHandler))
		early, err := h.Subscribe(t.Context(), topic) // it does not wait for ever
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := h.Subscribe(t.Context(), topic)
			failed <- err
		}()
		synctest.Wait()
		away := fault.New(fault.Unavailable, "unavailable", "away")
		port.let <- away
		if err := <-failed; !errors.Is(err, away) {
			t.Errorf("who still waits: got %v, want why", err)
		}
		select {
		case <-early.Ended():
		default:
			t.Error("who went on without an answer was not told")
		}
		if n := h.Subscribers(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
		early.Leave()
		again := make(chan error, 1)
		go func() {
			s, err := h.Subscribe(t.Context(), topic)
			if err == nil {
				s.Leave()
			}
			again <- err
		}()
		port.let <- nil
		if err := <-again; err != nil || h.Subscribers() != 0 {
			t.Errorf("later: %v, %d subscribers", err, h.Subscribers())
		}
		synctest.Wait()
	})
}
