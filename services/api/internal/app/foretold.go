package app

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// passes bounds how often stacks are decided about again because others have moved: of policies that follow one another for ever
// there is no end.
const passes = 8

// unfold decides as the scheduler would when clusters are no longer as they were: about one stack after the other, each on what
// the ones before it leave of places, load, promised capacity and the fleet's window, and again until nothing moves. It takes
// them by their ids, where the scheduler takes them as they come. It returns the decisions that are not just what is there already,
// those about the stacks that show names with a verdict on every cluster. Between two stacks it looks whether ctx has ended.
func (w *deciding) unfold(ctx context.Context, was map[agent.ID]placement.Cluster, now time.Time, show func(placement.Subject) bool) (map[stack.ID]placement.Decision, error) {
	out := map[stack.ID]placement.Decision{}
	ids := slices.Sorted(maps.Keys(w.subjects))
	moved := true
	for pass := 0; moved && pass < passes; pass++ {
		moved = false
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s := w.subjects[id]
			if s.Over() || (w.follows(s) == nil && (pass > 0 || !w.concerns(s, was))) {
				continue
			}
			in := w.input(id)
			d := placement.Decide(in, now)
			if !d.News(s) {
				if before, known := out[id]; known {
					d.Changes, d.Verdicts, d.Picks = before.Changes, before.Verdicts, before.Picks
				} else if d.Hold == nil && d.Unmet == nil {
					continue
				}
				out[id] = d
				continue
			}
			if show(s) && d.Verdicts == nil {
				d = placement.Explain(in, now)
			}
			out[id] = d
			w.settle(s, d, now)
			moved = moved || len(d.Changes) > 0
		}
	}
	return out, nil
}

// concerns reports whether something about a stack without a policy may be decided otherwise now that clusters are not as they
// were.
func (w *deciding) concerns(s placement.Subject, was map[agent.ID]placement.Cluster) bool {
	for a, old := range was {
		if placement.Differs(s, old, w.priors[s.Stack]) || placement.Differs(s, w.clusters[a], w.priors[s.Stack]) {
			return true
		}
	}
	return false
}

// settle brings w to where the decision about a stack would leave it.
func (w *deciding) settle(s placement.Subject, d placement.Decision, now time.Time) {
	var needs cluster.Resources
	if c := w.follows(s); c != nil {
		needs = c.Needs()
	}
	before := w.priors[s.Stack]
	var changed []placement.Cluster
	for a := range w.promises.Settle(d, needs, before, w.clusters, now) {
		changed = append(changed, w.clusters[a])
	}
	if w.fleet != nil && len(changed) > 0 {
		w.fleet = w.fleet.With(changed, nil)
	}
	w.subjects[s.Stack], w.priors[s.Stack] = s.After(d, now), before.After(d, now)
	w.brake.Waiting.Put(w.subjects[s.Stack])
	if w.brake.Fleet != nil {
		next := *w.brake.Fleet
		if spent := d.Spends(s, now); spent.Count > 0 {
			next = next.With(spent)
		}
		next.Assigned += w.priors[s.Stack].Assigned() - before.Assigned()
		w.brake.Fleet = &next
	}
}

// compare says what becomes of the stacks of p when clusters are no longer as they were, and policies perhaps not either.
func compare(ctx context.Context, p tenancy.Principal, before, after *deciding, was map[agent.ID]placement.Cluster, now time.Time) (Plan, error) {
	var out Plan
	scope := tenancy.ScopeOf(p)
	shown := func(s placement.Subject) bool { return !s.Deleted && scope.Owns(s.Generator) }
	then, err := after.unfold(ctx, was, now, shown)
	if err != nil {
		return Plan{}, err
	}
	for _, id := range slices.Sorted(maps.Keys(after.subjects)) {
		if err := ctx.Err(); err != nil {
			return Plan{}, err
		}
		s := after.subjects[id]
		if !shown(s) {
			continue
		}
		is, came := then[id]
		if !came && (after.follows(s) == nil || placement.Decide(before.input(id), now).Calm()) {
			out.Unchanged++
			continue
		}
		if is.Verdicts == nil {
			unmet := is.Unmet
			is = after.decide(id, now)
			is.Unmet = unmet
		}
		if x, changes := planned(s, before.decide(id, now), is); changes {
			if x.Hold != nil {
				hold := *x.Hold
				hold.Until = after.brake.RoomFor(s, &hold, now)
				x.Hold = &hold
			}
			out.Stacks = append(out.Stacks, x)
		} else {
			out.Unchanged++
		}
	}
	slices.SortFunc(out.Stacks, func(x, y PlannedStack) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Stack, y.Stack)) })
	return out, nil
}

// planned says what becomes of a stack of which is is decided instead of was, and whether that is anything.
func planned(s placement.Subject, was, is placement.Decision) (PlannedStack, bool) {
	x := PlannedStack{Stack: s.Stack, Name: s.Name, Unmet: is.Unmet}
	had := picked(was)
	for _, v := range is.Verdicts {
		switch {
		case v.Picked && had[v.Agent]:
			x.Stays++
		case v.Picked:
			x.Gains = append(x.Gains, PlannedCluster{v.Agent, reasonOf(v)})
		case had[v.Agent]:
			x.Loses = append(x.Loses, PlannedCluster{v.Agent, reasonOf(v)})
		}
	}
	if is.Hold != nil && (was.Hold == nil || was.Hold.Fingerprint != is.Hold.Fingerprint) {
		x.Hold = is.Hold
	}
	return x, len(x.Gains) > 0 || len(x.Loses) > 0 || x.Hold != nil || (x.Unmet != nil && (was.Unmet == nil || *was.Unmet != *x.Unmet))
}

func picked(d placement.Decision) map[agent.ID]bool {
	out := map[agent.ID]bool{}
	for _, v := range d.Verdicts {
		out[v.Agent] = v.Picked
	}
	return out
}

func reasonOf(v placement.Verdict) string {
	text := ""
	for i, r := range v.Reasons {
		if i > 0 {
			text += "; "
		}
		text += r.Message
	}
	return text
}
