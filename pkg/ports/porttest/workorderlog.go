package porttest

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

func workOrderLogCases() map[string]func(*world) {
	return map[string]func(*world){
		"a list is filtered, the last first": entryList,
		"an agent sees its own entries":      entryScope,
		"old entries are trimmed in batches": entryTrim,
	}
}

// entry stores an order that was finished at a moment.
func (w *world) entry(a agent.ID, kind string, success bool, at time.Time) workorder.Entry {
	w.Helper()
	o := w.newOrder(named(a))
	o.Type = kind
	wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, o))
	o = w.claimOrder(o.ID, a, w.at)
	_, e, err := o.Complete(workorder.Completer{Agent: a}, workorder.Result{Success: success}, at)
	wantNone(w.T, "complete", err)
	wantNone(w.T, "finish", w.WorkOrders().Finish(w.ctx, o.Version, *e))
	return *e
}

func entryList(w *world) {
	a, b := w.agent("a"), w.agent("b")
	one := w.entry(a.ID, "custom", true, w.at.Add(time.Second))
	two := w.entry(b.ID, "build", false, w.at.Add(2*time.Second))
	three := w.entry(a.ID, "build", true, w.at.Add(3*time.Second))
	of := func(ctx context.Context, _ tenancy.Scope, q page.Query) (page.Page[workorder.Entry], error) {
		return w.WorkOrderLog().Page(ctx, q)
	}
	for name, tc := range map[string]struct {
		is   only
		want []workorder.Entry
	}{
		"all":      {nil, []workorder.Entry{three, two, one}},
		"type":     {only{"work_type": "build"}, []workorder.Entry{three, two}},
		"success":  {only{"success": "true"}, []workorder.Entry{three, one}},
		"failure":  {only{"success": "false"}, []workorder.Entry{two}},
		"agent":    {only{"agent_id": string(a.ID), "work_type": "build"}, []workorder.Entry{three}},
		"no match": {only{"agent_id": string(newID[agent.ID]())}, nil},
	} {
		q := workorder.LogList().All(2)
		q.Is = tc.is
		wantSame(w.T, name, walk(w, of, everything, q), tc.want)
	}
	everyOrder(w, workorder.LogList(), of, []workorder.Entry{one, two, three})
}

func entryScope(w *world) {
	a, g := w.agent("a"), w.generator("team")
	e := w.entry(a.ID, "custom", true, w.at)
	got, err := w.WorkOrderLog().Get(w.ctx, tenancy.Scope{Agent: a.ID}, e.ID)
	wantNone(w.T, "get by its agent", err)
	wantSame(w.T, "entry", got, e)
	for _, scope := range []tenancy.Scope{{}, {Agent: newID[agent.ID]()}, {Generator: g.ID}} {
		_, err := w.WorkOrderLog().Get(w.ctx, scope, e.ID)
		wantCode(w.T, fmt.Sprintf("get as %+v", scope), err, fault.NotFound, "work_order_log_entry_not_found")
	}
}

func entryTrim(w *world) {
	a := w.agent("a")
	for i := range 3 {
		w.entry(a.ID, "custom", true, w.at.Add(time.Duration(i)*time.Second))
	}
	for _, want := range []int{1, 1, 0} {
		n, err := w.WorkOrderLog().Trim(w.ctx, w.at.Add(2*time.Second), 1)
		wantNone(w.T, "trim", err)
		wantSame(w.T, "trimmed", n, want)
	}
	left, err := w.WorkOrderLog().Page(w.ctx, page.Query{Limit: 10, Total: true})
	wantNone(w.T, "list", err)
	wantSame(w.T, "left", left.Total, 1)
}
