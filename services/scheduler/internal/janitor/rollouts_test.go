package janitor_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestRolloutsAreKeptForTheirTime(t *testing.T) {
	t.Parallel()
	store, now := memory.New(time.Now), time.Now()
	s, o := stack.ID(uuid.NewString()), stack.ObjectID(uuid.NewString())
	err := store.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "team", Active: true, CreatedAt: now, UpdatedAt: now}
		if err := tx.Generators().Insert(ctx, g); err != nil {
			return err
		}
		if err := tx.Stacks().Insert(ctx, stack.Stack{ID: s, Name: "web", Generator: g.ID, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		sum, err := tx.Blobs().Put(ctx, []byte("kind: ConfigMap"))
		if err != nil {
			return err
		}
		_, err = tx.Objects().Insert(ctx, stack.Object{ID: o, Stack: s, Checksum: sum, SubmittedAt: now, CreatedAt: now, UpdatedAt: now})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{rollout.Keep + time.Hour, rollout.Keep - time.Hour} {
		end := now.Add(-age)
		_, err := store.Rollouts().Save(t.Context(), ports.RolloutWrite{Rollout: rollout.Rollout{
			ID: rollout.ID(uuid.NewString()), Stack: s, Object: o, Phase: rollout.PhaseSuperseded, CreatedAt: end, EndedAt: &end,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	j := janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.Rollouts(store.Rollouts()))
	if err := j.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := store.Rollouts().OfStack(t.Context(), s, 10); err != nil || len(left) != 1 {
		t.Errorf("left: got %d, %v; want the younger one", len(left), err)
	}
}
