package channels_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/channels"
)

// source is who is connected by one kind of channel.
type source struct {
	mu    sync.Mutex
	since map[agent.ID]time.Time
}

func (s *source) set(since map[agent.ID]time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = since
}

func (s *source) get() map[agent.ID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// counted counts what is said, and fails while it is broken.
type counted struct {
	kept   atomic.Pointer[memory.Channels]
	said   atomic.Int64
	broken atomic.Bool
}

// forget makes it know nothing, as at first.
func (c *counted) forget() { c.kept.Store(memory.NewChannels(time.Now)) }

func (c *counted) Since(ctx context.Context, agents []agent.ID) (map[agent.ID]time.Time, error) {
	return c.kept.Load().Since(ctx, agents)
}

func (c *counted) Withdraw(ctx context.Context, gateway string) error {
	return c.kept.Load().Withdraw(ctx, gateway)
}

func (c *counted) Announce(ctx context.Context, gateway string, n ports.Announcement) (int, error) {
	c.said.Add(1)
	if c.broken.Load() {
		return 0, fault.New(fault.Unavailable, "unavailable", "away")
	}
	return c.kept.Load().Announce(ctx, gateway, n)
}

type world struct {
	*testing.T
	port            *counted
	sockets, parked *source
	kill            context.CancelFunc
	done            chan struct{}
	a, b            agent.ID
	began           time.Time
}

func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, port: &counted{}, sockets: &source{}, parked: &source{}, done: make(chan struct{}), a: "a", b: "b", began: time.Now().UTC()}
		w.port.forget()
		ctx, cancel := context.WithCancel(t.Context())
		w.kill = cancel
		n := channels.New(w.port, time.Now, slog.New(slog.DiscardHandler), w.sockets.get, w.parked.get)
		go func() {
			defer close(w.done)
			if err := n.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		}()
		test(w)
		cancel()
		<-w.done
	})
}

func (w *world) after(d time.Duration, what string, want map[agent.ID]time.Time) {
	w.Helper()
	time.Sleep(d)
	synctest.Wait()
	got, err := w.port.Since(w.Context(), []agent.ID{w.a, w.b})
	if err != nil {
		w.Fatal(err)
	}
	if len(got) != len(want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
	for id, at := range want {
		if !got[id].Equal(at) {
			w.Errorf("%s: %s: got %v, want %v", what, id, got[id], at)
		}
	}
}

func TestChannelsAreToldOfWhenTheyChange(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.sockets.set(map[agent.ID]time.Time{w.a: w.began.Add(time.Second)})
		w.parked.set(map[agent.ID]time.Time{w.a: w.began, w.b: w.began})
		w.after(1100*time.Millisecond, "opened", map[agent.ID]time.Time{w.a: w.began, w.b: w.began})
		w.sockets.set(nil)
		w.parked.set(map[agent.ID]time.Time{w.b: w.began})
		w.after(time.Second, "one is closed", map[agent.ID]time.Time{w.b: w.began})
		before := w.port.said.Load()
		w.after(time.Minute, "a quiet minute", map[agent.ID]time.Time{w.b: w.began})
		if n := w.port.said.Load() - before; n > 13 {
			w.Errorf("%d announcements in a quiet minute, want one every five seconds", n)
		}
		w.kill()
		<-w.done
		w.after(0, "stopped", nil)
	})
}

// What was forgotten, or could not be said, is said as soon as it is noticed.
func TestChannelsAreToldOfAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		all := map[agent.ID]time.Time{w.a: w.began, w.b: w.began}
		w.parked.set(all)
		w.after(1100*time.Millisecond, "opened", all)
		w.port.forget()
		w.after(7*time.Second, "after it was forgotten", all)
		w.port.broken.Store(true)
		w.after(20*time.Second, "nothing was said for longer than it holds", nil)
		w.port.broken.Store(false)
		w.after(1100*time.Millisecond, "said again", all)
	})
}
