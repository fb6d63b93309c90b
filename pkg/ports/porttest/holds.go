package porttest

import (
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func holdCases() map[string]func(*world) {
	return map[string]func(*world){
		"a hold is stored and cleared": holdStored,
		"what cannot be made is too":   blockedStored,
		"approval":                     holdApprove,
		"an approval is for one hold":  holdApproveOnce,
	}
}

func (w *world) hold(p placed, print string) placement.Hold {
	w.Helper()
	c := w.decision(p.stack.ID)
	h := placement.Hold{Since: w.at, Reason: "removes 2 of 2 clusters", Removes: []agent.ID{p.agents[0].ID, p.agents[1].ID}, Of: 2, Fingerprint: print}
	c.Hold = &h
	_, err := w.Decisions().Commit(w.ctx, c)
	wantNone(w.T, "commit", err)
	return placement.Hold{Since: h.Since, Reason: h.Reason, Removes: []agent.ID{p.agents[0].ID, p.agents[1].ID}, Of: 2, Fingerprint: print}
}

func holdStored(w *world) {
	p := w.place(2)
	want := w.hold(p, "print-1")
	_, got, err := w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "hold", got, &want)
	wantSame(w.T, "hold in the facts", w.subject(p.stack.ID).Hold, &want)
	got.Removes[0] = "changed"
	w.subject(p.stack.ID).Hold.Removes[0] = "changed"
	_, got, err = w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "hold after the caller changed a copy", got, &want)

	w.decide(p.stack.ID)
	_, got, err = w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "hold after a decision without one", got, nil)
	wantSame(w.T, "hold in the facts", w.subject(p.stack.ID).Hold, nil)
}

func holdApprove(w *world) {
	p := w.place(2)
	wantKind(w.T, "approve nothing", w.Decisions().Approve(w.ctx, p.stack.ID, "print-1"), fault.Refused)
	wantKind(w.T, "approve for nobody", w.Decisions().Approve(w.ctx, newID[stack.ID](), "print-1"), fault.Refused)
	w.hold(p, "print-1")
	wantKind(w.T, "approve something else", w.Decisions().Approve(w.ctx, p.stack.ID, "print-2"), fault.Refused)
	before := w.subject(p.stack.ID)
	if approved(before) {
		w.Fatalf("subject: got %+v, want it not approved", before)
	}
	wantNone(w.T, "approve", w.Decisions().Approve(w.ctx, p.stack.ID, "print-1"))
	after := w.subject(p.stack.ID)
	if !approved(after) {
		w.Fatalf("subject: got %+v, want it approved", after)
	}
	wantSame(w.T, "generation", after.Generation, before.Generation)
	if after.Hold == nil {
		w.Fatal("the hold went with the approval; the next decision clears it")
	}
}

func holdApproveOnce(w *world) {
	p := w.place(2)
	w.hold(p, "print-1")
	wantNone(w.T, "approve", w.Decisions().Approve(w.ctx, p.stack.ID, "print-1"))
	w.hold(p, "print-2")
	if s := w.subject(p.stack.ID); approved(s) {
		w.Fatalf("subject: got %+v, want the next hold not approved", s)
	}
	wantKind(w.T, "approve the former hold", w.Decisions().Approve(w.ctx, p.stack.ID, "print-1"), fault.Refused)
	w.decide(p.stack.ID)
	wantKind(w.T, "approve after it was cleared", w.Decisions().Approve(w.ctx, p.stack.ID, "print-2"), fault.Refused)
}

// approved reports whether the store says that the stack's held decision may go ahead.
func approved(s placement.Subject) bool { return s.Approved != 0 && s.Approved == s.Generation }

func blockedStored(w *world) {
	p := w.place(2)
	c := w.decision(p.stack.ID)
	c.Record.Decision.Blocked = []placement.Blocked{{
		Override: "overrides[0].patches[1]", Reason: "nothing is there", Object: p.object.ID, Since: w.at, Agents: []agent.ID{p.agents[0].ID, p.agents[1].ID},
	}}
	want := placement.CopyBlocked(c.Record.Decision.Blocked)
	_, err := w.Decisions().Commit(w.ctx, c)
	wantNone(w.T, "commit", err)
	c.Record.Decision.Blocked[0].Agents[0] = "changed"
	wantSame(w.T, "blocked in the facts", w.subject(p.stack.ID).Blocked, want)
	w.subject(p.stack.ID).Blocked[0].Agents[0] = "changed"
	rec, _, err := w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "blocked in the record", rec.Decision.Blocked, want)
	rec.Decision.Blocked[0].Agents[0] = "changed"
	wantSame(w.T, "blocked after the caller changed copies", w.subject(p.stack.ID).Blocked, want)

	w.decide(p.stack.ID)
	wantSame(w.T, "blocked after a decision without any", len(w.subject(p.stack.ID).Blocked), 0)
}
