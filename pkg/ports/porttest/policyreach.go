package porttest

import (
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func policyAttach(w *world) {
	g := w.generator("ci")
	p, q := w.policy(g.ID, "web"), w.policy(g.ID, "other")
	s := w.stack(g.ID, "web")
	version := w.seeStack(s.ID).Version
	w.attach(p.ID, s.ID)
	if got := w.seeStack(s.ID).Version; got <= version {
		w.Errorf("the stack's version is %d after the attachment, want it to grow from %d", got, version)
	}
	wantSame(w.T, "effective", w.effective(s.ID), &policy.Ref{ID: p.ID, Name: "web", Revision: 1, By: policy.ByStack})
	wantSame(w.T, "stacks", w.seePolicy(p.ID).Stacks, 1)
	w.attach(q.ID, s.ID)
	wantSame(w.T, "after another attachment", w.effective(s.ID).ID, q.ID)
	wantSame(w.T, "stacks of the former", w.seePolicy(p.ID).Stacks, 0)
	version = w.seeStack(s.ID).Version
	got, err := w.Policies().Detach(w.ctx, s.ID)
	wantNone(w.T, "detach", err)
	wantSame(w.T, "detached", got, q.ID)
	if got := w.seeStack(s.ID).Version; got <= version {
		w.Errorf("the stack's version is %d after the detachment, want it to grow from %d", got, version)
	}
	if ref := w.effective(s.ID); ref != nil {
		w.Errorf("effective after it was detached: %+v", ref)
	}
	w.attach(q.ID, s.ID)
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, s.ID, w.at))
	wantSame(w.T, "stacks after the stack's deletion", w.seePolicy(q.ID).Stacks, 0)
	wantCode(w.T, "attach to a deleted stack", w.Policies().Attach(w.ctx, policy.Attachment{Policy: p.ID, Stack: s.ID, At: w.at}), fault.NotFound, "stack_not_found")
}

func policyAttachLabel(w *world) {
	g := w.generator("ci")
	p, s := w.policy(g.ID, "web"), w.stack(g.ID, "web")
	w.attachLabel(p.ID, "b")
	w.attachLabel(p.ID, "a")
	w.attachLabel(p.ID, "a")
	wantSame(w.T, "labels", w.seePolicy(p.ID).Labels, []string{"a", "b"})
	if ref := w.effective(s.ID); ref != nil {
		w.Errorf("effective without the label: %+v", ref)
	}
	w.labelStack(s.ID, "b")
	wantSame(w.T, "effective", w.effective(s.ID), &policy.Ref{ID: p.ID, Name: "web", Revision: 1, By: policy.ByLabel, Label: "b"})
	w.labelStack(s.ID, "a")
	wantSame(w.T, "by the first label", w.effective(s.ID).Label, "a")
	wantNone(w.T, "detach", w.Policies().DetachLabel(w.ctx, p.ID, "a"))
	wantSame(w.T, "by the other label", w.effective(s.ID).Label, "b")
	wantNone(w.T, "detach", w.Policies().DetachLabel(w.ctx, p.ID, "b"))
	if ref := w.effective(s.ID); ref != nil {
		w.Errorf("effective after it was detached: %+v", ref)
	}
}

func policyEffective(w *world) {
	g := w.generator("ci")
	s := w.stack(g.ID, "web")
	w.labelStack(s.ID, "x")
	w.labelStack(s.ID, "y")
	byID, b, a := w.policy(g.ID, "z-by-id"), w.policy(g.ID, "b"), w.policy(g.ID, "a")
	w.attachLabel(b.ID, "x")
	wantSame(w.T, "the only one", w.effective(s.ID).Name, "b")
	w.attachLabel(a.ID, "y")
	wantSame(w.T, "the first by name", w.effective(s.ID), &policy.Ref{ID: a.ID, Name: "a", Revision: 1, By: policy.ByLabel, Label: "y"})
	w.attach(byID.ID, s.ID)
	wantSame(w.T, "what was attached by id", w.effective(s.ID).Name, "z-by-id")
	wantNone(w.T, "revise", w.Policies().Revise(w.ctx, byID))
	wantSame(w.T, "in its newest revision", w.effective(s.ID).Revision, 2)
	wantNone(w.T, "delete", w.Policies().Delete(w.ctx, byID.ID, w.at))
	wantSame(w.T, "after its deletion", w.effective(s.ID).Name, "a")
	a.Name = "c"
	wantNone(w.T, "rename", w.Policies().Revise(w.ctx, a))
	wantSame(w.T, "after the other was renamed", w.effective(s.ID).Name, "b")
}

func policyReaches(w *world) {
	g, other := w.generator("ci"), w.generator("other")
	byID, byLabel, both, none, deleted := w.stack(g.ID, "by-id"), w.stack(g.ID, "by-label"), w.stack(g.ID, "both"), w.stack(g.ID, "none"), w.stack(g.ID, "deleted")
	foreign := w.stack(other.ID, "foreign")
	for _, s := range []stack.ID{byLabel.ID, both.ID, deleted.ID, foreign.ID} {
		w.labelStack(s, "x")
	}
	w.labelStack(none.ID, "y")
	p := w.policy(g.ID, "p")
	w.attach(p.ID, byID.ID)
	w.attach(p.ID, both.ID)
	w.attachLabel(p.ID, "x")
	w.attach(w.policy(g.ID, "first").ID, byLabel.ID) // another one decides about it
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, deleted.ID, w.at))
	want := []stack.ID{byID.ID, byLabel.ID, both.ID}
	slices.Sort(want)
	got, err := w.Policies().Reaches(w.ctx, p.ID)
	wantNone(w.T, "reaches", err)
	wantSame(w.T, "what it reaches", got, want)
	wantNone(w.T, "delete", w.Policies().Delete(w.ctx, p.ID, w.at))
	for name, id := range map[string]policy.ID{"deleted": p.ID, "unknown": newID[policy.ID]()} {
		got, err = w.Policies().Reaches(w.ctx, id)
		wantNone(w.T, "reaches "+name, err)
		wantSame(w.T, "what one that is "+name+" reaches", len(got), 0)
	}
}
