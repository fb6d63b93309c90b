package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/redis"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// held is longer than one call may take: the bound, and what a busy machine adds.
const held = 600 * time.Millisecond

// within fails if call takes longer than a request may be held.
func within(t *testing.T, what string, call func() error) error {
	t.Helper()
	begin := time.Now()
	err := call()
	if took := time.Since(begin); took > held {
		t.Fatalf("%s took %v, want less than %v", what, took, held)
	}
	return err
}

// calls are all calls of cache and signals, by name.
func calls(ctx context.Context, c *redis.TargetCache, s *redis.Signals) map[string]func() error {
	return map[string]func() error{
		"revisions": func() error { _, err := c.Revisions(ctx, []agent.ID{"agent"}); return err },
		"get":       func() error { _, _, err := c.Get(ctx, "agent", 1); return err },
		"put":       func() error { return c.Put(ctx, "agent", 1, []byte("value")) },
		"flush":     func() error { return c.Flush(ctx) },
		"publish":   func() error { return s.Publish(ctx, []ports.Signal{{Agent: "agent", Revision: 1}}) },
	}
}

func wantUnavailable(t *testing.T, c *redis.TargetCache, s *redis.Signals) {
	t.Helper()
	for name, call := range calls(t.Context(), c, s) {
		if err := within(t, name, call); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%s: got %v, want Unavailable", name, err)
		}
	}
}

// wantBack waits until every call works again.
func wantBack(t *testing.T, c *redis.TargetCache, s *redis.Signals) {
	t.Helper()
	for name, call := range calls(t.Context(), c, s) {
		await(t, name+" works again", func() bool { return within(t, name, call) == nil })
	}
}

func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	client := open(t, server.URL())
	c, s := redis.NewTargetCache(client, time.Hour), redis.NewSignals(client, slog.New(slog.DiscardHandler))
	wantBack(t, c, s)
	if err := c.Put(t.Context(), "agent", 9, []byte("value")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	wantUnavailable(t, c, s)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantBack(t, c, s)
	// The script went with the server, and so did what it held: an older revision is news again.
	if err := c.Put(t.Context(), "fresh", 3, []byte("value")); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.Get(t.Context(), "agent", 9); ok || err != nil {
		t.Fatalf("get: got %v, %v, want that it was forgotten", ok, err)
	}
}

func TestPausedAndResumed(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	client := open(t, server.URL())
	c, s := redis.NewTargetCache(client, time.Hour), redis.NewSignals(client, slog.New(slog.DiscardHandler))
	wantBack(t, c, s)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, c, s)

	// A server that does not answer is left alone: a hundred callers do not wait a hundred times.
	begin := time.Now()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, _, err := c.Get(t.Context(), "agent", 1); !fault.Is(err, fault.Unavailable) {
				t.Errorf("get: got %v, want Unavailable", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begin); took > held {
		t.Fatalf("a hundred callers took %v, want less than %v", took, held)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, c, s)
}

func TestNeverThere(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	server.Kill()
	client := open(t, server.URL())
	c, s := redis.NewTargetCache(client, time.Hour), redis.NewSignals(client, slog.New(slog.DiscardHandler))
	wantUnavailable(t, c, s)
	ch, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	next(t, ch, "the first batch without Redis", nil)
	next(t, ch, "another one while it is away", nil)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantBack(t, c, s)
	wantHeard(t, s, ch, 5)
}

// wantHeard publishes until the subscriber hears it.
func wantHeard(t *testing.T, s *redis.Signals, ch <-chan []ports.Signal, r delivery.Revision) {
	t.Helper()
	want := ports.Signal{Agent: "heard", Revision: r}
	for end := time.After(15 * time.Second); ; {
		if err := s.Publish(t.Context(), []ports.Signal{want}); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatalf("publish: %v", err)
		}
		wait := time.After(50 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case b, ok := <-ch:
				if !ok {
					t.Fatal("the subscription ended")
				}
				for _, got := range b {
					if got == want {
						return
					}
				}
			case <-wait:
				waiting = false
			case <-end:
				t.Fatalf("revision %d was not heard", r)
			}
		}
	}
}

