package porttest

import (
	"context"
	"slices"
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
		"old days go":          historyDays,
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

// recordsLeft are the generations that are kept of a stack.
func (w *world) recordsLeft(s stack.ID) []int64 {
	w.Helper()
	got, err := w.History().Page(w.ctx, everything, s, placement.RecordList().All(100))
	wantNone(w.T, "page", err)
	out := []int64{}
	for _, r := range got.Items {
		out = append(out, r.Generation)
	}
	slices.Sort(out)
	return out
}

// What was decided before there was room for its day goes one by one.
func historyTrim(w *world) {
	p := w.place(0)
	other := w.stack(p.generator.ID, "other")
	w.recorded(p.stack.ID, 4)
	w.recorded(other.ID, 1)
	for _, want := range []bool{true, false} {
		more, err := w.History().Keep(w.ctx, w.at.Add(150*time.Minute), w.at.Add(48*time.Hour), 2)
		wantNone(w.T, "keep", err)
		wantSame(w.T, "more", more, want)
	}
	wantSame(w.T, "records left", w.recordsLeft(p.stack.ID), []int64{4})
	wantSame(w.T, "records left of the other", w.recordsLeft(other.ID), []int64{1})
	more, err := w.History().Keep(w.ctx, w.at.Add(time.Hour*1000), w.at.Add(48*time.Hour), 10)
	wantNone(w.T, "keep the newest", err)
	wantSame(w.T, "more than the newest", more, false)
	_, _, err = w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "the newest is still there", err)
}

// What was decided when there was room for its day goes with the day, but what is newest about a stack.
func historyDays(w *world) {
	p := w.place(0)
	idle := w.stack(p.generator.ID, "idle")
	keep := func(before, until time.Time) {
		w.Helper()
		for more, tries := true, 0; more; tries++ {
			var err error
			if more, err = w.History().Keep(w.ctx, before, until, 7); err != nil || tries > 20 {
				w.Fatalf("keep, %d times: %v", tries+1, err)
			}
		}
	}
	long := w.at.Add(-1000 * time.Hour)
	keep(long, w.at)
	keep(long, w.at.Add(48*time.Hour))
	records := w.recorded(p.stack.ID, 49)
	still := w.recorded(idle.ID, 1)[0]
	wantSame(w.T, "records after nothing was old", len(w.recordsLeft(p.stack.ID)), 49)

	keep(w.at.Add(40*time.Hour+time.Microsecond), w.at.Add(48*time.Hour))
	left := w.recordsLeft(p.stack.ID)
	if first := left[0]; len(left) != int(50-first) || first < 18 || first > 42 {
		w.Errorf("records left: got %v, want all since 40 hours after the first, and at most a day before", left)
	}
	_, err := w.History().At(w.ctx, everything, p.stack.ID, w.at)
	wantCode(w.T, "at a time whose records are gone", err, fault.NotFound, "decision_not_found")
	for _, hour := range []int{41, 48} {
		got, err := w.History().At(w.ctx, everything, p.stack.ID, records[hour].At)
		wantNone(w.T, "at", err)
		wantSame(w.T, "record", got, records[hour])
	}
	same := func() {
		w.Helper()
		wantSame(w.T, "records left of the idle", w.recordsLeft(idle.ID), []int64{1})
		got, err := w.History().At(w.ctx, everything, idle.ID, w.at.Add(time.Hour))
		wantNone(w.T, "at", err)
		wantSame(w.T, "record of the idle", got, still)
	}
	same()
	for range 2 { // the second time finds nothing to do
		keep(w.at.Add(1000*time.Hour), w.at.Add(1024*time.Hour))
		wantSame(w.T, "records left", w.recordsLeft(p.stack.ID), []int64{49})
		same()
	}
	w.recorded(idle.ID, 1) // it is decided about again: the old one is not the newest any more
	keep(w.at.Add(1000*time.Hour), w.at.Add(1024*time.Hour))
	wantSame(w.T, "records left of the idle, decided about again", w.recordsLeft(idle.ID), []int64{2})
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
		"History.Keep": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.History().Keep(ctx, w.at, w.at.Add(time.Hour), 10))
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

func (x faultyHistory) Keep(ctx context.Context, before, until time.Time, limit int) (bool, error) {
	if err := x.f.next(); err != nil {
		return false, err
	}
	return x.in.Keep(ctx, before, until, limit)
}
