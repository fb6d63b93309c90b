package porttest

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
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
	yes, no := true, false
	for name, tc := range map[string]struct {
		filter ports.WorkOrderFilter
		want   []workorder.Entry
	}{
		"all":      {ports.WorkOrderFilter{}, []workorder.Entry{three, two, one}},
		"two":      {ports.WorkOrderFilter{Limit: 2}, []workorder.Entry{three, two}},
		"type":     {ports.WorkOrderFilter{Type: "build"}, []workorder.Entry{three, two}},
		"success":  {ports.WorkOrderFilter{Success: &yes}, []workorder.Entry{three, one}},
		"failure":  {ports.WorkOrderFilter{Success: &no}, []workorder.Entry{two}},
		"agent":    {ports.WorkOrderFilter{Agent: a.ID, Type: "build"}, []workorder.Entry{three}},
		"no match": {ports.WorkOrderFilter{Agent: newID[agent.ID]()}, nil},
	} {
		if tc.filter.Limit == 0 {
			tc.filter.Limit = 10
		}
		got, err := w.WorkOrderLog().List(w.ctx, tc.filter)
		wantNone(w.T, "list", err)
		wantSame(w.T, name, got, tc.want)
	}
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
	left, err := w.WorkOrderLog().List(w.ctx, ports.WorkOrderFilter{Limit: 10})
	wantNone(w.T, "list", err)
	wantSame(w.T, "left", len(left), 1)
}
