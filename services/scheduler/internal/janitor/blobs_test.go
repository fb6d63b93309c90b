package janitor_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestUnusedContentsGoADayAfterTheyWereLastPut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	store := memory.New(clock)
	const many = 450 // more than two batches
	put := func(i int) stack.Checksum {
		t.Helper()
		sum, err := store.Blobs().Put(t.Context(), fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	var sums []stack.Checksum
	for i := range many {
		sums = append(sums, put(i))
	}
	j := janitor.New(store.Leases(), "a", clock, slog.New(slog.DiscardHandler), janitor.Blobs(store.Blobs()))
	left := func(after time.Duration) int {
		t.Helper()
		now = now.Add(after)
		if err := j.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := store.Blobs().GetMany(t.Context(), sums)
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	if n := left(stack.UnusedFor); n != many {
		t.Errorf("after a day %d of %d are left, want all", n, many)
	}
	put(7)
	if n := left(time.Minute); n != many {
		t.Errorf("a minute later %d of %d are left, want all: an hour lies between two looks", n, many)
	}
	if n := left(time.Hour); n != 1 {
		t.Errorf("an hour later %d are left, want the one that was put again", n)
	}
	if n := left(stack.UnusedFor); n != 0 {
		t.Errorf("a day later %d are left, want none", n)
	}
}
