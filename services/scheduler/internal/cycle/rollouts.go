package cycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/rollout/window"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// stepped is what a step of a stack's rollout adds to a decision.
type stepped struct {
	out     rollout.Out
	depends []stack.ID // whose reports the rollout waits for
	before  *rollout.Rollout
	blocked map[agent.ID]placement.Blocked // clusters that it passes over
	rewatch bool                           // it waits for the reports of others than before
}

// moved reports whether there is something to store: a rollout that did not move keeps its version.
func (x *stepped) moved() bool { return x.out.Changed || x.rewatch }

// rolling reports whether the stack's rollout goes on.
func (x *stepped) rolling() bool { return x.out.Rollout != nil && x.out.Rollout.Phase.Open() }

// loadRollouts reads what governs all stacks.
func (e *Engine) loadRollouts(ctx context.Context) (err error) {
	if e.world.rollouts, err = e.store.Rollouts().Governing(ctx, nil); err != nil {
		return fmt.Errorf("read rollouts: %w", err)
	}
	return nil
}

// refreshRollouts reads again what governs these stacks.
func (e *Engine) refreshRollouts(ctx context.Context, ids []stack.ID) error {
	if len(ids) == 0 {
		return nil
	}
	got, err := e.store.Rollouts().Governing(ctx, ids)
	if err != nil {
		return fmt.Errorf("read rollouts: %w", err)
	}
	for _, id := range ids {
		delete(e.world.rollouts, id)
	}
	maps.Copy(e.world.rollouts, got)
	return nil
}

// awaiting returns the stacks whose rollouts wait for reports about s.
func (e *Engine) awaiting(s stack.ID) []stack.ID {
	var out []stack.ID
	for id, r := range e.world.rollouts {
		if r.Waits() && (id == s || slices.Contains(e.world.depends[id], s)) {
			out = append(out, id)
		}
	}
	return out
}

// named makes the stacks dirty whose rollouts wait for a name that one of these stacks has come to have.
func (e *Engine) named(ids []stack.ID, former map[stack.ID]placement.Subject) {
	names := map[own]bool{}
	for _, id := range ids {
		s, there := e.world.subjects[id]
		if was, known := former[id]; there && !s.Deleted && (!known || was.Name != s.Name) {
			names[own{s.Generator, s.Name}] = true
		}
	}
	if len(names) == 0 {
		return
	}
	for id, r := range e.world.rollouts {
		s := e.world.subjects[id]
		if _, dirty := e.dirty[id]; dirty || s.Policy == nil || !r.Waits() {
			continue
		}
		for _, d := range e.policies[s.Policy.ID].Document.DependsOn {
			if names[own{s.Generator, d.Stack}] {
				e.dirty[id] = cause{event: event.StackCreated}
			}
		}
	}
}

// lookAtRollouts makes the stacks dirty whose rollouts wait for reports: a report that was stored while the rollout's note of whom it
// waits for was being written makes no event. Without such a rollout it costs nothing.
func (e *Engine) lookAtRollouts() {
	if e.world == nil {
		return
	}
	for id, r := range e.world.rollouts {
		looks := r.Phase == rollout.PhaseProgressing || r.Phase == rollout.PhaseRollingBack || (!r.Phase.Open() && r.Waits())
		if _, ok := e.dirty[id]; !ok && looks {
			e.dirty[id] = cause{event: "poll"}
		}
	}
}

// foreseen is how many policies are read at a time.
const foreseen = 500

// foresee reads the policies of a stack and of the next ones, unless the first one's is known: one by one they would cost a
// query each.
func (e *Engine) foresee(ctx context.Context, id stack.ID, ahead []stack.ID) error {
	missing := func(id stack.ID) *policy.Ref {
		s := e.world.subjects[id]
		if s.Policy == nil || s.Over() {
			return nil
		}
		if p, ok := e.policies[s.Policy.ID]; ok && p.Revision == s.Policy.Revision {
			return nil
		}
		return s.Policy
	}
	if missing(id) == nil {
		return nil
	}
	seen := map[policy.ID]bool{}
	var ids []policy.ID
	for _, s := range ahead {
		if ref := missing(s); ref != nil && !seen[ref.ID] {
			seen[ref.ID] = true
			if ids = append(ids, ref.ID); len(ids) == foreseen {
				break
			}
		}
	}
	list, err := e.store.Policies().Live(ctx, ids)
	if err != nil {
		return fmt.Errorf("read %d policies: %w", len(ids), err)
	}
	for _, p := range list {
		e.know(p)
	}
	return nil
}

