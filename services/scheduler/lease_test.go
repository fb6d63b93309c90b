package scheduler_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// interrupted is a store with something that happens once, before the next transaction after it was armed.
type interrupted struct {
	ports.Store
	armed  *atomic.Bool
	before func()
}

func (s interrupted) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	if s.armed.CompareAndSwap(true, false) {
		s.before()
	}
	return s.Store.Write(ctx, fn)
}

// rob gives the leases of all shards to nobody who works.
func (f *fleet) rob() {
	f.t.Helper()
	list, err := f.store.Leases().List(f.t.Context(), "scheduler/shard/")
	if err != nil {
		f.t.Error(err)
	}
	for _, l := range list {
		if err := f.store.Leases().Release(f.t.Context(), l.Name, l.Holder); err != nil {
			f.t.Error(err)
		}
		if _, err := f.store.Leases().Acquire(f.t.Context(), l.Name, "somebody else", time.Hour); err != nil {
			f.t.Error(err)
		}
	}
}

// A replica that has lost its shard in the middle does not move a rollout, also where nothing is assigned by it.
func TestARolloutMovesOnlyUnderTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.Waves[0].Soak = policy.Duration(10 * time.Minute) }))
		x.stop()
		var armed atomic.Bool
		defer x.start(interrupted{x.store, &armed, x.rob})()
		settle()
		before := x.governing(x.s)
		armed.Store(true)
		x.healthy(x.s, x.canary) // it begins to soak: the rollout has news, the assignments have none
		settle()
		if armed.Load() {
			t.Fatal("nothing was written, so nothing is shown")
		}
		if after := x.governing(x.s); after.Version != before.Version || after.Stage != before.Stage {
			t.Errorf("the rollout is %s in version %d, want %s in version %d: the shard is another's", after.Stage, after.Version, before.Stage, before.Version)
		}
	})
}
