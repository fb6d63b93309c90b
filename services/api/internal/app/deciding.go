package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
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
	brake    placement.Brake
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
	clusters, err := f.Clusters(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read clusters: %w", err)
	}
	subjects, err := f.Subjects(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read stacks: %w", err)
	}
	w := &deciding{clusters: map[agent.ID]placement.Cluster{}, subjects: map[stack.ID]placement.Subject{}, named: map[stackName]stack.ID{},
		policies: map[policy.ID]*placement.Compiled{}, brake: a.Brake}
	if w.priors, err = f.Prior(ctx, ids); err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	load := map[agent.ID]int{}
	for _, prior := range w.priors {
		for id, x := range prior {
			if x.State == delivery.Assigned {
				load[id]++
			}
		}
	}
	for _, c := range clusters {
		c.Load = load[c.Agent]
		w.clusters[c.Agent] = c
	}
	follows := map[policy.ID]bool{}
	for _, s := range subjects {
		w.subjects[s.Stack] = s
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
		if err := w.know(a, p); err != nil {
			return nil, err
		}
	}
	return w, nil
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
	out.clusters, out.subjects, out.policies, out.fleet = maps.Clone(w.clusters), maps.Clone(w.subjects), maps.Clone(w.policies), nil
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
	s := w.subjects[id]
	in := placement.Input{Subject: s, Prior: w.priors[id], Brake: w.brake}
	if s.Policy == nil || w.policies[s.Policy.ID] == nil {
		in.Clusters = slices.Collect(maps.Values(w.clusters))
		return placement.Decide(in, now)
	}
	if w.fleet == nil {
		w.fleet = placement.NewFleet(slices.Collect(maps.Values(w.clusters)))
	}
	in.Policy, in.Fleet = w.policies[s.Policy.ID], w.fleet
	for _, name := range in.Policy.Peers() {
		if other, ok := w.named[stackName{s.Generator, name}]; ok {
			if in.Peers == nil {
				in.Peers = map[string]placement.Prior{}
			}
			in.Peers[name] = w.priors[other]
		}
	}
	return placement.Explain(in, now)
}
