package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// deciding is what decisions rest on, as it is or as somebody thinks of it.
type deciding struct {
	clusters map[agent.ID]placement.Cluster
	subjects map[stack.ID]placement.Subject
	named    map[stackName]stack.ID
	priors   map[stack.ID]placement.Prior
	policies map[policy.ID]*placement.Compiled
	promises placement.Promises
	brake    placement.Brake  // with the holds of all these stacks
	fleet    *placement.Fleet // of clusters, once it is needed
}

type stackName struct {
	generator tenancy.GeneratorID
	name      string
}

// readDeciding reads what decisions about these stacks rest on; nil are all, and only then is it known what else is on
// clusters and where other stacks are.
func (a *App) readDeciding(ctx context.Context, tx ports.Repositories, ids []stack.ID) (*deciding, error) {
	f := tx.Facts()
	brake, err := a.brake(ctx, tx, ids) // before the facts: what it counts as removed is then not among what is assigned
	if err != nil {
		return nil, err
	}
	clusters, err := f.Clusters(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read clusters: %w", err)
	}
	subjects, err := f.Subjects(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read stacks: %w", err)
	}
	w := &deciding{clusters: map[agent.ID]placement.Cluster{}, subjects: map[stack.ID]placement.Subject{}, named: map[stackName]stack.ID{},
		policies: map[policy.ID]*placement.Compiled{}, promises: placement.Promises{}, brake: brake}
	w.brake.Waiting = placement.Waiting{}
	if w.priors, err = f.Prior(ctx, ids); err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	load, assigned := placement.Loads(w.priors), 0
	for _, c := range clusters {
		c.Load = load[c.Agent]
		w.clusters[c.Agent] = c
	}
	for _, n := range load {
		assigned += n
	}
	if w.brake.Fleet != nil {
		w.brake.Fleet.Assigned = assigned
	}
	follows := map[policy.ID]bool{}
	for _, s := range subjects {
		w.subjects[s.Stack] = s
		w.brake.Waiting.Put(s)
		if !s.Deleted {
			w.named[stackName{s.Generator, s.Name}] = s.Stack
		}
		if s.Policy != nil {
			follows[s.Policy.ID] = true
		}
	}
	if len(follows) == 0 {
		return w, nil
	}
	all, err := tx.Policies().Live(ctx, slices.Collect(maps.Keys(follows)))
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	for _, p := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.know(a, p); err != nil {
			return nil, err
		}
	}
	now := a.now()
	for _, s := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c := w.follows(s); c != nil {
			w.promises.Make(s, c.Needs(), w.priors[s.Stack], w.clusters, now)
		}
	}
	w.promises.Sum(w.clusters, now)
	return w, nil
}

// brake is the scheduler's, with what its window of the fleet has of removals now if all stacks are decided about.
func (a *App) brake(ctx context.Context, tx ports.Repositories, ids []stack.ID) (placement.Brake, error) {
	out := a.Brake
	if out.Fleet == nil || ids != nil {
		out.Fleet = nil
		return out, nil
	}
	removed, err := tx.Removals().Since(ctx, out.Fleet.Began(a.now()))
	if err != nil {
		return out, fmt.Errorf("read removals: %w", err)
	}
	w := out.Fleet.With(removed...)
	out.Fleet = &w
	return out, nil
}

// until returns h with when the fleet's window has room for it as things are now, but for what has waited for longer; nil stays nil.
func (a *App) until(ctx context.Context, h *placement.Hold) (*placement.Hold, error) {
	if h == nil || h.Cause != placement.HoldFleet {
		return h, nil
	}
	brake, err := a.brake(ctx, a.Store, nil)
	if err != nil || brake.Fleet == nil {
		return h, err
	}
	if brake.Fleet.Assigned, err = a.Store.Removals().Assigned(ctx); err != nil {
		return h, fmt.Errorf("count assignments: %w", err)
	}
	out := *h
	out.Until = brake.RoomFor(placement.Subject{}, h, a.now())
	return &out, nil
}

// follows returns the policy that decides about a stack; nil: none does.
func (w *deciding) follows(s placement.Subject) *placement.Compiled {
	if s.Policy == nil {
		return nil
	}
	return w.policies[s.Policy.ID]
}

// know makes a policy ready to decide with.
func (w *deciding) know(a *App, p policy.Policy) error {
	c, err := placement.Compile(p.Document, a.Language)
	if err != nil {
		return fmt.Errorf("compile policy %s: %w", p.Name, err)
	}
	w.policies[p.ID] = c
	return nil
}

// copy returns one that may be changed without changing w; the values are shared.
func (w *deciding) copy() *deciding {
	out := *w
	out.clusters, out.subjects, out.priors, out.policies, out.fleet = maps.Clone(w.clusters), maps.Clone(w.subjects), maps.Clone(w.priors), maps.Clone(w.policies), nil
	out.promises, out.brake.Waiting = w.promises.Clone(), maps.Clone(w.brake.Waiting)
	return &out
}

// revise makes v the newest revision of its policy.
func (w *deciding) revise(a *App, v policy.Policy) error {
	for id, s := range w.subjects {
		if s.Policy != nil && s.Policy.ID == v.ID {
			ref := *s.Policy
			ref.Revision = v.Revision
			s.Policy = &ref
			w.subjects[id] = s
		}
	}
	return w.know(a, v)
}

// decide decides as the scheduler would, with a verdict on every cluster.
func (w *deciding) decide(id stack.ID, now time.Time) placement.Decision {
	return placement.Explain(w.input(id), now)
}

// input is what a decision about a stack rests on.
func (w *deciding) input(id stack.ID) placement.Input {
	s := w.subjects[id]
	in := placement.Input{Subject: s, Prior: w.priors[id], Brake: w.brake}
	if in.Policy = w.follows(s); in.Policy == nil {
		in.Clusters = slices.Collect(maps.Values(w.clusters))
		return in
	}
	if w.fleet == nil {
		w.fleet = placement.NewFleet(slices.Collect(maps.Values(w.clusters)))
	}
	in.Fleet = w.fleet
	for _, name := range in.Policy.Peers() {
		if other, ok := w.named[stackName{s.Generator, name}]; ok {
			if in.Peers == nil {
				in.Peers = map[string]placement.Prior{}
			}
			in.Peers[name] = w.priors[other]
		}
	}
	return in
}
