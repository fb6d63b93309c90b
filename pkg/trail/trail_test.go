package trail_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/pkg/trail"
)

func asked(t *testing.T, operation string) (context.Context, *trail.Request) {
	t.Helper()
	r := &trail.Request{
		Actor:     audit.ActorOf(tenancy.Principal{Role: tenancy.RoleAdmin, Credential: tenancy.CredentialID(uuid.NewString())}),
		Source:    audit.Source{RequestID: "r-1", IP: "192.0.2.1"},
		Operation: operation, Resource: uuid.NewString(),
	}
	return trail.With(t.Context(), r), r
}

func entries(t *testing.T, s ports.Store) []audit.Entry {
	t.Helper()
	list, _, err := s.AuditLog().List(t.Context(), audit.Filter{}, audit.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func generator(name string) tenancy.Generator {
	return tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: name, RegistrationPolicy: tenancy.PolicyOpen}
}

func TestAppendedEntrySaysWhoAndWhence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	s := trail.Store(memory.New(time.Now), func() time.Time { return now })
	ctx, r := asked(t, "create_generator")
	g := generator("g")
	for range 2 {
		err := s.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			return tx.AuditLog().Append(ctx, audit.Did(audit.GeneratorCreated, string(g.ID), nil, g))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := entries(t, s)
	if len(list) != 2 {
		t.Fatalf("got %d entries, want one a transaction", len(list))
	}
	e := list[0]
	if e.Actor != r.Actor || e.Source != r.Source || !e.At.Equal(now) || e.Action != audit.GeneratorCreated || e.ResourceID != string(g.ID) || e.Before != "" || len(e.After) != 64 || e.Hash != e.Sum() {
		t.Errorf("got %+v", e)
	}
}

func TestForgottenEntryIsWritten(t *testing.T) {
	t.Parallel()
	s := trail.Store(memory.New(time.Now), time.Now)
	ctx, r := asked(t, "create_generator")
	for _, name := range []string{"a", "b"} {
		err := s.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			return tx.Generators().Insert(ctx, generator(name))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := entries(t, s)
	if len(list) != 1 || list[0].Action != "api.create_generator" || list[0].ResourceID != r.Resource || list[0].Actor != r.Actor {
		t.Errorf("got %+v, want one entry a request that names the operation", list)
	}
}

func TestChangeWithoutEntryDoesNotHappen(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	down := errors.New("the log cannot be written")
	for n, told := range map[string]bool{"told": true, "forgotten": false} {
		s := trail.Store(porttest.Faulty(inner, 2, down), time.Now)
		ctx, _ := asked(t, "create_generator")
		g := generator(n)
		err := s.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Generators().Insert(ctx, g); err != nil {
				return err
			}
			if told {
				return tx.AuditLog().Append(ctx, audit.Did(audit.GeneratorCreated, string(g.ID), nil, g))
			}
			return nil
		})
		if !errors.Is(err, down) {
			t.Errorf("%s: got %v, want the log's error", n, err)
		}
		if _, err := inner.Generators().ByName(t.Context(), n); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: the change happened: %v", n, err)
		}
	}
}

func TestOutsideOfRequests(t *testing.T) {
	t.Parallel()
	s := trail.Store(memory.New(time.Now), time.Now)
	insert := func(ctx context.Context, tx ports.Repositories) error {
		return tx.Generators().Insert(ctx, generator(uuid.NewString()))
	}
	if err := s.Write(t.Context(), insert); err != nil {
		t.Errorf("a loop's transaction: %v", err)
	}
	quiet, _ := asked(t, "")
	if err := s.Write(quiet, insert); err != nil {
		t.Errorf("a report's transaction: %v", err)
	}
	if list := entries(t, s); len(list) != 0 {
		t.Errorf("got %+v, want nothing", list)
	}
	err := s.AuditLog().Append(t.Context(), audit.Did(audit.PAKRotated, "", nil, nil))
	if !fault.Is(err, fault.Internal) {
		t.Errorf("an entry of nobody: got %v, want Internal", err)
	}
	if err := s.Write(trail.Host(t.Context(), "rotate_admin"), insert); err != nil {
		t.Error(err)
	}
	if list := entries(t, s); len(list) != 1 || list[0].Actor.Type != audit.System || list[0].Action != "api.rotate_admin" {
		t.Errorf("got %+v, want the host's", list)
	}
}

// Who may not ask any more changes nothing, in whichever transaction of the request that turns out.
func TestWhoMayNotAskAnyMoreChangesNothing(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	s := trail.Store(inner, time.Now)
	ctx, r := asked(t, "create_generator")
	ended := fault.New(fault.Unauthenticated, "unauthorized", "it has ended")
	var answer error
	r.Again = func(context.Context) error { return answer }
	if err := s.Write(ctx, insert("before")); err != nil {
		t.Fatal(err)
	}
	answer = ended
	if err := s.Write(ctx, insert("after")); !errors.Is(err, ended) {
		t.Errorf("got %v, want that it has ended", err)
	}
	if _, err := inner.Generators().ByName(t.Context(), "after"); !fault.Is(err, fault.NotFound) {
		t.Errorf("it was done: %v", err)
	}
	if got := trail.Credential(ctx); got != r.Actor.Credential || trail.Credential(t.Context()) != "" {
		t.Errorf("asked by %q, want %q, and nobody outside of requests", got, r.Actor.Credential)
	}
}
