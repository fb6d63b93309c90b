package cycle

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// window is the fleet's, with nothing removed.
func (o Options) window() placement.FleetWindow {
	return placement.FleetWindow{Share: o.Share, Floor: o.FleetFloor, Length: o.Window}
}

// brake is what bounds a decision's removals now.
func (e *Engine) brake(now time.Time) placement.Brake {
	e.window = e.window.Forget(now)
	w := e.window
	w.Assigned = e.world.assigned
	return placement.Brake{Share: e.opt.Share, AtOne: e.opt.AtOne, Fleet: &w, Waiting: e.world.waiting}
}

// removals reads what all replicas have removed within the window.
func (e *Engine) removals(ctx context.Context) ([]placement.Removal, error) {
	list, err := e.store.Removals().Since(ctx, e.window.Began(e.now()))
	if err != nil {
		return nil, fmt.Errorf("read removals: %w", err)
	}
	return list, nil
}

// recount reads again what all replicas have removed, and what others have removed it from: for as long as the snapshot had it
// still assigned, it would count twice in the sum of which the window admits a share.
func (e *Engine) recount(ctx context.Context) error {
	list, err := e.removals(ctx)
	if err != nil {
		return err
	}
	news := map[stack.ID]bool{}
	for _, r := range list {
		if !e.window.Knows(r) {
			news[r.Stack] = true
		}
	}
	if err := e.heed(ctx, keys(news)); err != nil {
		return err
	}
	e.window = e.opt.window().With(list...)
	return nil
}

// spends is what a decision takes up of the fleet's window, and what the window admits beside it: any number if it was
// approved. What a user named himself (a deleted stack, a deletion marker) takes up nothing.
func (e *Engine) spends(s placement.Subject, d placement.Decision, now time.Time) (r placement.Removal, spare int) {
	if r = d.Spends(s, now); r.Count == 0 {
		return r, math.MaxInt
	}
	if left := e.brake(now).Fleet.Left(now); r.Count <= left {
		return r, left - r.Count
	}
	return r, math.MaxInt
}

// spending is what decisions that are committed together take up of the window, and on what they rest: that at most so much
// was removed after the moment. What others have removed does not matter as long as the window admits it beside each of them.
func (e *Engine) spending(list []*pending) (after time.Time, most int, spent []placement.Removal) {
	now := e.now()
	after, most = e.window.Began(now), math.MaxInt
	known := e.window.Lost(now)
	for _, p := range list {
		if p.spent.Count == 0 {
			continue
		}
		if spent = append(spent, p.spent); e.window.Knows(p.spent) { // the snapshot is ahead of the store
			known -= p.spent.Count
		}
		most = min(most, p.spare)
	}
	if most < math.MaxInt {
		most += known
	}
	return after, most, spent
}
