package porttest

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// furnished is a stack on one agent with a label, an annotation, a target and a policy.
func (w *world) furnished() (placed, policy.Policy) {
	w.Helper()
	p := w.place(1)
	w.labelStack(p.stack.ID, "prod")
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: p.stack.ID, Key: "tier", Value: "gold"}))
	w.target(p.agents[0].ID, p.stack.ID)
	v := w.policy(p.generator.ID, "web")
	w.attach(v.ID, p.stack.ID)
	return p, v
}

// dropped deletes the stack of p and takes it from its agent, to the end.
func (w *world) dropped(p placed, at time.Time) {
	w.Helper()
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, p.stack.ID, at))
	a := p.agents[0].ID
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	if gone, err := w.Reports().Acknowledge(w.ctx, a, delivery.Removal{Stack: p.stack.ID, Revision: rev}); err != nil || !gone {
		w.Fatalf("acknowledge: %v, %v; want that it went", gone, err)
	}
}

// parts counts what the stack of p has: labels, annotations, targets, and whether a policy is attached.
func (w *world) parts(p placed, v policy.Policy) [4]int {
	w.Helper()
	labels, err := w.Stacks().Labels(w.ctx, p.stack.ID)
	wantNone(w.T, "labels", err)
	annotations, err := w.Stacks().Annotations(w.ctx, p.stack.ID)
	wantNone(w.T, "annotations", err)
	targets, err := w.Agents().Targets(w.ctx, p.agents[0].ID)
	wantNone(w.T, "targets", err)
	now, err := w.Policies().Get(w.ctx, everything, v.ID)
	wantNone(w.T, "policy", err)
	return [4]int{len(labels), len(annotations), len(targets), now.Stacks}
}

func stackRestore(w *world) {
	p, v := w.furnished()
	before, generation := w.seeStack(p.stack.ID), w.subject(p.stack.ID).Generation
	w.dropped(p, w.at.Add(time.Minute))
	deleted, err := w.Stacks().Deleted(w.ctx, everything, p.stack.ID)
	wantNone(w.T, "deleted", err)
	if deleted.DeletedAt == nil || !deleted.DeletedAt.Equal(w.at.Add(time.Minute)) || deleted.Name != before.Name {
		w.Fatalf("deleted: %+v, want the stack with when it was deleted", deleted)
	}
	at := w.at.Add(time.Hour)
	wantNone(w.T, "restore", w.Stacks().Restore(w.ctx, p.stack.ID, at))
	got := w.seeStack(p.stack.ID)
	wantGrown(w.T, "version", deleted.Version, got.Version)
	want := before
	want.Version, want.UpdatedAt = got.Version, at
	wantSame(w.T, "restored", got, want)
	wantSame(w.T, "labels, annotations, targets, policies", w.parts(p, v), [4]int{1, 1, 1, 1})
	named, err := w.Stacks().ByName(w.ctx, p.generator.ID, before.Name)
	wantNone(w.T, "by name", err)
	wantSame(w.T, "by name", named.ID, p.stack.ID)
	s := w.subject(p.stack.ID)
	if s.Deleted || s.Newest == nil || s.Newest.ID != p.object.ID || s.Newest.Sequence != p.object.Sequence || !s.Labels["prod"] || s.Policy == nil || s.Generation <= generation {
		w.Fatalf("subject: %+v, want a live one with its object, label and policy, behind generation %d", s, generation)
	}
	w.decide(p.stack.ID, w.assign(p.agents[0].ID, p.object))
	if next := w.publish(p.stack.ID, "next"); next.Sequence <= p.object.Sequence {
		w.Fatalf("the next sequence is %d, after %d", next.Sequence, p.object.Sequence)
	}
	wantNone(w.T, "delete again", w.Stacks().Delete(w.ctx, p.stack.ID, at))
	wantNone(w.T, "restore again", w.Stacks().Restore(w.ctx, p.stack.ID, at))
}

