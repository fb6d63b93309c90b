package lease_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const every = 2 * time.Second

func loop(store ports.Store, holder string) lease.Loop {
	return lease.Loop{Leases: store.Leases(), Name: "work", Holder: holder, Every: every, Log: slog.New(slog.DiscardHandler), Fails: "the work failed"}
}

// start runs l, and counts the rounds in which it had the lease.
func start(t *testing.T, l lease.Loop, did *atomic.Int64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- l.Run(ctx, func(ctx context.Context) error {
			_, mine, err := l.Take(ctx)
			if mine {
				did.Add(1)
			}
			return err
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the loop ended with %v, want no error", err)
		}
	}
}

func TestOneReplicaAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		var a, b atomic.Int64
		stop := start(t, loop(store, "a"), &a)
		time.Sleep(every / 2)
		defer start(t, loop(store, "b"), &b)()
		time.Sleep(10 * every)
		if a.Load() != 10 || b.Load() != 0 {
			t.Fatalf("rounds: a %d, b %d; want 10 of a alone", a.Load(), b.Load())
		}
		stop() // it dies without giving anything up
		time.Sleep(4 * every)
		if b.Load() != 0 {
			t.Errorf("b worked %d times while the lease of a was good", b.Load())
		}
		time.Sleep(every + every/2)
		if a.Load() != 10 || b.Load() != 1 {
			t.Errorf("rounds: a %d, b %d; want the lease taken over once it was over", a.Load(), b.Load())
		}
	})
}

// told is a log that is written and read at the same time.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *told) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *told) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestAFailureIsToldOnceInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text told
		l := loop(memory.New(time.Now), "a")
		l.Log = slog.New(slog.NewTextHandler(&text, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var rounds atomic.Int64
		var broken atomic.Bool
		broken.Store(true)
		done := make(chan error, 1)
		go func() {
			done <- l.Run(ctx, func(context.Context) error {
				rounds.Add(1)
				if broken.Load() {
					return errors.New("the store is away")
				}
				return nil
			})
		}()
		for _, step := range []struct {
			broken bool
			told   int
		}{{true, 1}, {false, 1}, {true, 2}} {
			broken.Store(step.broken)
			time.Sleep(5 * every)
			synctest.Wait()
			if got := strings.Count(text.String(), "the work failed"); got != step.told {
				t.Errorf("broken %v: told %d times, want %d:\n%s", step.broken, got, step.told, text.String())
			}
		}
		cancel()
		if err := <-done; err != nil || rounds.Load() != 15 {
			t.Errorf("ended with %v after %d rounds, want 15 and no error", err, rounds.Load())
		}
	})
}

func TestTakeTellsOthersFromFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		first, mine, err := lease.Take(t.Context(), store.Leases(), "work", "a", time.Minute)
		if !mine || err != nil || first.Holder != "a" {
			t.Fatalf("take: got %+v, %v, %v; want the lease", first, mine, err)
		}
		if _, mine, err := lease.Take(t.Context(), store.Leases(), "work", "b", time.Minute); mine || err != nil {
			t.Errorf("take by another: got %v, %v; want neither lease nor error", mine, err)
		}
		away := fault.New(fault.Unavailable, "unavailable", "away")
		if _, mine, err := lease.Take(t.Context(), porttest.Faulty(store, 1, away).Leases(), "work", "a", time.Minute); mine || !errors.Is(err, away) {
			t.Errorf("take from a store that is away: got %v, %v; want %v", mine, err, away)
		}
	})
}