// document returns the policy that decides about the stack; nil if none does.
func (e *Engine) document(ctx context.Context, ref *policy.Ref) (*policy.Document, error) {
	if ref == nil {
		return nil, nil
	}
	if p, ok := e.policies[ref.ID]; ok && p.Revision == ref.Revision {
		return &p.Document, nil
	}
	list, err := e.store.Policies().Live(ctx, []policy.ID{ref.ID})
	if err != nil {
		return nil, fmt.Errorf("read policy %s: %w", ref.ID, err)
	}
	if len(list) != 1 || list[0].Revision != ref.Revision {
		return nil, fault.Newf(fault.Conflict, "stale", "policy %s is not in revision %d any more", ref.ID, ref.Revision)
	}
	e.know(list[0])
	return &list[0].Document, nil
}

// step moves the stack's rollout on, and gives each change of d the object that its cluster is to have. Without policy and
// rollout it does nothing at all.
func (e *Engine) step(ctx context.Context, s placement.Subject, d *placement.Decision, now time.Time) (stepped, error) {
	var out stepped
	if current, ok := e.world.rollouts[s.Stack]; ok {
		out.before = &current
	}
	var newest stack.ObjectID
	if s.Newest != nil && !s.Newest.Marker && !s.Deleted {
		newest = s.Newest.ID
	}
	var doc *policy.Document
	var err error
	if !s.Over() { // what is to go must not wait for a policy that cannot be read
		if doc, err = e.document(ctx, s.Policy); err != nil {
			return out, err
		}
	}
	var spec *rollout.Spec
	if doc != nil && newest != "" {
		if spec, err = rollout.SpecOf(*doc); err != nil {
			return out, err
		}
	}
	if spec == nil && out.before == nil {
		return out, nil
	}
	in := rollout.In{Spec: spec, Current: out.before, NewID: rollout.ID(e.opt.NewID()), Stack: s.Stack, Newest: newest, Prior: map[agent.ID]stack.ObjectID{}}
	for a, p := range e.world.priors[s.Stack] {
		if p.State == delivery.Assigned {
			in.Prior[a] = p.Object
		}
	}
	in.Picks = e.picks(s, d, doc, now)
	if in.Window, err = opening(spec, out.before, in.Newest, now); err != nil {
		return out, err
	}
	if out.depends, err = e.reports(ctx, s, doc, &in); err != nil {
		return out, err
	}
	if rolls(in) {
		if out.blocked, err = e.refusals(ctx, s, &in, now); err != nil {
			return out, err
		}
	}
	out.out = rollout.Step(in, now)
	e.assign(s, d, out.out, in)
	return out, nil
}

// picks are the clusters that the decision picked.
func (e *Engine) picks(s placement.Subject, d *placement.Decision, doc *policy.Document, now time.Time) []rollout.Pick {
	var out []rollout.Pick
	for _, a := range chosen(d) {
		c := e.world.clusters[a]
		p := rollout.Pick{Agent: a, Offline: c.Status != agent.Active || c.UnreachableSince != nil}
		if doc != nil && doc.Rollout != nil {
			for i, w := range doc.Rollout.Waves {
				p.Fits = append(p.Fits, w.Clusters != nil && e.ready[s.Policy.ID].compiled.FitsWave(i, &c, now))
			}
		}
		out = append(out, p)
	}
	return out
}

// opening says whether a wave may begin, by the windows of the rollout that goes on, or else of the one that would start.
func opening(spec *rollout.Spec, current *rollout.Rollout, newest stack.ObjectID, now time.Time) (rollout.Opening, error) {
	if current != nil && current.Object == newest {
		spec = &current.Spec
	}
	if spec == nil {
		return rollout.Opening{Open: true}, nil
	}
	o, err := window.At(spec.Windows, now, time.LoadLocation)
	return rollout.Opening{Open: o.Open, Changes: o.Changes}, err
}

// rolls reports whether a rollout goes on or starts.
func rolls(in rollout.In) bool {
	same := in.Current != nil && in.Current.Object == in.Newest
	return in.Newest != "" && (!same || in.Current.Phase.Open()) && (same || in.Spec != nil)
}

// joined reports whether a rollout that is over has clusters that have nothing of the stack yet: they wait for what it depends on.
func joined(in rollout.In) bool {
	return in.Current != nil && in.Newest != "" && slices.ContainsFunc(in.Picks, func(p rollout.Pick) bool { return in.Prior[p.Agent] == "" })
}

