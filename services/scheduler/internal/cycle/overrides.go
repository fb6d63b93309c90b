package cycle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/override"
)

// variantKey names what a set of overrides makes of an object.
type variantKey struct {
	policy   policy.ID
	revision int
	object   stack.ObjectID
	set      string // numbers of overrides
}

// variant is the content for the clusters of one set; an empty sum is the object's own.
type variant struct {
	sum    stack.Checksum
	at     string // the override that keeps the content from being made, by its place in the policy; empty: none does
	why    string
	unsure bool // nobody can say yet whether that override is for the cluster
	put    time.Time
}

// fresh reports whether the content is still stored for certain, be it used or not.
func (v variant) fresh(now time.Time) bool { return v.sum == "" || now.Sub(v.put) < stack.UnusedFor/2 }

func (v variant) failed() bool { return v.at != "" }

// keptVariants bounds how many are remembered; what is forgotten is rendered again.
const keptVariants = 10_000

// vary gives each cluster that d picks the content that the policy's overrides make for it, rendered once a set of overrides
// and stored by its checksum. A cluster whose overrides cannot be applied, or are not
// known, keeps what it has, and so do no others. What stays on an older object keeps the content that it has. While a rollout
// goes on, what has its object keeps its content too: another one would reach all clusters at once. The decision says which
// clusters keep what they have so, those that the rollout passes over included.
func (e *Engine) vary(ctx context.Context, s placement.Subject, d *placement.Decision, step stepped, now time.Time) error {
	in := e.overriding(s)
	blocked := step.blocked
	defer func() { d.Block(blocked, s.Blocked) }()
	overrides := 0
	if in.Policy != nil {
		overrides = len(in.Policy.Document().Overrides)
	}
	if overrides == 0 && !slices.ContainsFunc(assignments(in.Prior), func(a delivery.Assignment) bool { return a.Variant != "" }) {
		return nil
	}
	changes := make(map[agent.ID]placement.Change, len(d.Changes))
	for _, c := range d.Changes {
		changes[c.Agent] = c
	}
	for _, a := range chosen(d) {
		was, change := in.Prior[a], changes[a]
		object := change.Object
		if object == "" {
			object = was.Object
			if was.State != delivery.Assigned || in.Subject.Newest == nil || object != in.Subject.Newest.ID {
				continue
			}
		}
		v, err := e.variantOf(ctx, in, a, object, now)
		switch {
		case err != nil:
			return err
		case v.failed():
			delete(changes, a)
			if blocked == nil {
				blocked = map[agent.ID]placement.Blocked{}
			}
			blocked[a] = placement.Blocked{Override: v.at, Reason: v.why, Object: object, Since: now}
		case change.Object != "":
			change.Variant = v.sum
			changes[a] = change
		case v.sum != was.Variant && !step.rolling():
			changes[a] = placement.Change{Agent: a, State: delivery.Assigned, Object: object, Variant: v.sum, Reason: was.Reason, Version: e.world.clusters[a].Version}
		}
	}
	d.Changes = d.Changes[:0:0]
	for _, c := range changes {
		d.Changes = append(d.Changes, c)
	}
	slices.SortFunc(d.Changes, func(x, y placement.Change) int { return strings.Compare(string(x.Agent), string(y.Agent)) })
	return nil
}

// overriding is what variants of a stack's objects rest on.
func (e *Engine) overriding(s placement.Subject) placement.Input {
	in := placement.Input{Subject: s, Prior: e.world.priors[s.Stack]}
	if s.Policy != nil && !s.Over() {
		in.Policy = e.ready[s.Policy.ID].compiled
	}
	return in
}

