package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	porttest.Store(t, func(t *testing.T) (ports.Store, ports.Wakeups) {
		s := memory.New(time.Now)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return s, s
	})
}

// TestIgnoredDuplicateAborts shows that a closure which goes on after a duplicate fails here as it would in a database.
func TestIgnoredDuplicateAborts(t *testing.T) {
	t.Parallel()
	s := memory.New(time.Now)
	g := tenancy.Generator{ID: "1", Name: "ci"}
	if err := s.Generators().Insert(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	err := s.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Generators().Insert(ctx, g); !fault.Is(err, fault.Conflict) {
			t.Errorf("insert again: got %v, want a Conflict", err)
		}
		return tx.Generators().Insert(ctx, tenancy.Generator{ID: "2", Name: "other"})
	})
	if !fault.Is(err, fault.Internal) {
		t.Fatalf("write: got %v, want Internal", err)
	}
	if _, err := s.Generators().ByName(t.Context(), "other"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("by name: got %v, want NotFound", err)
	}
}

// TestWaitingWriterHonoursContext has a writer wait for another one that takes its time.
func TestWaitingWriterHonoursContext(t *testing.T) {
	t.Parallel()
	s := memory.New(time.Now)
	err := s.Write(t.Context(), func(context.Context, ports.Repositories) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := s.Outbox().Append(ctx, event.Event{ID: "1"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("append: got %v, want context.DeadlineExceeded", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaseByTheStoresClock moves the clock that New was given.
func TestLeaseByTheStoresClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := memory.New(func() time.Time { return now })
	l, err := s.Leases().Acquire(t.Context(), "shard-0", "a", time.Minute)
	if err != nil || !l.Until.Equal(now.Add(time.Minute)) {
		t.Fatalf("acquire: got %+v, %v", l, err)
	}
	now = now.Add(time.Minute)
	if _, err := s.Leases().Acquire(t.Context(), "shard-0", "b", time.Minute); err != nil {
		t.Fatalf("acquire when it is over: %v", err)
	}
}

// BenchmarkWrite shows that a write costs what it changes, not what the store holds.
func BenchmarkWrite(b *testing.B) {
	for _, rows := range []int{100, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			s := memory.New(time.Now)
			err := s.Write(b.Context(), func(ctx context.Context, tx ports.Repositories) error {
				for i := range rows {
					id := tenancy.GeneratorID(fmt.Sprint(i))
					if err := tx.Generators().Insert(ctx, tenancy.Generator{ID: id, Name: "name-" + string(id)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				g := tenancy.Generator{ID: tenancy.GeneratorID(fmt.Sprint(i % rows)), Name: fmt.Sprintf("name-%d", i%rows), Active: true}
				if err := s.Generators().Update(b.Context(), g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
