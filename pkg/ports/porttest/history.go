package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func historyCases() map[string]func(*world) {
	return map[string]func(*world){
		"records are kept":     historyKept,
		"the record of a time": historyAt,
		"old records go":       historyTrim,
		"scopes":               historyScopes,
	}
}

// recorded commits n decisions without changes, an hour apart, and returns their records.
func (w *world) recorded(s stack.ID, n int) []placement.Record {
	w.Helper()
	var out []placement.Record
	for i := range n {
		c := w.decision(s)
		c.Record.At = w.at.Add(time.Duration(i) * time.Hour)
		c.Record.Decision.Verdicts = []placement.Verdict{{Agent: "a", Cluster: "c", Reasons: []placement.Reason{{Rule: placement.RuleNoMatch, Message: "none \x00 <"}}}}
		_, err := w.Decisions().Commit(w.ctx, c)
		wantNone(w.T, "commit", err)
		out = append(out, c.Record)
	}
	return out
}

func historyKept(w *world) {
	p := w.place(0)
	records := w.recorded(p.stack.ID, 5)
	w.recorded(w.stack(p.generator.ID, "other").ID, 1)
	get := func(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[placement.Record], error) {
		return w.History().Page(ctx, scope, p.stack.ID, q)
	}
	everyOrder(w, placement.RecordList(), get, records)
	until := page.Time(w.at.Add(90 * time.Minute))
	got := walk(w, get, everything, page.Query{Limit: 1, Sort: "generation", Descending: true, Is: map[string]string{"at": until}})
	wantSame(w.T, "records until then", got, []placement.Record{records[1], records[0]})
	all, err := get(w.ctx, everything, page.Query{Limit: 2, Sort: "generation", Total: true})
	wantNone(w.T, "page", err)
	wantSame(w.T, "total", all.Total, 5)
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, p.stack.ID, w.at))
	wantSame(w.T, "records of the deleted stack", len(walk(w, get, everything, placement.RecordList().All(10))), 5)
}

func historyAt(w *world) {
	s := w.place(0).stack.ID
	_, err := w.History().At(w.ctx, everything, s, w.at)
	wantCode(w.T, "at a time when nothing was decided", err, fault.NotFound, "decision_not_found")
	records := w.recorded(s, 3)
	for after, want := range map[time.Duration]int{0: 0, time.Hour - time.Microsecond: 0, time.Hour: 1, 48 * time.Hour: 2} {
		got, err := w.History().At(w.ctx, everything, s, w.at.Add(after))
		wantNone(w.T, "at", err)
		wantSame(w.T, "record after "+after.String(), got, records[want])
	}
	_, err = w.History().At(w.ctx, everything, s, w.at.Add(-time.Second))
	wantCode(w.T, "before the first", err, fault.NotFound, "decision_not_found")
	_, err = w.History().At(w.ctx, everything, newID[stack.ID](), w.at)
	wantCode(w.T, "of no stack", err, fault.NotFound, "decision_not_found")
}

func historyTrim(w *world) {
	p := w.place(0)
	other := w.stack(p.generator.ID, "other")
	w.recorded(p.stack.ID, 4)
	w.recorded(other.ID, 1)
	n, err := w.History().Trim(w.ctx, w.at.Add(150*time.Minute), 2)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed", n, 2)
	n, err = w.History().Trim(w.ctx, w.at.Add(150*time.Minute), 2)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed then", n, 1)
	for s, want := range map[stack.ID]int{p.stack.ID: 1, other.ID: 1} {
		got, err := w.History().Page(w.ctx, everything, s, placement.RecordList().All(10))
		wantNone(w.T, "page", err)
		wantSame(w.T, "records left", len(got.Items), want)
	}
	n, err = w.History().Trim(w.ctx, w.at.Add(time.Hour*1000), 10)
	wantNone(w.T, "trim all", err)
	wantSame(w.T, "the newest that were trimmed", n, 0)
	_, _, err = w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "the newest is still there", err)
}

func historyScopes(w *world) {
	p := w.place(1)
	h := w.generator("other")
	for name, c := range map[string]struct {
		scope tenancy.Scope
		sees  bool
	}{
		"its owner": {tenancy.Scope{Generator: p.generator.ID}, true}, "another": {tenancy.Scope{Generator: h.ID}, false},
		"its agent": {tenancy.Scope{Agent: p.agents[0].ID}, false}, "nothing": {tenancy.Scope{}, false},
	} {
		_, err := w.History().At(w.ctx, c.scope, p.stack.ID, w.at)
		if c.sees != (err == nil) || (err != nil && fault.CodeOf(err) != "decision_not_found") {
			w.Errorf("in the scope of %s: %v", name, err)
		}
		got, err := w.History().Page(w.ctx, c.scope, p.stack.ID, placement.RecordList().All(10))
		if err != nil || c.sees != (len(got.Items) == 1) {
			w.Errorf("in the scope of %s: %d records, %v", name, len(got.Items), err)
		}
	}
}

func (w *world) historyMethods() map[string]method {
	s := newID[stack.ID]()
	return map[string]method{
		"History.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.History().Page(ctx, everything, s, placement.RecordList().All(10)))
		},
		"History.At": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.History().At(ctx, everything, s, w.at))
		},
		"History.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.History().Trim(ctx, w.at, 10))
		},
	}
}

type faultyHistory struct {
	in ports.History
	f  *faults
}

func (x faultyHistory) Page(ctx context.Context, scope tenancy.Scope, s stack.ID, q page.Query) (v page.Page[placement.Record], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, s, q)
}

func (x faultyHistory) At(ctx context.Context, scope tenancy.Scope, s stack.ID, at time.Time) (v placement.Record, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.At(ctx, scope, s, at)
}

func (x faultyHistory) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := x.f.next(); err != nil {
		return 0, err
	}
	return x.in.Trim(ctx, before, limit)
}