// refusals looks ahead of a rollout's step: which clusters cannot be given the newest object, and which that have it cannot be given
// their former one back. It returns those of the newest also as the decision tells of them.
func (e *Engine) refusals(ctx context.Context, s placement.Subject, in *rollout.In, now time.Time) (map[agent.ID]placement.Blocked, error) {
	over := e.overriding(s)
	if over.Policy == nil || len(over.Policy.Document().Overrides) == 0 {
		return nil, nil
	}
	blocked := map[agent.ID]placement.Blocked{}
	look := func(a agent.ID, o stack.ObjectID) error {
		if o == "" || in.Prior[a] == o {
			return nil
		}
		v, err := e.variantOf(ctx, over, a, o, now)
		if err != nil || !v.failed() {
			return err
		}
		if in.Refused == nil {
			in.Refused = map[rollout.Offer]rollout.Refusal{}
		}
		in.Refused[rollout.Offer{Agent: a, Object: o}] = rollout.Refusal{
			Reason: fmt.Sprintf("%s of policy %s: %s", v.at, over.Policy.Document().Name, v.why), Passing: v.unsure,
		}
		if o == in.Newest {
			blocked[a] = placement.Blocked{Override: v.at, Reason: v.why, Object: o, Since: now}
		}
		return nil
	}
	for _, p := range in.Picks {
		if err := look(p.Agent, in.Newest); err != nil {
			return nil, err
		}
	}
	if r := in.Current; r != nil && (r.Phase == rollout.PhaseFailed || r.Phase == rollout.PhaseRollingBack) {
		clear(blocked) // nobody is given the newest any more
		for _, m := range r.Members {
			if m.AdmittedAt == nil || m.Gone {
				continue
			}
			if err := look(m.Agent, m.Target()); err != nil {
				return nil, err
			}
		}
	}
	return blocked, nil
}

func assignments(p placement.Prior) []delivery.Assignment {
	out := make([]delivery.Assignment, 0, len(p))
	for _, a := range p {
		out = append(out, a)
	}
	return out
}

// chosen are the agents that a decision picks.
func chosen(d *placement.Decision) []agent.ID {
	var out []agent.ID
	for _, p := range d.Picks {
		out = append(out, p.Agent)
	}
	if out != nil {
		return out
	}
	for _, v := range d.Verdicts {
		if v.Picked {
			out = append(out, v.Agent)
		}
	}
	return out
}

func (e *Engine) variantOf(ctx context.Context, in placement.Input, a agent.ID, object stack.ObjectID, now time.Time) (variant, error) {
	if in.Policy == nil {
		return variant{}, nil
	}
	c := e.world.clusters[a]
	d := in.Policy.Document()
	var numbers []string
	for i := range d.Overrides {
		fits, known := in.Policy.FitsOverride(i, &c, now)
		if !known {
			return variant{at: fmt.Sprintf("overrides[%d]", i), why: "what it asks for is not known of the cluster", unsure: true}, nil
		}
		if fits {
			numbers = append(numbers, strconv.Itoa(i))
		}
	}
	if len(numbers) == 0 {
		return variant{}, nil
	}
	ref := in.Subject.Policy
	key := variantKey{ref.ID, ref.Revision, object, strings.Join(numbers, ",")}
	if v, ok := e.variants[key]; ok && v.fresh(now) {
		return v, nil
	}
	v, err := e.render(ctx, in, d, key, numbers)
	v.put = now
	if err != nil {
		return v, err
	}
	if len(e.variants) >= keptVariants {
		clear(e.variants)
	}
	e.variants[key] = v
	return v, nil
}

func (e *Engine) render(ctx context.Context, in placement.Input, d policy.Document, key variantKey, numbers []string) (variant, error) {
	o, err := e.store.Objects().Get(ctx, tenancy.Everything(), key.object)
	if err != nil {
		return variant{}, fmt.Errorf("read deployment object %s: %w", key.object, err)
	}
	content, err := e.store.Blobs().Get(ctx, o.Checksum)
	if err != nil {
		return variant{}, fmt.Errorf("read the content of deployment object %s: %w", key.object, err)
	}
	out, problems := override.Render(content, override.Steps(d, func(i int) bool { return slices.Contains(numbers, strconv.Itoa(i)) }))
	if out == nil {
		for _, p := range problems {
			if !p.Warning {
				return variant{at: cmp.Or(p.Path, "overrides"), why: p.Message}, nil
			}
		}
		return variant{at: "overrides", why: "they cannot be applied"}, nil
	}
	if string(out) == string(content) {
		return variant{}, nil
	}
	sum, err := e.store.Blobs().Put(ctx, out)
	if err != nil {
		return variant{}, fmt.Errorf("store what overrides make of deployment object %s: %w", key.object, err)
	}
	return variant{sum: sum}, nil
}

// varies reports whether other overrides are for a cluster than before.
func varies(p *placement.Compiled, before, after *placement.Cluster, now time.Time) bool {
	if before == nil || after == nil {
		return false
	}
	for i := range p.Document().Overrides {
		was, wasKnown := p.FitsOverride(i, before, now)
		if is, known := p.FitsOverride(i, after, now); is != was || known != wasKnown {
			return true
		}
	}
	return false
}
