package porttest

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func diagnosticCases() map[string]func(*world) {
	return map[string]func(*world){
		"a request is as it was asked":         diagnosticStored,
		"an answer comes with its request":     diagnosticAnswered,
		"what is open is what may be claimed":  diagnosticOpen,
		"one of many racers claims":            diagnosticRace,
		"a stale move changes nothing":         diagnosticStale,
		"only the agent that is asked sees it": diagnosticScope,
		"trim deletes what is forgotten":       diagnosticTrim,
		"what is open is pending work":         diagnosticPending,
	}
}

func (w *world) diagnosticMethods() map[string]method {
	r := diagnostic.Request{ID: newID[diagnostic.ID](), Agent: newID[agent.ID](), Object: newID[stack.ObjectID](), Status: diagnostic.Pending,
		CreatedAt: w.at, ExpiresAt: w.at.Add(time.Hour)}
	return map[string]method{
		"Diagnostics.Insert": func(ctx context.Context, in ports.Repositories) error { return in.Diagnostics().Insert(ctx, r) },
		"Diagnostics.Get": func(ctx context.Context, in ports.Repositories) error {
			_, _, err := in.Diagnostics().Get(ctx, everything, r.ID)
			return err
		},
		"Diagnostics.Open": func(ctx context.Context, in ports.Repositories) error {
			return discard(in.Diagnostics().Open(ctx, r.Agent, w.at, 10))
		},
		"Diagnostics.Move": func(ctx context.Context, in ports.Repositories) error { return in.Diagnostics().Move(ctx, r, r, nil) },
		"Diagnostics.Trim": func(ctx context.Context, in ports.Repositories) error {
			return discard(in.Diagnostics().Trim(ctx, w.at, 10))
		},
	}
}

// ask stores a request of the object's state at the agent, asked so long after w.at, that expires in an hour.
func (w *world) ask(a agent.ID, o stack.Object, after time.Duration) diagnostic.Request {
	w.Helper()
	by := "an operator"
	at := w.at.Add(after)
	r := diagnostic.Request{
		ID: newID[diagnostic.ID](), Agent: a, Object: o.ID, Stack: o.Stack, Status: diagnostic.Pending, RequestedBy: &by,
		CreatedAt: at, ExpiresAt: at.Add(time.Hour),
	}
	wantNone(w.T, "insert diagnostic", w.Diagnostics().Insert(w.ctx, r))
	return r
}

func (w *world) diagnostic(id diagnostic.ID) (diagnostic.Request, *diagnostic.Result) {
	w.Helper()
	r, answer, err := w.Diagnostics().Get(w.ctx, everything, id)
	wantNone(w.T, "get diagnostic", err)
	return r, answer
}

// claimDiagnostic moves the request on as its agent's.
func (w *world) claimDiagnostic(r diagnostic.Request, at time.Time) diagnostic.Request {
	w.Helper()
	next, err := r.Claim(at)
	wantNone(w.T, "claim", err)
	wantNone(w.T, "move to claimed", w.Diagnostics().Move(w.ctx, r, next, nil))
	return next
}

func (w *world) answerDiagnostic(r diagnostic.Request, at time.Time) (diagnostic.Request, diagnostic.Result) {
	w.Helper()
	next, err := r.Complete(at)
	wantNone(w.T, "complete", err)
	tails := `{"web/app":"ready"}`
	result := diagnostic.Result{ID: newID[diagnostic.ResultID](), Request: r.ID, PodStatuses: "[]", Events: "[1]", LogTails: &tails, CollectedAt: at, CreatedAt: at}
	wantNone(w.T, "move to completed", w.Diagnostics().Move(w.ctx, r, next, &result))
	return next, result
}

