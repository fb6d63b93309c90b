package porttest

import (
	"context"
	"math"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func fleetRemovalCases() map[string]func(*world) {
	return map[string]func(*world){
		"removals are counted in their window":  removalsWindow,
		"more than is admitted is a conflict":   removalsConflict,
		"racers rest on the same count":         removalsRace,
		"a removal goes with its transaction":   removalsRollBack,
		"nothing is not counted and not lacked": removalsOfNothing,
		"what is assigned is counted":           removalsOfHowMany,
	}
}

func (w *world) removalMethods() map[string]method {
	r := placement.Removal{Stack: newID[stack.ID](), Count: 1, At: w.at}
	return map[string]method{
		"Removals.Since":    func(ctx context.Context, in ports.Repositories) error { return discard(in.Removals().Since(ctx, w.at)) },
		"Removals.Assigned": func(ctx context.Context, in ports.Repositories) error { return discard(in.Removals().Assigned(ctx)) },
		"Removals.Add":      func(ctx context.Context, in ports.Repositories) error { return in.Removals().Add(ctx, w.at, 0, r) },
		"Removals.Trim": func(ctx context.Context, in ports.Repositories) error {
			return discard(in.Removals().Trim(ctx, w.at, 1))
		},
	}
}

func removalsWindow(w *world) {
	g := w.generator("team").ID
	a, b := w.stack(g, "a").ID, w.stack(g, "b").ID
	later := placement.Removal{Stack: b, Count: 2, At: w.at.Add(2 * time.Minute)} // clocks differ: they are not stored in order
	first := placement.Removal{Stack: a, Count: 3, At: w.at.Add(time.Minute)}
	last := placement.Removal{Stack: a, Count: 1, At: w.at.Add(3 * time.Minute)}
	wantNone(w.T, "add", w.Removals().Add(w.ctx, w.at, math.MaxInt, later))
	wantNone(w.T, "add two", w.Removals().Add(w.ctx, w.at, math.MaxInt, first, last))
	for after, want := range map[time.Duration][]placement.Removal{0: {first, later, last}, time.Minute: {later, last}, 3 * time.Minute: nil} {
		got, err := w.Removals().Since(w.ctx, w.at.Add(after))
		wantNone(w.T, "since", err)
		wantSame(w.T, "removals", len(got), len(want))
		if len(want) > 0 {
			wantSame(w.T, "removals", got, want)
		}
	}
	n, err := w.Removals().Trim(w.ctx, w.at.Add(3*time.Minute), 1)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed", n, 1)
	got, err := w.Removals().Since(w.ctx, w.at)
	wantNone(w.T, "since", err)
	wantSame(w.T, "what is left", got, []placement.Removal{later, last})
	n, err = w.Removals().Trim(w.ctx, w.at.Add(3*time.Minute), 10)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed", n, 1)
	got, err = w.Removals().Since(w.ctx, w.at)
	wantNone(w.T, "since", err)
	wantSame(w.T, "what is left", got, []placement.Removal{last})
	unknown := placement.Removal{Stack: newID[stack.ID](), Count: 1, At: w.at}
	wantCode(w.T, "add of an unknown stack", w.Removals().Add(w.ctx, w.at, 100, unknown), fault.Refused, "foreign_key_violation")
	wantKind(w.T, "add a removal of nothing", w.Removals().Add(w.ctx, w.at, 100, placement.Removal{Stack: a, At: w.at}), fault.Refused)
}

func removalsConflict(w *world) {
	r := placement.Removal{Stack: w.stack(w.generator("team").ID, "a").ID, Count: 4, At: w.at.Add(time.Minute)}
	wantNone(w.T, "add", w.Removals().Add(w.ctx, w.at, 0, r))
	wantCode(w.T, "add on less", w.Removals().Add(w.ctx, w.at, 3, r), fault.Conflict, "stale")
	got, err := w.Removals().Since(w.ctx, w.at)
	wantNone(w.T, "since", err)
	wantSame(w.T, "removals after a conflict", len(got), 1)
	wantNone(w.T, "add on as much", w.Removals().Add(w.ctx, w.at, 4, r))
	wantNone(w.T, "add after the window", w.Removals().Add(w.ctx, w.at.Add(time.Minute), 0, r))
}

func removalsRace(w *world) {
	id := w.stack(w.generator("team").ID, "a").ID
	wantOneWinner(w.T, "add", race(6, func(int) error {
		return w.Removals().Add(w.ctx, w.at, 1, placement.Removal{Stack: id, Count: 2, At: w.at.Add(time.Minute)})
	}))
}

func removalsRollBack(w *world) {
	id := w.stack(w.generator("team").ID, "a").ID
	gone := fault.New(fault.Unavailable, "unavailable", "away")
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Removals().Add(ctx, w.at, 0, placement.Removal{Stack: id, Count: 2, At: w.at.Add(time.Minute)}); err != nil {
			return err
		}
		return gone
	})
	wantKind(w.T, "write", err, fault.Unavailable)
	got, err := w.Removals().Since(w.ctx, w.at)
	wantNone(w.T, "since", err)
	wantSame(w.T, "removals", len(got), 0)
}

func removalsOfNothing(w *world) {
	id := w.stack(w.generator("team").ID, "a").ID
	wantNone(w.T, "add", w.Removals().Add(w.ctx, w.at, 0, placement.Removal{Stack: id, Count: 2, At: w.at.Add(time.Minute)}))
	wantNone(w.T, "add nothing to more than is admitted", w.Removals().Add(w.ctx, w.at, 0))
}

func removalsOfHowMany(w *world) {
	before, err := w.Removals().Assigned(w.ctx)
	wantNone(w.T, "assigned", err)
	p := w.place(3)
	w.place(2)
	w.decide(p.stack.ID, w.remove(p.agents[0].ID, p.object))
	got, err := w.Removals().Assigned(w.ctx)
	wantNone(w.T, "assigned", err)
	wantSame(w.T, "assigned, the removed one not among them", got-before, 4)
}
