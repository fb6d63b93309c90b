package janitor_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

// kept notes until when things are to be kept and made room for.
type kept struct {
	ports.Observations
	calls [][2]time.Time
}

func (k *kept) Keep(ctx context.Context, before, until time.Time) (int, error) {
	k.calls = append(k.calls, [2]time.Time{before, until})
	return k.Observations.Keep(ctx, before, until)
}

func TestObservationsAreKeptForTheirTimeAndHaveRoom(t *testing.T) {
	t.Parallel()
	store, now := memory.New(time.Now), time.Now()
	k := &kept{Observations: store.Observations()}
	clock := func() time.Time { return now }
	if err := janitor.New(store.Leases(), "a", clock, slog.New(slog.DiscardHandler), janitor.Observations(k, observation.Ceiling)).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(k.calls) != 1 || !k.calls[0][0].Equal(now.Add(-observation.Ceiling)) || k.calls[0][1].Before(now.Add(time.Hour)) {
		t.Errorf("got %v at %s, want one call that keeps six hours and makes room for more than one", k.calls, now)
	}
}
