package sealer_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/services/scheduler/internal/sealer"
)

func add(t *testing.T, store *memory.Store, n int) {
	t.Helper()
	for range n {
		e := audit.Did(audit.PAKRotated, "", nil, nil).Complete(audit.ID(uuid.NewString()), time.Now(), audit.Actor{Type: audit.System}, audit.Source{})
		if err := store.AuditLog().Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func waiting(t *testing.T, store *memory.Store) int {
	t.Helper()
	n, err := store.AuditLog().Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEntriesAreSealedSoonAndByOneReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		add(t, store, 1200)
		sealed := map[string]int{}
		stops := map[string]context.CancelFunc{}
		done := make(chan error, 2)
		for _, name := range []string{"a", "b"} {
			var ctx context.Context
			ctx, stops[name] = context.WithCancel(t.Context())
			s := sealer.New(store, name, time.Second, func(n int) { sealed[name] += n }, slog.New(slog.DiscardHandler))
			go func() { done <- s.Run(ctx) }()
			synctest.Wait()
		}
		if sealed["a"] != 1200 || sealed["b"] != 0 || waiting(t, store) != 0 {
			t.Fatalf("sealed %v, %d left; want the first replica to have sealed 1200", sealed, waiting(t, store))
		}
		add(t, store, 3)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if sealed["a"] != 1203 {
			t.Errorf("sealed %v a second later, want 1203", sealed)
		}
		add(t, store, 2)
		stops["a"]()
		synctest.Wait()
		if sealed["a"] != 1205 {
			t.Errorf("sealed %v at the end, want 1205", sealed)
		}
		add(t, store, 4)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if sealed["b"] != 4 {
			t.Errorf("sealed %v, want the other replica to go on at once", sealed)
		}
		stops["b"]()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestATroubledStoreIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(time.Now)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := sealer.New(store, "a", time.Second, func(int) {}, slog.New(slog.DiscardHandler)).Run(ctx); err != nil {
			t.Errorf("got %v, want it to go on until the end", err)
		}
	})
}