func stackNoRestore(w *world) {
	g, h := w.generator("ci"), w.generator("other")
	s := w.stack(g.ID, "web")
	gone := func(what string, id stack.ID) {
		w.Helper()
		_, err := w.Stacks().Deleted(w.ctx, everything, id)
		wantCode(w.T, what, err, fault.NotFound, "stack_not_found")
		wantCode(w.T, "restore "+what, w.Stacks().Restore(w.ctx, id, w.at), fault.NotFound, "stack_not_found")
	}
	gone("a live one", s.ID)
	gone("an unknown one", newID[stack.ID]())
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, s.ID, w.at))
	for name, c := range map[string]struct {
		scope tenancy.Scope
		sees  bool
	}{
		"its generator": {tenancy.Scope{Generator: g.ID}, true}, "another generator": {tenancy.Scope{Generator: h.ID}, false},
		"an agent": {tenancy.Scope{Agent: w.agent("a").ID}, false}, "nothing": {tenancy.Scope{}, false},
	} {
		_, err := w.Stacks().Deleted(w.ctx, c.scope, s.ID)
		if c.sees {
			wantNone(w.T, "deleted in the scope of "+name, err)
		} else {
			wantCode(w.T, "deleted in the scope of "+name, err, fault.NotFound, "stack_not_found")
		}
	}
	other := w.stack(g.ID, "web")
	wantCode(w.T, "restore beside another of its name", w.Stacks().Restore(w.ctx, s.ID, w.at), fault.Conflict, "unique_violation")
	wantNone(w.T, "delete the other", w.Stacks().Delete(w.ctx, other.ID, w.at))
	wantOneWinner(w.T, "restore two of one name", race(2, func(i int) error { return w.Stacks().Restore(w.ctx, []stack.ID{s.ID, other.ID}[i], w.at) }))
	orphan := w.stack(h.ID, "web")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, orphan.ID, w.at))
	wantNone(w.T, "delete the generator", w.Generators().Delete(w.ctx, h.ID, w.at))
	wantCode(w.T, "restore for nobody", w.Stacks().Restore(w.ctx, orphan.ID, w.at), fault.NotFound, "generator_not_found")
}

func stackCollect(w *world) {
	kept, v := w.furnished() // its agent has not removed it
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, kept.stack.ID, w.at))
	old, ov := w.furnished()
	w.dropped(old, w.at)
	older := w.stack(old.generator.ID, "older")
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, older.ID, w.at.Add(-time.Minute)))
	young, yv := w.furnished()
	w.dropped(young, w.at.Add(time.Hour))
	live := w.stack(old.generator.ID, "live")
	version := func() int64 { return w.seeAgent(old.agents[0].ID).Version }
	before := version()

	collect := func(want int) {
		w.Helper()
		n, err := w.Stacks().Collect(w.ctx, w.at.Add(time.Minute), 1)
		wantNone(w.T, "collect", err)
		wantSame(w.T, "collected", n, want)
	}
	collect(1)
	wantCode(w.T, "restore what was collected first, which was deleted first", w.Stacks().Restore(w.ctx, older.ID, w.at), fault.NotFound, "stack_not_found")
	wantSame(w.T, "parts of what is not collected yet", w.parts(old, ov), [4]int{1, 1, 1, 0}) // a policy counts live stacks
	collect(1)
	collect(0)
	_, err := w.Stacks().Deleted(w.ctx, everything, old.stack.ID)
	wantCode(w.T, "deleted", err, fault.NotFound, "stack_not_found")
	wantCode(w.T, "restore", w.Stacks().Restore(w.ctx, old.stack.ID, w.at), fault.NotFound, "stack_not_found")
	wantSame(w.T, "parts of what is collected", w.parts(old, ov), [4]int{})
	wantGrown(w.T, "version of the agent that had it as a target", before, version())
	w.seeStack(live.ID)
	for name, x := range map[string]struct {
		placed placed
		policy policy.Policy
	}{"with its agent": {kept, v}, "young": {young, yv}} {
		wantNone(w.T, "restore "+name, w.Stacks().Restore(w.ctx, x.placed.stack.ID, w.at))
		wantSame(w.T, "parts "+name, w.parts(x.placed, x.policy), [4]int{1, 1, 1, 1})
	}
	wantSame(w.T, "policy that a collected stack had", w.policyGoes(ov), true)
}

// policyGoes deletes a policy.
func (w *world) policyGoes(v policy.Policy) bool {
	w.Helper()
	wantNone(w.T, "delete policy", w.Policies().Delete(w.ctx, v.ID, w.at))
	return true
}
