package janitor_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
)

func TestRemovalsAreForgottenAfterTheirWindow(t *testing.T) {
	t.Parallel()
	store, now := memory.New(time.Now), time.Now()
	g := tenancy.Generator{ID: tenancy.GeneratorID(uuid.NewString()), Name: "ci"}
	s := stack.Stack{ID: stack.ID(uuid.NewString()), Name: "web", Generator: g.ID, Version: 1}
	if err := errors.Join(store.Generators().Insert(t.Context(), g), store.Stacks().Insert(t.Context(), s)); err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{time.Minute, 11 * time.Minute, 21 * time.Minute, time.Hour} {
		if err := store.Removals().Add(t.Context(), now, math.MaxInt, placement.Removal{Stack: s.ID, Count: 1, At: now.Add(-age)}); err != nil {
			t.Fatal(err)
		}
	}
	more, err := janitor.Removals(store.Removals(), 10*time.Minute).Step(t.Context(), now)
	if err != nil || more {
		t.Fatalf("step: more %v, %v", more, err)
	}
	left, err := store.Removals().Since(t.Context(), now.Add(-24*time.Hour))
	if err != nil || len(left) != 2 {
		t.Errorf("left: %+v, %v; want those of the last twenty minutes", left, err)
	}
}
