// Package cycle is the scheduler's loop: keep a snapshot by the outbox, decide for what changed, commit, tell the
// gateways. Deciding is pure (package placement); this package only reads, commits and retries.
package cycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// world is the snapshot. One goroutine owns it.
type world struct {
	clusters map[agent.ID]placement.Cluster
	list     []placement.Cluster // of clusters, nil when they have changed: see all
	fleet    *placement.Fleet    // of clusters, for policies
	promises placement.Promises
	holdings holdings // of priors
	subjects map[stack.ID]placement.Subject
	index    index // of subjects
	priors   map[stack.ID]placement.Prior
	rollouts map[stack.ID]rollout.Rollout // that govern
	blocked  map[stack.ID]int             // clusters that keep what they have though something else is wanted; none: absent
	depends  map[stack.ID][]stack.ID      // whose reports the rollout of a stack waits for, beside its own
	waiting  placement.Waiting
	assigned int // assignments in state assigned, over the fleet
}

// load reads everything. The three reads are of different moments: what rests on a stale one is refused by the commit. Assignments of stacks
// that are not known, because they came meanwhile, are left to the events that tell of them.
func load(ctx context.Context, f ports.Facts) (*world, error) {
	w := &world{clusters: map[agent.ID]placement.Cluster{}, subjects: map[stack.ID]placement.Subject{}, index: newIndex(),
		rollouts: map[stack.ID]rollout.Rollout{}, depends: map[stack.ID][]stack.ID{}, blocked: map[stack.ID]int{}, promises: placement.Promises{}, waiting: placement.Waiting{}}
	subjects, err := f.Subjects(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read stacks: %w", err)
	}
	clusters, err := f.Clusters(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read clusters: %w", err)
	}
	if w.priors, err = f.Prior(ctx, nil); err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	known := make(map[stack.ID]bool, len(subjects))
	for _, s := range subjects {
		known[s.Stack] = true
	}
	maps.DeleteFunc(w.priors, func(id stack.ID, _ placement.Prior) bool { return !known[id] })
	w.holdings = holdingsOf(w.priors)
	for _, c := range clusters {
		c.Load = len(w.holdings[c.Agent])
		w.clusters[c.Agent] = c
	}
	for _, s := range subjects {
		w.put(s)
		w.index.add(s)
	}
	w.fleet = placement.NewFleet(w.all())
	for _, list := range w.holdings {
		w.assigned += len(list)
	}
	return w, nil
}

// all is the list of the clusters, made when it is asked for.
func (w *world) all() []placement.Cluster {
	if w.list == nil {
		w.list = make([]placement.Cluster, 0, len(w.clusters))
		for _, c := range w.clusters {
			w.list = append(w.list, c)
		}
	}
	return w.list
}

// changed tells the fleet which clusters have changed since they were as given.
func (w *world) changed(was map[agent.ID]placement.Cluster) {
	if len(was) == 0 {
		return
	}
	list := make([]placement.Cluster, 0, len(was))
	for a := range was {
		list = append(list, w.clusters[a])
	}
	w.fleet = w.fleet.With(list, nil)
	w.list = nil
}

// refreshClusters reads these agents again. How many stacks they have is what the snapshot knows of the stacks: what others have
// decided meanwhile is in it when it is in both.
func (w *world) refreshClusters(ctx context.Context, f ports.Facts, ids []agent.ID, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	got, err := f.Clusters(ctx, ids)
	if err != nil {
		return fmt.Errorf("read %d clusters: %w", len(ids), err)
	}
	for _, id := range ids {
		delete(w.clusters, id) // gone unless it was read again
	}
	for i := range got {
		got[i].Load, got[i].Assumed = len(w.holdings[got[i].Agent]), w.promises.Assumed(got[i], now)
		w.clusters[got[i].Agent] = got[i]
	}
	var gone []agent.ID
	for _, id := range ids {
		if _, ok := w.clusters[id]; !ok {
			gone = append(gone, id)
			delete(w.promises, id)
		}
	}
	w.leave(gone)
	w.fleet = w.fleet.With(got, gone)
	w.list = nil
	return nil
}

// leave forgets what was assigned to agents that are gone: it went with them, which nobody decided.
func (w *world) leave(gone []agent.ID) {
	if len(gone) == 0 {
		return
	}
	for id, p := range w.priors {
		var left placement.Prior
		for _, a := range gone {
			x, there := p[a]
			if !there {
				continue
			}
			if left == nil {
				left = maps.Clone(p)
			}
			delete(left, a)
			if x.State == delivery.Assigned {
				w.assigned--
			}
		}
		if left != nil {
			w.priors[id] = left
		}
	}
	for _, a := range gone {
		delete(w.holdings, a)
	}
}

