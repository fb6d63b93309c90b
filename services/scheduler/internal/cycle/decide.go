package cycle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// ready is a policy in the revision in which it was last used.
type ready struct {
	revision int
	compiled *placement.Compiled
}

// compiled returns the policy of ref, compiled once a revision; nil without one.
func (e *Engine) compiled(ctx context.Context, ref *policy.Ref) (*placement.Compiled, error) {
	if ref == nil {
		return nil, nil
	}
	if r, ok := e.ready[ref.ID]; ok && r.revision == ref.Revision {
		return r.compiled, nil
	}
	doc, err := e.document(ctx, ref)
	if err != nil {
		return nil, err
	}
	c, err := placement.Compile(*doc, placement.Deps{CEL: e.opt.CEL})
	if err != nil {
		return nil, fmt.Errorf("compile revision %d of policy %s: %w", ref.Revision, ref.Name, err)
	}
	e.prepared(ref.ID, ready{revision: ref.Revision, compiled: c})
	if delete(e.peering, ref.ID); len(c.Peers()) > 0 {
		e.peering[ref.ID] = true
	}
	return c, nil
}

// asked returns what a decision about a stack rests on: with the policy that reaches it, else for plain matching.
func (e *Engine) asked(ctx context.Context, id stack.ID, now time.Time) (placement.Input, error) {
	in := e.input(id, now)
	if in.Subject.Over() {
		in.Clusters = e.world.all()
		return in, nil
	}
	p, err := e.compiled(ctx, in.Subject.Policy)
	if err != nil {
		return in, err
	}
	if p == nil {
		in.Clusters = e.world.all()
		return in, nil
	}
	in.Policy, in.Fleet, in.Peers = p, e.world.fleet, e.world.peers(in.Subject, p)
	return in, nil
}

// decide decides about a stack. Most decisions come to what is there already, so that nobody is told why: the verdicts on
// all clusters are for those that are committed.
func (e *Engine) decide(ctx context.Context, id stack.ID, now time.Time) (placement.Decision, placement.Input, error) {
	in, err := e.asked(ctx, id, now)
	if err != nil {
		return placement.Decision{}, in, err
	}
	return placement.Decide(in, now), in, nil
}

// explain adds to the decision of p the verdict on each cluster, as it is recorded.
func (e *Engine) explain(p *pending, in placement.Input) {
	if p.decision.Verdicts == nil {
		var kept bool
		if p.telling, kept = e.tellings.Get().(*placement.Telling); !kept {
			p.telling = new(placement.Telling)
		}
		p.decision.Verdicts = p.telling.Explain(in, p.now).Verdicts
	}
	p.decision.ExplainBlocked()
}

// told takes back the memory of verdicts that have been stored, or never will be.
func (e *Engine) told(p *pending) {
	if p.telling == nil {
		return
	}
	p.decision.Verdicts, p.commit.Record.Decision.Verdicts = nil, nil
	e.tellings.Put(p.telling)
	p.telling = nil
}

// peers is where the stacks are that the policy's affinity names. A name that no live stack of the generator has is not
// among them.
func (w *world) peers(s placement.Subject, p *placement.Compiled) map[string]placement.Prior {
	names := p.Peers()
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]placement.Prior, len(names))
	for _, n := range names {
		if id, live := w.index.names[own{s.Generator, n}]; live {
			out[n] = w.priors[id]
		}
	}
	return out
}

// settled notes what a committed decision means for others: what it promised of clusters, and which stacks look at where this
// one is.
func (e *Engine) settled(s placement.Subject, d placement.Decision, now time.Time) {
	if len(d.Changes) == 0 {
		return
	}
	var needs cluster.Resources
	if s.Policy != nil && !s.Over() {
		needs = e.ready[s.Policy.ID].compiled.Needs()
	}
	e.roomIn(e.world.settle(d, needs, now), s.Stack)
	e.stir(s)
}

// stir makes the stacks dirty whose policies look at where s is.
func (e *Engine) stir(s placement.Subject) {
	for p := range e.peering {
		if !slices.Contains(e.ready[p].compiled.Peers(), s.Name) {
			continue
		}
		for id := range e.world.index.policies[p] {
			if _, dirty := e.dirty[id]; !dirty && id != s.Stack && e.world.subjects[id].Generator == s.Generator {
				e.dirty[id] = cause{event: "affinity"}
			}
		}
	}
}

// heed brings what other replicas have decided into the snapshot: our stacks may depend on where theirs are.
func (e *Engine) heed(ctx context.Context, decided []stack.ID) error {
	if len(decided) == 0 {
		return nil
	}
	slices.Sort(decided)
	decided = slices.Compact(decided) // two decisions of a stack may be told of at once
	if err := e.world.refreshStacks(ctx, e.store.Facts(), decided); err != nil {
		return err
	}
	return e.heard(ctx, decided)
}

// heard is the rest of heed, once the stacks have been read. If it fails the snapshot knows what it has not heeded, and no event would tell of
// that once more.
func (e *Engine) heard(ctx context.Context, decided []stack.ID) error {
	if err := e.learn(ctx); err != nil {
		e.torn = true
		return err
	}
	e.pledge(decided)
	for _, id := range decided {
		for _, waits := range e.awaiting(id) {
			if _, dirty := e.dirty[waits]; !dirty && waits != id {
				e.dirty[waits] = cause{event: event.PlacementDecided}
			}
		}
		if s, ok := e.world.subjects[id]; ok {
			e.stir(s)
		}
	}
	return nil
}

// theirs reports whether the decision that the event tells of is not in the snapshot: another replica has made it.
func (e *Engine) theirs(ev event.Event) bool {
	return whole(ev.Data["generation"]) > e.world.subjects[ev.Stack].Generation
}

// whole returns a number of an event's data; 0 if it is none.
func whole(v any) int64 {
	switch n := v.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case float64: // as JSON has it
		return int64(n)
	default:
		return 0
	}
}

// some returns these clusters as the snapshot knows them.
func (w *world) some(ids []agent.ID) map[agent.ID]placement.Cluster {
	out := make(map[agent.ID]placement.Cluster, len(ids))
	for _, a := range ids {
		if c, ok := w.clusters[a]; ok {
			out[a] = c
		}
	}
	return out
}

// known returns these stacks as the snapshot knows them.
func (w *world) known(ids []stack.ID) map[stack.ID]placement.Subject {
	out := make(map[stack.ID]placement.Subject, len(ids))
	for _, id := range ids {
		if s, ok := w.subjects[id]; ok {
			out[id] = s
		}
	}
	return out
}
