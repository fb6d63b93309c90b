package janitor_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestRecordsOfDecisionsAreKeptForTheirTime(t *testing.T) {
	t.Parallel()
	store, ctx := memory.New(time.Now), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "ci"}
	must(store.Generators().Insert(ctx, g))
	s := stack.Stack{ID: stack.ID(uuid.NewString()), Name: "web", Generator: g.ID, Version: 1}
	must(store.Stacks().Insert(ctx, s))
	lease, err := store.Leases().Acquire(ctx, "shard", "a", time.Minute)
	must(err)
	for i, age := range []time.Duration{5 * time.Hour, 3 * time.Hour, time.Hour} {
		_, err := store.Decisions().Commit(ctx, ports.Commit{Lease: lease, Stack: s.ID, StackVersion: 1, Generation: int64(i),
			Record: placement.Record{Stack: s.ID, Generation: int64(i) + 1, At: time.Now().Add(-age)}})
		must(err)
	}
	must(janitor.New(store.Leases(), "a", time.Now, slog.New(slog.DiscardHandler), janitor.Decisions(store.History(), 2*time.Hour)).Once(ctx))
	left, err := store.History().Page(ctx, tenancy.Everything(), s.ID, placement.RecordList().All(10))
	must(err)
	if len(left.Items) != 1 || left.Items[0].Generation != 3 {
		t.Errorf("left %+v, want the youngest alone", left.Items)
	}
}