// refreshStacks reads these stacks and their assignments again, as load does.
func (w *world) refreshStacks(ctx context.Context, f ports.Facts, ids []stack.ID) error {
	if len(ids) == 0 {
		return nil
	}
	subjects, err := f.Subjects(ctx, ids)
	if err != nil {
		return fmt.Errorf("read %d stacks: %w", len(ids), err)
	}
	priors, err := f.Prior(ctx, ids)
	if err != nil {
		return fmt.Errorf("read assignments of %d stacks: %w", len(ids), err)
	}
	w.replace(ids, subjects)
	was := map[agent.ID]placement.Cluster{}
	for _, id := range ids {
		if _, known := w.subjects[id]; !known {
			delete(priors, id)
		}
		before, after := w.priors[id], priors[id]
		w.note(before, was)
		w.note(after, was)
		w.assigned += after.Assigned() - before.Assigned()
		w.holdings.move(id, before, after)
		restore(w.priors, priors, id)
	}
	for a, c := range was {
		n := len(w.holdings[a])
		if c.Load == n {
			delete(was, a)
			continue
		}
		c.Load = n
		w.clusters[a] = c
	}
	w.changed(was)
	return nil
}

// refreshSubjects reads these stacks again without their assignments, which a policy alone does not change. Those of which more has changed,
// for somebody has decided about them or they are no longer there, are read as a whole.
func (w *world) refreshSubjects(ctx context.Context, f ports.Facts, ids []stack.ID) error {
	if len(ids) == 0 {
		return nil
	}
	subjects, err := f.Subjects(ctx, ids)
	if err != nil {
		return fmt.Errorf("read %d stacks: %w", len(ids), err)
	}
	found := make(map[stack.ID]bool, len(subjects))
	for _, s := range subjects {
		found[s.Stack] = s.Generation == w.subjects[s.Stack].Generation
	}
	var same, more []stack.ID
	for _, id := range ids {
		if found[id] {
			same = append(same, id)
		} else {
			more = append(more, id)
		}
	}
	w.replace(same, slices.DeleteFunc(subjects, func(s placement.Subject) bool { return !found[s.Stack] }))
	return w.refreshStacks(ctx, f, more)
}

// replace makes subjects what is known of these stacks.
func (w *world) replace(ids []stack.ID, subjects []placement.Subject) {
	for _, id := range ids {
		w.index.remove(w.subjects[id])
		delete(w.subjects, id)
		delete(w.blocked, id)
		delete(w.waiting, id)
	}
	for _, s := range subjects {
		w.put(s)
		w.index.add(s)
	}
}

// note keeps the clusters to which a stack is assigned as they are.
func (w *world) note(p placement.Prior, noted map[agent.ID]placement.Cluster) {
	for a, x := range p {
		if c, there := w.clusters[a]; there && x.State == delivery.Assigned {
			noted[a] = c
		}
	}
}

// settle brings promises of the clusters, and how many stacks they have, to where the decision leaves them, and returns those that change
// as they were.
func (w *world) settle(d placement.Decision, needs cluster.Resources, now time.Time) map[agent.ID]placement.Cluster {
	was := w.promises.Settle(d, needs, w.priors[d.Stack], w.clusters, now)
	w.changed(was)
	return was
}

// put makes s what the snapshot knows of its stack.
func (w *world) put(s placement.Subject) {
	w.subjects[s.Stack] = s
	w.waiting.Put(s)
	if n := countBlocked(s.Blocked); n > 0 {
		w.blocked[s.Stack] = n
	} else {
		delete(w.blocked, s.Stack)
	}
}

func countBlocked(list []placement.Blocked) int {
	n := 0
	for _, b := range list {
		n += len(b.Agents)
	}
	return n
}

// committed brings the snapshot to where the commit left the store.
func (w *world) committed(d placement.Decision, now time.Time) {
	w.put(w.subjects[d.Stack].After(d, now))
	prior := w.priors[d.Stack].After(d, now)
	w.assigned += prior.Assigned() - w.priors[d.Stack].Assigned()
	for _, c := range d.Changes {
		if c.State == delivery.Assigned {
			w.holdings.add(c.Agent, d.Stack)
		} else {
			w.holdings.remove(c.Agent, d.Stack)
		}
	}
	w.priors[d.Stack] = prior
}

// revised notes in which revisions of their agents the changes came.
func (w *world) revised(d placement.Decision, revisions map[agent.ID]delivery.Revision) {
	prior := w.priors[d.Stack]
	for _, c := range d.Changes {
		a := prior[c.Agent]
		a.Revision = revisions[c.Agent]
		prior[c.Agent] = a
	}
}
