package cycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// learn reads the policies that decide about stacks of the snapshot and are not known in the revision that does, all at once.
func (e *Engine) learn(ctx context.Context) error {
	wanted := map[policy.ID]bool{}
	for id, s := range e.world.subjects {
		if e.unlearned(id) {
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
		e.know(p)
	}
	return nil
}

// unlearned reports whether the policy that decides about a stack is not known in the revision that does.
func (e *Engine) unlearned(id stack.ID) bool {
	p := e.world.subjects[id].Policy
	return p != nil && e.policies[p.ID].Revision != p.Revision
}

// know keeps a policy as it was read.
func (e *Engine) know(p policy.Policy) {
	e.policies[p.ID] = p
	cpu, memory, pods, gpu := p.Document.Requires.Amount()
	e.most = cluster.Resources{CPU: max(e.most.CPU, cpu), Memory: max(e.most.Memory, memory), Pods: max(e.most.Pods, pods), GPU: max(e.most.GPU, gpu)}
}

// gives returns of which clusters the decision, which the snapshot does not have yet, gives room away, and how much there is for others.
func (e *Engine) gives(s placement.Subject, d placement.Decision) []ports.Room {
	if s.Policy == nil || s.Over() {
		return nil
	}
	needs := e.ready[s.Policy.ID].compiled.Needs()
	if needs == (cluster.Resources{}) {
		return nil
	}
	var out []ports.Room
	for _, ch := range d.Changes {
		if c, there := e.world.clusters[ch.Agent]; there && ch.State == delivery.Assigned && e.world.priors[s.Stack][ch.Agent].State != delivery.Assigned {
			out = append(out, ports.Room{Agent: ch.Agent, Spare: placement.Spare(c, needs, e.most)})
		}
	}
	return out
}

// rooms says in decisions that are committed together what they know to be assigned where they give room away. Whoever commits them may go
// on with that while the snapshot changes.
func (e *Engine) rooms(list ...*pending) {
	known := map[agent.ID][]stack.ID{}
	for _, p := range list {
		for _, r := range p.commit.Rooms {
			stacks, copied := known[r.Agent]
			if !copied {
				stacks = slices.Clone(e.world.holdings[r.Agent])
			}
			known[r.Agent] = with(stacks, p.subject.Stack)
		}
	}
	for _, p := range list {
		for i, r := range p.commit.Rooms {
			p.commit.Rooms[i].Stacks = known[r.Agent]
		}
	}
}

// pledgeAll makes promises anew of what all assignments have that is perhaps not in what the clusters have told: also those that other
// replicas, or this one before it started, have decided.
func (e *Engine) pledgeAll() {
	clear(e.world.promises)
	e.promise(keys(e.world.priors))
}

// pledge does the same for these stacks. What they have no longer is promised no longer.
func (e *Engine) pledge(ids []stack.ID) {
	if len(ids) == 0 {
		return
	}
	e.world.promises.Release(ids...)
	e.promise(ids)
}

func (e *Engine) promise(ids []stack.ID) {
	w := e.world
	for _, id := range ids {
		s := w.subjects[id]
		if s.Policy == nil {
			continue
		}
		p, ok := e.policies[s.Policy.ID]
		if !ok {
			continue // it is not known any longer; the decision that is due says so
		}
		var needs cluster.Resources
		needs.CPU, needs.Memory, needs.Pods, needs.GPU = p.Document.Requires.Amount()
		w.promises.Make(s, needs, w.priors[id], w.clusters, e.now())
	}
	e.lapse()
}

// lapse brings what is promised of the clusters to what it is by now: promises end with time alone too, and others may wait for
// their room.
func (e *Engine) lapse() {
	w := e.world
	if w == nil {
		return
	}
	was := w.promises.Sum(w.clusters, e.now())
	w.changed(was)
	e.roomIn(was, "")
}

// roomIn makes the stacks dirty, but for one, that may have waited for the room of clusters of which less is promised than it was.
// Those that have what they want are not asked whether they would rather be there: each of them that moves frees room itself, and
// stacks would go on moving because of one another.
func (e *Engine) roomIn(was map[agent.ID]placement.Cluster, but stack.ID) {
	freed := placement.Freed(was, e.world.clusters)
	if len(freed) == 0 {
		return
	}
	for _, id := range e.concerned(keys(freed), freed, e.now()) {
		if _, dirty := e.dirty[id]; !dirty && id != but && e.waits(id) {
			e.dirty[id] = cause{event: "room"}
		}
	}
}

// waits reports whether a stack may lack a cluster for want of room. Of a policy that was not looked at yet nobody knows.
func (e *Engine) waits(id stack.ID) bool {
	s := e.world.subjects[id]
	if s.Policy == nil || s.Over() {
		return false
	}
	r, known := e.ready[s.Policy.ID]
	return !known || r.revision != s.Policy.Revision || r.compiled.Waits(e.world.priors[id].Assigned())
}