// wantNil waits for a nil batch.
func wantNil(t *testing.T, what string, ch <-chan []ports.Signal, limit time.Duration) {
	t.Helper()
	for end := time.After(limit); ; {
		select {
		case b, ok := <-ch:
			if !ok {
				t.Fatalf("%s: the subscription ended", what)
			}
			if b == nil {
				return
			}
		case <-end:
			t.Fatalf("%s: no nil batch within %v", what, limit)
		}
	}
}

// log is a log that tests can read while it is written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) lines(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

func TestSubscriptionSurvivesAKill(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	var lines log
	s := redis.NewSignals(open(t, server.URL()), slog.New(slog.NewTextHandler(&lines, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := s.Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next(t, ch, "the first batch", nil)
	wantHeard(t, s, ch, 1)
	server.Kill()
	wantNil(t, "after the kill", ch, 3*time.Second)
	wantNil(t, "while it is away", ch, 3*time.Second)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNil(t, "after the restart", ch, 5*time.Second)
	wantHeard(t, s, ch, 2)
	if n := lines.lines("signals are not heard"); n != 1 {
		t.Errorf("the log says %d times that signals are not heard, want once", n)
	}
	server.Kill()
	wantNil(t, "after the second kill", ch, 3*time.Second)
	cancel()
	await(t, "the channel is closed while Redis is away", func() bool {
		select {
		case _, ok := <-ch:
			return !ok
		default:
			return false
		}
	})
}

// TestSubscriptionNoticesSilence has a server that keeps the connection and says nothing.
func TestSubscriptionNoticesSilence(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	s := redis.NewSignals(open(t, server.URL()), slog.New(slog.DiscardHandler))
	ch, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next(t, ch, "the first batch", nil)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	wantNil(t, "in silence", ch, 4*time.Second)
	wantNil(t, "in more silence", ch, 4*time.Second)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	wantNil(t, "after the silence", ch, 5*time.Second)
	wantHeard(t, s, ch, 1)
}

// TestIdleSubscriptionStays has nothing happen for longer than pings take: no nil batch may come.
func TestIdleSubscriptionStays(t *testing.T) {
	t.Parallel()
	s := redis.NewSignals(open(t, testenv.Redis(t)), slog.New(slog.DiscardHandler), redis.WithPrefix("idle:"))
	ch, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next(t, ch, "the first batch", nil)
	select {
	case b := <-ch:
		t.Fatalf("got %v, want nothing", b)
	case <-time.After(3500 * time.Millisecond):
	}
	want := []ports.Signal{{Agent: "agent", Revision: 1}}
	if err := s.Publish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	next(t, ch, "a signal after a while", want)
}

// TestCallersDeadline is shorter than the adapter's own bound.
func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	client := open(t, server.URL())
	c, s := redis.NewTargetCache(client, time.Hour), redis.NewSignals(client, slog.New(slog.DiscardHandler))
	wantBack(t, c, s)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, _, err := c.Get(ctx, "agent", 1)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("get: got %v, want context.DeadlineExceeded", err)
	}
	if took := time.Since(begin); took > 200*time.Millisecond {
		t.Fatalf("get took %v, want about the caller's 30 ms", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestFlushedInTheMidst empties the server behind the cache's back while it is in use.
func TestFlushedInTheMidst(t *testing.T) {
	t.Parallel()
	client := open(t, testenv.Redis(t))
	c := redis.NewTargetCache(client, time.Hour)
	for r := delivery.Revision(1); r <= 300; r++ {
		if r%50 == 0 {
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Put(t.Context(), "agent", r, []byte("value")); err != nil {
			t.Fatalf("put at revision %d: %v", r, err)
		}
		if _, ok, err := c.Get(t.Context(), "agent", r); !ok || err != nil {
			t.Fatalf("get at revision %d: got %v, %v", r, ok, err)
		}
	}
}
