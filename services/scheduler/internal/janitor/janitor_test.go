package janitor_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
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

// damaged are values to be sealed anew, one of which cannot be opened: each call tells of it.
type damaged struct {
	ports.Secrets
	left, calls int
}

func (d *damaged) Rewrap(_ context.Context, limit int) (int, error) {
	d.calls++
	n := min(d.left, limit)
	d.left -= n
	return n, errors.New("rewrap blobs/1: damaged")
}

func TestAValueThatCannotBeOpenedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	d := &damaged{left: 1234}
	err := janitor.New(memory.New(time.Now).Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.Secrets(d)).Once(t.Context())
	if d.left != 0 || d.calls != 3 {
		t.Errorf("%d values are left after %d calls, want none after 3", d.left, d.calls)
	}
	if err == nil || strings.Count(err.Error(), "blobs/1") != 1 {
		t.Errorf("got %v, want to be told of the damaged value once", err)
	}
}

func TestForgottenDiagnosticsGo(t *testing.T) {
	t.Parallel()
	store, now := memory.New(time.Now), time.Now()
	a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "a", ClusterName: "c", CreatedAt: now, UpdatedAt: now}
	g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "g", CreatedAt: now, UpdatedAt: now}
	st := stack.Stack{ID: stack.ID(uuid.NewString()), Name: "s", Generator: g.ID, CreatedAt: now, UpdatedAt: now}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(store.Agents().Insert(t.Context(), a))
	must(store.Generators().Insert(t.Context(), g))
	must(store.Stacks().Insert(t.Context(), st))
	sum, err := store.Blobs().Put(t.Context(), []byte("x"))
	must(err)
	o, err := store.Objects().Insert(t.Context(), stack.Object{ID: stack.ObjectID(uuid.NewString()), Stack: st.ID, Checksum: sum, CreatedAt: now, UpdatedAt: now})
	must(err)
	r := diagnostic.Request{ID: diagnostic.ID(uuid.NewString()), Agent: a.ID, Object: o.ID, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	must(store.Diagnostics().Insert(t.Context(), r))
	for _, after := range []time.Duration{time.Minute, time.Minute + diagnostic.Remembered} {
		if _, _, err := store.Diagnostics().Get(t.Context(), tenancy.Everything(), r.ID); err != nil {
			t.Errorf("before %v: got %v, want it there", after, err)
		}
		at := func() time.Time { return now.Add(after) }
		must(janitor.New(store.Leases(), "a", at, slog.New(slog.DiscardHandler), janitor.Diagnostics(store.Diagnostics())).Once(t.Context()))
	}
	if _, _, err := store.Diagnostics().Get(t.Context(), tenancy.Everything(), r.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("at the end: got %v, want it gone", err)
	}
}
