package trail_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/pkg/trail"
)

func record(t *testing.T) idempotency.Record {
	t.Helper()
	k, err := idempotency.NewKey("admin//", "create_generator", "/generators", "k")
	if err != nil {
		t.Fatal(err)
	}
	return idempotency.Record{Key: k, Request: idempotency.RequestOf("", "", []byte("body"))}
}

func insert(name string) func(ctx context.Context, tx ports.Repositories) error {
	return func(ctx context.Context, tx ports.Repositories) error {
		g := generator(name)
		if err := tx.Generators().Insert(ctx, g); err != nil {
			return err
		}
		return tx.AuditLog().Append(ctx, audit.Did(audit.GeneratorCreated, string(g.ID), nil, g))
	}
}

func TestKeyIsMarkedWithTheChange(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	s := trail.Store(memory.New(time.Now), func() time.Time { return now })
	ctx, _ := asked(t, "create_generator")
	want := record(t)
	r := trail.Once(ctx, want)
	for _, name := range []string{"a", "b"} { // the second transaction is of the same request
		if err := s.Write(ctx, insert(name)); err != nil {
			t.Fatal(err)
		}
	}
	if !r.Marked() || r.Collided() {
		t.Errorf("marked %t, collided %t; want it marked", r.Marked(), r.Collided())
	}
	got, err := s.Idempotency().Get(t.Context(), want.Key, now)
	a, _ := s.Generators().ByName(t.Context(), "a")
	if err != nil || got.Request != want.Request || !got.At.Equal(now) || got.Resource != (idempotency.Resource{Type: "generator", ID: string(a.ID)}) {
		t.Errorf("got %+v, %v; want the request and what it made first", got, err)
	}

	again, _ := asked(t, "create_generator")
	r = trail.Once(again, want)
	if err := s.Write(again, insert("c")); !idempotency.Collision(err) || !r.Collided() || r.Marked() {
		t.Errorf("again: got %v, collided %t; want that the key is used", err, r.Collided())
	}
	if _, err := s.Generators().ByName(t.Context(), "c"); !fault.Is(err, fault.NotFound) {
		t.Errorf("again: it was done: %v", err)
	}
	if trail.Once(t.Context(), want) != nil {
		t.Error("a key of nobody was taken")
	}
}

// Whatever fails: either the change and the mark are there, or neither.
func TestChangeAndMarkAreOne(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for n := 1; ; n++ {
		inner := memory.New(time.Now)
		s := trail.Store(porttest.Faulty(inner, n, down), time.Now)
		ctx, _ := asked(t, "create_generator")
		want := record(t)
		r := trail.Once(ctx, want)
		err := s.Write(ctx, insert("g"))
		_, made := inner.Generators().ByName(t.Context(), "g")
		_, marked := inner.Idempotency().Get(t.Context(), want.Key, time.Now())
		if (err == nil) != (made == nil) || (err == nil) != (marked == nil) || r.Marked() != (err == nil) || r.Collided() {
			t.Fatalf("call %d: error %v, change %v, mark %v, told marked %t", n, err, made, marked, r.Marked())
		}
		if err == nil {
			if n < 4 {
				t.Errorf("only %d calls: claim, insert, entry and mark are four", n-1)
			}
			return
		}
	}
}

// What happens before it is known whether a request comes to anything leaves its key alone, and its entry names the thing.
func TestKeyIsKept(t *testing.T) {
	t.Parallel()
	s := trail.Store(memory.New(time.Now), time.Now)
	ctx, _ := asked(t, "create_generator")
	want := record(t)
	r := trail.Once(ctx, want)
	if err := s.Write(trail.KeepKey(ctx), insert("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Idempotency().Get(t.Context(), want.Key, time.Now()); !fault.Is(err, fault.NotFound) || r.Marked() {
		t.Fatalf("got %v, marked %t; want the key unused", err, r.Marked())
	}
	if err := s.Write(ctx, func(context.Context, ports.Repositories) error { return nil }); err != nil {
		t.Fatal(err)
	}
	g, _ := s.Generators().ByName(t.Context(), "a")
	got, err := s.Idempotency().Get(t.Context(), want.Key, time.Now())
	if err != nil || !r.Marked() || got.Resource.ID != string(g.ID) {
		t.Errorf("got %+v, %v; want it marked with what the entry names", got, err)
	}
	if list := entries(t, s); len(list) != 1 {
		t.Errorf("got %+v, want one entry", list)
	}
}
