package shard

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// alone is a store of leases of which nobody else has any.
type alone struct{ ports.Leases }

func (alone) Acquire(_ context.Context, name, holder string, _ time.Duration) (ports.Lease, error) {
	return ports.Lease{Name: name, Holder: holder, Epoch: 1}, nil
}

func (alone) List(context.Context, string) ([]ports.Lease, error) {
	return []ports.Lease{{Name: memberPrefix + "me"}}, nil
}

// Shards are told of when they are gained, once for all of them, and again when their leases had lapsed: what came meanwhile was decided by nobody.
func TestGainedShardsAreToldOfOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	k := NewKeeper(alone{}, "me", 4, time.Minute, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	gained := func(what string, want bool) {
		t.Helper()
		if err := k.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			got := false
			select {
			case <-k.Gained():
				got = true
			default:
			}
			if got != (want && i == 0) {
				t.Errorf("%s: told of a gain, at look %d: %t", what, i, got)
			}
		}
	}
	gained("at the start", true)
	now = now.Add(20 * time.Second)
	gained("renewed", false)
	now = now.Add(55 * time.Second)
	if k.Held() != 0 {
		t.Errorf("%d shards are held after nine tenths of the time to live, want none", k.Held())
	}
	gained("renewed too late, in the same epoch", true)
	if k.Held() != 4 {
		t.Errorf("%d shards are held, want all four", k.Held())
	}
}
