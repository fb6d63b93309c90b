package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// review tells what a document asks for that the clusters and the stacks of its generator do not have just now. Of what
// belongs to others it tells nothing, not even to staff: the policy cannot use it. But how much the generator's clusters have to
// carry, whoever's it is, is a property of theirs. "Just now" is up to glanceMost ago.
func (a *App) review(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, d policy.Document) ([]PolicyProblem, error) {
	c, err := placement.Compile(d, a.Language)
	if err != nil {
		return nil, fmt.Errorf("compile policy %s: %w", d.Name, err)
	}
	seen, err := a.seen(ctx, tx, g, c)
	if err != nil {
		return nil, err
	}
	var out []PolicyProblem
	for _, p := range c.Review(seen, a.now()) {
		out = append(out, PolicyProblem{Path: p.Path, Message: p.Message, Warning: true})
	}
	return out, nil
}

func (a *App) seen(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, c *placement.Compiled) (placement.Seen, error) {
	out := placement.Seen{Stacks: map[string]bool{}}
	var err error
	if out.Clusters, err = a.fleets.of(ctx, g, a.Now, func(ctx context.Context) ([]placement.Cluster, error) { return clustersOf(ctx, tx, g) }); err != nil {
		return out, err
	}
	for _, name := range c.Names() {
		found, err := stacksNamed(ctx, tx, g, name)
		if err != nil {
			return out, err
		}
		out.Stacks[name] = len(found) > 0
	}
	return out, nil
}

// clustersOf returns the clusters that the generator may use, and no others. Their load counts all stacks, whoever's they are: so do
// decisions, which show it to every generator that may use the cluster, and a warning is to foretell the decision.
func clustersOf(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID) ([]placement.Cluster, error) {
	agents, err := tx.Agents().List(ctx, tenancy.Scope{Generator: g})
	if err != nil {
		return nil, fmt.Errorf("list the generator's agents: %w", err)
	}
	ids := make([]agent.ID, len(agents))
	for i, v := range agents {
		ids[i] = v.ID
	}
	out, err := tx.Facts().Clusters(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the generator's clusters: %w", err)
	}
	return out, nil
}

// stacksNamed returns the live stacks of a generator with this name: one or none.
func stacksNamed(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, name string) ([]stack.Stack, error) {
	p, err := tx.Stacks().Page(ctx, tenancy.Scope{Generator: g}, page.Query{Limit: 1, Sort: "name", Is: map[string]string{"name": name}})
	if err != nil {
		return nil, fmt.Errorf("find stack %s: %w", name, err)
	}
	return p.Items, nil
}

// noCycle refuses (Refused, dependency_cycle) what would let stacks of a generator wait for one another for ever: stacks that
// wait as d says, for those on which they depend and those with which they are to be, if what they wait for waits, through however many
// stacks, for one of them. Closes says which stacks those are.
func (a *App) noCycle(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, d policy.Document, closes func(stack.ID, *policy.Ref) bool) error {
	w := walk{tx: tx, generator: g, document: d, closes: closes, seen: map[stack.ID]bool{}, documents: map[policy.ID]policy.Document{}}
	return w.from(ctx, d, "")
}

// walk follows what stacks wait for, depth first.
type walk struct {
	tx        ports.Repositories
	generator tenancy.GeneratorID
	document  policy.Document // of the stacks that the walk is about: perhaps it is only planned
	closes    func(stack.ID, *policy.Ref) bool
	seen      map[stack.ID]bool
	documents map[policy.ID]policy.Document
	path      []string // names, from what the first document waits for
}

// from follows what the stack waits for about which d decides; "": the stacks that the walk is about.
func (w *walk) from(ctx context.Context, d policy.Document, name string) error {
	for _, x := range d.DependsOn {
		if err := w.follow(ctx, x.Stack, false); err != nil {
			return err
		}
	}
	if d.Affinity == nil {
		return nil
	}
	for _, with := range d.Affinity.WithStacks {
		if with == name {
			continue // no stack waits for itself so: one of those that share a policy may be named in it
		}
		if err := w.follow(ctx, with, true); err != nil {
			return err
		}
	}
	return nil
}

// follow goes on to the stack with this name; with: not because it is depended on, but to be where it is.
func (w *walk) follow(ctx context.Context, name string, with bool) error {
	found, err := stacksNamed(ctx, w.tx, w.generator, name)
	if err != nil {
		return err
	}
	for _, s := range found {
		if w.seen[s.ID] {
			continue
		}
		w.seen[s.ID] = true
		w.path = append(w.path, s.Name)
		if err := w.visit(ctx, s, with && len(w.path) == 1); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	return nil
}

// visit looks at a stack, and follows what it waits for. If it is one of those that the walk is about, the path has led back to it, but for
// perhaps itself: one that was reached by its own first step.
func (w *walk) visit(ctx context.Context, s stack.Stack, perhapsItself bool) error {
	ref, err := w.tx.Policies().Effective(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("get the policy of stack %s: %w", s.Name, err)
	}
	switch closes := w.closes(s.ID, ref); {
	case closes && perhapsItself:
		delete(w.seen, s.ID) // whoever comes here again has gone round
		return w.from(ctx, w.document, s.Name)
	case closes:
		cycle := w.path
		if len(cycle) == 1 || cycle[0] != s.Name {
			cycle = append([]string{s.Name}, cycle...)
		}
		text := cycle[0]
		for _, n := range cycle[1:] {
			text += " -> " + n
		}
		return fault.Newf(fault.Refused, "dependency_cycle", "the stacks would wait for one another for ever, each for the next: %s", text).With("cycle", cycle)
	}
	if ref == nil {
		return nil
	}
	d, known := w.documents[ref.ID]
	if !known {
		p, err := w.tx.Policies().Get(ctx, tenancy.Scope{Generator: w.generator}, ref.ID)
		if err != nil {
			return fmt.Errorf("get policy %s: %w", ref.Name, err)
		}
		d = p.Document
		w.documents[ref.ID] = d
	}
	return w.from(ctx, d, s.Name)
}

// closesOne is true of one stack; closesAll of those about which a policy decides.
func closesOne(s stack.ID) func(stack.ID, *policy.Ref) bool {
	return func(id stack.ID, _ *policy.Ref) bool { return id == s }
}

func closesAll(p policy.ID) func(stack.ID, *policy.Ref) bool {
	return func(_ stack.ID, ref *policy.Ref) bool { return ref != nil && ref.ID == p }
}