func diagnosticStored(w *world) {
	p := w.place(1)
	want := w.ask(p.agents[0].ID, p.object, 0)
	got, answer := w.diagnostic(want.ID)
	wantSame(w.T, "request", got, want)
	wantSame(w.T, "answer", answer, nil)
	lone := want
	lone.ID, lone.RequestedBy = newID[diagnostic.ID](), nil
	wantNone(w.T, "insert one of nobody", w.Diagnostics().Insert(w.ctx, lone))
	got, _ = w.diagnostic(lone.ID)
	wantSame(w.T, "request of nobody", got, lone)
	wantKind(w.T, "insert it again", w.Diagnostics().Insert(w.ctx, want), fault.Conflict)
	want.ID, want.Agent = newID[diagnostic.ID](), newID[agent.ID]()
	wantCode(w.T, "of no agent", w.Diagnostics().Insert(w.ctx, want), fault.NotFound, "agent_not_found")
	want.Agent, want.Object = p.agents[0].ID, newID[stack.ObjectID]()
	wantCode(w.T, "of no object", w.Diagnostics().Insert(w.ctx, want), fault.NotFound, "deployment_object_not_found")
}

func diagnosticAnswered(w *world) {
	p := w.place(1)
	r := w.claimDiagnostic(w.ask(p.agents[0].ID, p.object, 0), w.at.Add(time.Second))
	got, answer := w.diagnostic(r.ID)
	wantSame(w.T, "claimed", got, r)
	wantSame(w.T, "answer", answer, nil)
	r, result := w.answerDiagnostic(r, w.at.Add(2*time.Second))
	got, answer = w.diagnostic(r.ID)
	wantSame(w.T, "completed", got, r)
	wantSame(w.T, "answer", answer, &result)
}

func diagnosticOpen(w *world) {
	p := w.place(2)
	a := p.agents[0].ID
	third := w.ask(a, p.object, 3*time.Second)
	first := w.ask(a, p.object, time.Second)
	second := w.claimDiagnostic(w.ask(a, p.object, 2*time.Second), w.at.Add(10*time.Second))
	w.answerDiagnostic(w.claimDiagnostic(w.ask(a, p.object, 0), w.at.Add(time.Second)), w.at.Add(time.Second))
	w.ask(p.agents[1].ID, p.object, 0)
	open := func(after time.Duration, limit int, want ...diagnostic.Request) {
		w.Helper()
		got, err := w.Diagnostics().Open(w.ctx, a, w.at.Add(after), limit)
		wantNone(w.T, "open", err)
		wantSame(w.T, "open after "+after.String(), got, want)
	}
	open(20*time.Second, 10, first, third)
	open(20*time.Second, 1, first)
	claimIsOld := 10*time.Second + diagnostic.ClaimFor
	open(claimIsOld-time.Microsecond, 10, first, third)
	open(claimIsOld, 10, first, second, third)
	open(time.Hour+time.Second, 10, second, third)
	open(2*time.Hour, 10)
}

func diagnosticRace(w *world) {
	p := w.place(1)
	r := w.ask(p.agents[0].ID, p.object, 0)
	wantOneWinner(w.T, "claim", race(8, func(i int) error {
		next, err := r.Claim(w.at.Add(time.Duration(i) * time.Second))
		if err != nil {
			return err
		}
		return w.Diagnostics().Move(w.ctx, r, next, nil)
	}))
}

func diagnosticStale(w *world) {
	p := w.place(1)
	r := w.ask(p.agents[0].ID, p.object, 0)
	first := w.claimDiagnostic(r, w.at.Add(time.Second))
	again := w.claimDiagnostic(first, w.at.Add(time.Hour/2))
	late, err := first.Complete(w.at.Add(time.Hour/2 + 1))
	wantNone(w.T, "complete", err)
	stale := diagnostic.Result{ID: newID[diagnostic.ResultID](), Request: r.ID, PodStatuses: "[]", Events: "[]", CollectedAt: w.at, CreatedAt: w.at}
	wantCode(w.T, "answer to a claim that was made anew", w.Diagnostics().Move(w.ctx, first, late, &stale), fault.Conflict, "conflict")
	got, answer := w.diagnostic(r.ID)
	wantSame(w.T, "request", got, again)
	wantSame(w.T, "answer", answer, nil)
	again.ID = newID[diagnostic.ID]()
	wantCode(w.T, "move nothing", w.Diagnostics().Move(w.ctx, again, again, nil), fault.NotFound, "diagnostic_not_found")
}

