package cycle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// promise is what was decided for a cluster and is perhaps not in its status yet.
type promise struct {
	stack stack.ID
	needs cluster.Resources
	at    time.Time
}

// learn reads the policies that decide about stacks of the snapshot and are not known in the revision that does, all at once.
func (e *Engine) learn(ctx context.Context) error {
	wanted := map[policy.ID]bool{}
	for _, s := range e.world.subjects {
		if s.Policy != nil && e.policies[s.Policy.ID].Revision != s.Policy.Revision {
			wanted[s.Policy.ID] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	list, err := e.store.Policies().Live(ctx, keys(wanted))
	if err != nil {
		return fmt.Errorf("read %d policies: %w", len(wanted), err)
	}
	for _, p := range list {
		e.policies[p.ID] = p
	}
	return nil
}

// pledge makes promises of what the assignments of these stacks, nil for all, have that came after the clusters told their
// status: also those that other replicas, or this one before it started, have decided. What they have no longer is promised no
// longer.
func (e *Engine) pledge(ids []stack.ID) {
	if ids == nil {
		clear(e.world.promises)
		ids = keys(e.world.priors)
	} else {
		e.world.release(ids)
	}
	var changed []placement.Cluster
	for _, id := range ids {
		s := e.world.subjects[id]
		if s.Policy == nil || over(s) {
			continue
		}
		p, ok := e.policies[s.Policy.ID]
		if !ok {
			continue // it is not known any longer; the decision that is due says so
		}
		var needs cluster.Resources
		if needs.CPU, needs.Memory, needs.Pods, needs.GPU = p.Document.Requires.Amount(); needs == (cluster.Resources{}) {
			continue
		}
		for a, x := range e.world.priors[id] {
			c, there := e.world.clusters[a]
			if !there || x.State != delivery.Assigned || (c.ReportedAt != nil && !x.Placed.After(*c.ReportedAt)) {
				continue
			}
			e.world.promises[a] = append(e.world.promises[a], promise{stack: id, needs: needs, at: x.Placed})
		}
	}
	freed := map[agent.ID]placement.Cluster{} // as they were
	for a, list := range e.world.promises {
		if len(list) == 0 {
			delete(e.world.promises, a)
		}
		c := e.world.clusters[a]
		if sum := e.world.assumed(c); sum != c.Assumed {
			if sum.CPU < c.Assumed.CPU || sum.Memory < c.Assumed.Memory || sum.Pods < c.Assumed.Pods || sum.GPU < c.Assumed.GPU {
				freed[a] = c
			}
			c.Assumed = sum
			e.world.clusters[a] = c
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		e.world.fleet = e.world.fleet.With(changed, nil)
		e.world.list = nil
	}
	if len(freed) == 0 {
		return
	}
	for _, id := range e.concerned(keys(freed), freed, e.now()) { // they may have waited for the room
		if _, dirty := e.dirty[id]; !dirty {
			e.dirty[id] = cause{event: "room"}
		}
	}
}

// promised brings load and promises of the clusters to where the decision leaves them.
func (w *world) promised(d placement.Decision, needs cluster.Resources, now time.Time) {
	var changed []placement.Cluster
	prior := w.priors[d.Stack]
	for _, ch := range d.Changes {
		c, ok := w.clusters[ch.Agent]
		if !ok {
			continue
		}
		was := prior[ch.Agent].State == delivery.Assigned
		switch {
		case ch.State == delivery.Assigned && !was:
			c.Load++
			if needs != (cluster.Resources{}) {
				w.promises[ch.Agent] = append(w.promises[ch.Agent], promise{stack: d.Stack, needs: needs, at: now})
			}
		case ch.State == delivery.Removing && was:
			c.Load = max(c.Load-1, 0)
			w.forget(ch.Agent, d.Stack)
		default:
			continue
		}
		c.Assumed = w.assumed(c)
		w.clusters[ch.Agent] = c
		changed = append(changed, c)
	}
	if len(changed) > 0 {
		w.fleet = w.fleet.With(changed, nil)
		w.list = nil
	}
}

// release forgets all promises to these stacks. What they come to on a cluster is not summed here.
func (w *world) release(ids []stack.ID) {
	of := make(map[stack.ID]bool, len(ids))
	for _, id := range ids {
		of[id] = true
	}
	for a, list := range w.promises {
		w.promises[a] = slices.DeleteFunc(list, func(p promise) bool { return of[p.stack] })
	}
}

func (w *world) forget(a agent.ID, s stack.ID) {
	w.promises[a] = slices.DeleteFunc(w.promises[a], func(p promise) bool { return p.stack == s })
}

// assumed is the sum of what was promised of a cluster after it last told its status; older promises are forgotten.
func (w *world) assumed(c placement.Cluster) cluster.Resources {
	var sum cluster.Resources
	keep := w.promises[c.Agent][:0]
	for _, p := range w.promises[c.Agent] {
		if c.ReportedAt == nil || p.at.After(*c.ReportedAt) {
			keep = append(keep, p)
			sum.CPU, sum.Memory, sum.Pods, sum.GPU = sum.CPU+p.needs.CPU, sum.Memory+p.needs.Memory, sum.Pods+p.needs.Pods, sum.GPU+p.needs.GPU
		}
	}
	if w.promises[c.Agent] = keep; len(keep) == 0 {
		delete(w.promises, c.Agent)
	}
	return sum
}
