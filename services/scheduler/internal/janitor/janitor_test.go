package janitor_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

// steps is a task that has so many steps, and how often it was asked.
type steps struct{ left, asked int }

func (s *steps) task(name string) janitor.Task {
	return janitor.Task{Name: name, Step: func(context.Context, time.Time) (bool, error) {
		s.asked++
		s.left--
		return s.left > 0, nil
	}}
}

func TestTasksAreDoneToTheirEndAndAFailureHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	broken := janitor.Task{Name: "break", Step: func(context.Context, time.Time) (bool, error) { return true, errors.New("no") }}
	first, last := &steps{left: 3}, &steps{left: 2}
	j := janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), first.task("first"), broken, last.task("last"))
	err := j.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "break: no") {
		t.Errorf("got %v, want the failure and its task", err)
	}
	if first.asked != 3 || last.asked != 2 {
		t.Errorf("asked %d and %d times, want 3 and 2", first.asked, last.asked)
	}
}

func TestOneReplicaAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		mine, others := &steps{left: 1}, &steps{left: 1}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		log := slog.New(slog.DiscardHandler)
		go func() { _ = janitor.New(store.Leases(), "a", time.Now, log, mine.task("x")).Run(ctx) }()
		synctest.Wait()
		time.Sleep(time.Second)
		go func() { _ = janitor.New(store.Leases(), "b", time.Now, log, others.task("x")).Run(ctx) }()
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if mine.asked != 4 || others.asked != 0 {
			t.Errorf("asked %d and %d times, want the first replica alone, 4 times", mine.asked, others.asked)
		}
	})
}

func TestOutboxIsTrimmed(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	now := time.Now()
	for _, at := range []time.Time{now.Add(-25 * time.Hour), now.Add(-time.Hour)} {
		if err := store.Outbox().Append(t.Context(), event.Event{ID: at.String(), Type: event.AgentChanged, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.Outbox(store.Outbox(), 24*time.Hour)).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Outbox().Trim(t.Context(), now.Add(time.Hour), 10); err != nil || n != 1 {
		t.Errorf("%d events were left, %v, want the younger one", n, err)
	}
}