// reports reads what a rollout rests on that goes on or starts, or that is over and is joined: what agents report of the stack,
// and of those that it depends on.
func (e *Engine) reports(ctx context.Context, s placement.Subject, doc *policy.Document, in *rollout.In) ([]stack.ID, error) {
	var names []policy.Dependency
	if doc != nil {
		names = doc.DependsOn
	}
	if !rolls(*in) && (len(names) == 0 || !joined(*in)) {
		return nil, nil
	}
	ids := map[string]stack.ID{}
	for _, n := range names {
		if id, live := e.world.index.names[own{s.Generator, n.Stack}]; live {
			ids[n.Stack] = id
		}
	}
	depends := slices.Sorted(maps.Values(ids))
	statuses, err := e.store.Rollouts().Statuses(ctx, append([]stack.ID{s.Stack}, depends...))
	if err != nil {
		return nil, fmt.Errorf("read what agents report: %w", err)
	}
	in.Status = statuses[s.Stack]
	for _, n := range names {
		in.Dependencies = append(in.Dependencies, e.dependency(n, ids[n.Stack], statuses[ids[n.Stack]]))
	}
	return depends, nil
}

// dependency says where another stack is as it must be: with the object that it is assigned there.
func (e *Engine) dependency(n policy.Dependency, id stack.ID, statuses map[agent.ID]delivery.Status) rollout.Dependency {
	d := rollout.Dependency{Stack: n.Stack, Need: "healthy", Everywhere: n.Scope == "everywhere", Clusters: map[agent.ID]bool{}}
	if n.Health == "applied" {
		d.Need = n.Health
	}
	newest := e.world.subjects[id].Newest
	everywhere := id != "" && newest != nil
	for a, p := range e.world.priors[id] {
		st := statuses[a]
		met := p.State == delivery.Assigned && newest != nil && p.Object == newest.ID && st.Object == p.Object && st.Phase == delivery.PhaseApplied &&
			(d.Need == "applied" || st.Health == delivery.HealthHealthy)
		d.Clusters[a] = met
		everywhere = everywhere && (met || p.State != delivery.Assigned)
	}
	d.Met = everywhere && len(d.Clusters) > 0
	return d
}

// assign makes the changes of d those between what clusters have and what the step says. Removals stay as they were decided.
func (e *Engine) assign(s placement.Subject, d *placement.Decision, out rollout.Out, in rollout.In) {
	decided := map[agent.ID]placement.Change{}
	var changes []placement.Change
	for _, c := range d.Changes {
		if c.State == delivery.Removing {
			changes = append(changes, c)
			continue
		}
		decided[c.Agent] = c
	}
	for _, a := range chosen(d) {
		object := out.Objects[a]
		c, ok := decided[a]
		if ok && c.Object == object {
			changes = append(changes, c)
			continue
		}
		if object == "" || in.Prior[a] == object {
			continue
		}
		reason := c.Reason
		if !ok {
			reason = e.world.priors[s.Stack][a].Reason
		}
		changes = append(changes, placement.Change{
			Agent: a, State: delivery.Assigned, Object: object, Reason: reason, Version: e.world.clusters[a].Version,
		})
	}
	slices.SortFunc(changes, func(a, b placement.Change) int { return strings.Compare(string(a.Agent), string(b.Agent)) })
	d.Changes = changes
}

// save stores what the step made of the stack's rollouts, and tells of it.
func (x *stepped) save(ctx context.Context, tx ports.Repositories, s placement.Subject, now time.Time, newID func() string) error {
	if f := x.out.Former; f != nil {
		_, err := tx.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: *f, Members: rollout.Changed(x.before, f), Transitions: of(x.out.Transitions, f.ID)})
		if err != nil {
			return err
		}
	}
	if r := x.out.Rollout; r != nil && x.moved() {
		before := x.before
		if before != nil && before.ID != r.ID {
			before = nil
		}
		if _, err := tx.Rollouts().Save(ctx, ports.RolloutWrite{
			Rollout: *r, Governs: true, Members: rollout.Changed(before, r), Transitions: of(x.out.Transitions, r.ID), DependsOn: x.depends,
		}); err != nil {
			return err
		}
	}
	for _, t := range x.out.Transitions {
		err := tx.Outbox().Append(ctx, event.Event{ID: newID(), Type: event.RolloutMoved, Stack: s.Stack, Generator: s.Generator, At: now, Data: map[string]any{
			"rollout_id": string(t.Rollout), "stack_id": string(s.Stack), "from": string(t.From), "to": string(t.To), "wave": t.Wave, "reason": t.Reason,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func of(all []rollout.Transition, id rollout.ID) []rollout.Transition {
	var out []rollout.Transition
	for _, t := range all {
		if t.Rollout == id {
			out = append(out, t)
		}
	}
	return out
}

// rolled brings the snapshot to where the save left the store.
func (w *world) rolled(id stack.ID, x stepped) {
	switch r := x.out.Rollout; {
	case !x.moved():
	case r == nil:
		delete(w.rollouts, id)
	default:
		next := *r
		next.Version++
		w.rollouts[id] = next
	}
}
