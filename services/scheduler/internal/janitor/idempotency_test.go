package janitor_test

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestIdempotencyKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	store, now := memory.New(time.Now), time.Now()
	mark := func(text string, at time.Time) idempotency.Key {
		t.Helper()
		k, err := idempotency.NewKey("s", "o", "/", text)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Idempotency().Mark(t.Context(), idempotency.Record{Key: k, At: at}); err != nil {
			t.Fatal(err)
		}
		return k
	}
	const old = 4500 // more than two batches
	var keys []idempotency.Key
	for i := range old {
		keys = append(keys, mark(strconv.Itoa(i), now.Add(-25*time.Hour)))
	}
	young := mark("young", now.Add(-23*time.Hour))
	clock := func() time.Time { return now }
	if err := janitor.New(store.Leases(), "a", clock, slog.New(slog.DiscardHandler), janitor.Idempotency(store.Idempotency())).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	then := now.Add(-24 * time.Hour) // when all of them counted
	for _, k := range keys {
		if _, err := store.Idempotency().Get(t.Context(), k, then); !fault.Is(err, fault.NotFound) {
			t.Fatalf("an old key: got %v, want it forgotten", err)
		}
	}
	if _, err := store.Idempotency().Get(t.Context(), young, now); err != nil {
		t.Errorf("a key of today: %v", err)
	}
}
