package cycle

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// readers are the policies that read a key of clusters: what nobody reads concerns nobody, and what few read costs no look at
// the others.
type readers map[string]map[policy.ID]struct{}

func (r readers) add(keys []string, p policy.ID) {
	for _, k := range keys {
		if r[k] == nil {
			r[k] = map[policy.ID]struct{}{}
		}
		r[k][p] = struct{}{}
		if isFact(k) {
			r.add([]string{placement.AnyFact}, p)
		}
	}
}

func (r readers) remove(keys []string, p policy.ID) {
	for _, k := range append(keys[:len(keys):len(keys)], placement.AnyFact) {
		if delete(r[k], p); len(r[k]) == 0 {
			delete(r, k)
		}
	}
}

func isFact(key string) bool {
	return len(key) > len(policy.KeyFact) && key[:len(policy.KeyFact)] == policy.KeyFact
}

// triggers say which policies read what.
type triggers struct {
	decisions readers // what decisions rest on
	overrides readers // what it rests on which overrides are for a cluster
}

func newTriggers() triggers { return triggers{decisions: readers{}, overrides: readers{}} }

// prepared makes r what is known of a policy.
func (e *Engine) prepared(id policy.ID, r ready) {
	if old, ok := e.ready[id]; ok {
		e.triggers.decisions.remove(old.compiled.Reads(), id)
		e.triggers.overrides.remove(old.compiled.OverridesRead(), id)
	}
	e.triggers.decisions.add(r.compiled.Reads(), id)
	e.triggers.overrides.add(r.compiled.OverridesRead(), id)
	e.ready[id] = r
	for s := range e.world.index.policies[id] {
		e.world.index.unsure[s] = struct{}{}
	}
}

// concerned returns the stacks about which the changes of these agents, from what they were, may come to another decision. A
// change of what no policy reads concerns no stack with a policy. What each cluster's change is, is found once, and which
// policies it concerns by what they read.
func (e *Engine) concerned(ids []agent.ID, old map[agent.ID]placement.Cluster, now time.Time) []stack.ID {
	w := e.world
	out := map[stack.ID]struct{}{}
	for s := range w.index.unsure { // which policy decides about it is not known yet
		if ref := w.subjects[s].Policy; ref == nil || e.ready[ref.ID].revision == ref.Revision {
			delete(w.index.unsure, s)
		} else {
			out[s] = struct{}{}
		}
	}
	all := map[tenancy.GeneratorID]bool{} // each of their stacks with a policy
	done := map[policy.ID]bool{}
	for _, a := range ids {
		before, after := pointers(old, w.clusters, a)
		if after != nil {
			for s := range w.index.plain {
				if _, in := out[s]; !in && placement.Differs(w.subjects[s], *after, w.priors[s]) {
					out[s] = struct{}{}
				}
			}
		}
		d := placement.Compare(before, after, now)
		for g := range d.Generators {
			all[g] = true
		}
		for s := range d.Stacks {
			if x, there := w.subjects[s]; there && x.Policy != nil && d.Either[x.Generator] {
				out[s] = struct{}{}
			}
		}
		if d.Each {
			for p, stacks := range w.index.policies {
				for s := range stacks {
					if c := e.ready[p].compiled; c != nil && c.Concerns(w.subjects[s], before, after, now) {
						out[s] = struct{}{}
					}
				}
			}
		}
		for _, key := range d.Keys {
			for p := range e.triggers.decisions[key] {
				e.reach(p, d.Either, done, out)
			}
			for p := range e.triggers.overrides[key] {
				if !done[p] && varies(e.ready[p].compiled, before, after, now) {
					e.reach(p, nil, done, out)
				}
			}
		}
	}
	if len(all) > 0 {
		for _, stacks := range w.index.policies {
			for s := range stacks {
				if all[w.subjects[s].Generator] {
					out[s] = struct{}{}
				}
			}
		}
	}
	return keys(out)
}

// reach adds the stacks about which a policy decides, those of these generators; nil are all. A policy decides about stacks of one
// generator.
func (e *Engine) reach(p policy.ID, of map[tenancy.GeneratorID]bool, done map[policy.ID]bool, out map[stack.ID]struct{}) {
	if done[p] {
		return
	}
	for s := range e.world.index.policies[p] {
		if of != nil && !of[e.world.subjects[s].Generator] {
			return
		}
		out[s] = struct{}{}
	}
	done[p] = true
}

// pointers returns a cluster as it was and as it is; nil: it was not, or is no longer, there.
func pointers(old, now map[agent.ID]placement.Cluster, a agent.ID) (before, after *placement.Cluster) {
	if c, ok := old[a]; ok {
		before = &c
	}
	if c, ok := now[a]; ok {
		after = &c
	}
	return before, after
}