func diagnosticScope(w *world) {
	p := w.place(2)
	r := w.ask(p.agents[0].ID, p.object, 0)
	for who, scope := range map[string]tenancy.Scope{
		"another agent": {Agent: p.agents[1].ID}, "the owner of the stack": {Generator: p.generator.ID}, "nobody": {},
	} {
		_, _, err := w.Diagnostics().Get(w.ctx, scope, r.ID)
		wantCode(w.T, "get as "+who, err, fault.NotFound, "diagnostic_not_found")
	}
	got, _, err := w.Diagnostics().Get(w.ctx, tenancy.Scope{Agent: p.agents[0].ID}, r.ID)
	wantNone(w.T, "get as the agent", err)
	wantSame(w.T, "request", got, r)
	for _, id := range []diagnostic.ID{newID[diagnostic.ID](), "not an id"} {
		_, _, err = w.Diagnostics().Get(w.ctx, everything, id)
		wantCode(w.T, "unknown", err, fault.NotFound, "diagnostic_not_found")
	}
}

func diagnosticTrim(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	answered, _ := w.answerDiagnostic(w.claimDiagnostic(w.ask(a, p.object, 0), w.at), w.at)
	asked := w.ask(a, p.object, 0)
	claimed := w.claimDiagnostic(w.ask(a, p.object, 0), w.at)
	trim := func(after time.Duration, limit, want int, left ...diagnostic.ID) {
		w.Helper()
		n, err := w.Diagnostics().Trim(w.ctx, w.at.Add(after), limit)
		wantNone(w.T, "trim", err)
		wantSame(w.T, "trimmed after "+after.String(), n, want)
		for _, r := range []diagnostic.Request{answered, asked, claimed} {
			_, _, err := w.Diagnostics().Get(w.ctx, everything, r.ID)
			if kept := err == nil; kept != slices.Contains(left, r.ID) {
				w.Fatalf("after %v: request %s kept %v (%v)", after, r.Status, kept, err)
			}
		}
	}
	trim(time.Hour-time.Microsecond, 10, 0, answered.ID, asked.ID, claimed.ID)
	trim(time.Hour, 10, 1, asked.ID, claimed.ID)
	n, err := w.Diagnostics().Trim(w.ctx, w.at.Add(2*time.Hour), 1)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed one at most", n, 1)
	trim(2*time.Hour, 10, 1)
}

func diagnosticPending(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	first := w.ask(a, p.object, 0)
	last := w.ask(a, p.object, time.Minute)
	answered, _ := w.answerDiagnostic(w.claimDiagnostic(w.ask(a, p.object, 2*time.Minute), w.at), w.at)
	pending := func(after time.Duration, want map[agent.ID]ports.Pending) {
		w.Helper()
		got, err := w.Works().Pending(w.ctx, []agent.ID{a, b}, w.at.Add(after))
		wantNone(w.T, "pending", err)
		wantSame(w.T, "pending after "+after.String(), got, want)
	}
	pending(2*time.Minute, map[agent.ID]ports.Pending{a: {Diagnostics: 2, Mark: last.CreatedAt.UnixMicro()}})
	claimed := w.at.Add(3 * time.Minute)
	w.claimDiagnostic(last, claimed)
	pending(4*time.Minute, map[agent.ID]ports.Pending{a: {Diagnostics: 1, Mark: first.CreatedAt.UnixMicro()}})
	// A claim that is old is news: it can be made anew.
	again := claimed.Add(diagnostic.ClaimFor)
	pending(again.Sub(w.at), map[agent.ID]ports.Pending{a: {Diagnostics: 2, Mark: again.UnixMicro()}})
	pending(again.Sub(w.at)-time.Microsecond, map[agent.ID]ports.Pending{a: {Diagnostics: 1, Mark: first.CreatedAt.UnixMicro()}})
	pending(answered.ExpiresAt.Sub(w.at), map[agent.ID]ports.Pending{})
}
