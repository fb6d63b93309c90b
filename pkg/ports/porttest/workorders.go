package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func workOrderCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is inserted comes back":                 workOrderRoundTrip,
		"targets must be live, ids new, content put":  workOrderInsertRefuses,
		"an agent sees what is for it or claimed":     workOrderScope,
		"claimable is what is pending and for it":     workOrderClaimable,
		"one of many racers claims":                   workOrderRace,
		"an update rests on its version":              workOrderVersions,
		"what is due by time alone is found":          workOrderDue,
		"a finished order is in the log and gone":     workOrderFinish,
		"one of a completion and an expiry wins":      workOrderFinishRace,
		"a deleted order is gone with its targets":    workOrderDelete,
		"a list is newest first, filtered":            workOrderList,
		"pending orders are counted as pending work":  workOrderPending,
		"a rollback leaves an order where it was":     workOrderRollback,
		"an agent that is deleted leaves its history": workOrderAgentDeleted,
	}
}

func (w *world) newOrder(t workorder.Targeting) workorder.Order {
	w.Helper()
	o, err := workorder.New(newID[workorder.ID](), workorder.Spec{Type: workorder.TypeCustom, Targeting: t}, w.blob("kind: Job"), 9, w.at)
	wantNone(w.T, "new work order", err)
	o.Traceparent = traceparent
	return o
}

func (w *world) order(t workorder.Targeting) workorder.Order {
	w.Helper()
	o := w.newOrder(t)
	wantNone(w.T, "insert work order", w.WorkOrders().Insert(w.ctx, o))
	return o
}

func (w *world) seeOrder(id workorder.ID) workorder.Order {
	w.Helper()
	o, err := w.WorkOrders().Get(w.ctx, everything, id)
	wantNone(w.T, "get work order", err)
	return o
}

// claim claims the order as it is now for the agent.
func (w *world) claimOrder(id workorder.ID, a agent.ID, at time.Time) workorder.Order {
	w.Helper()
	o, err := w.seeOrder(id).ClaimFor(a, at)
	wantNone(w.T, "claim", err)
	wantNone(w.T, "update work order", w.WorkOrders().Update(w.ctx, o))
	return w.seeOrder(id)
}

func named(agents ...agent.ID) workorder.Targeting { return workorder.Targeting{Agents: agents} }

func workOrderRoundTrip(w *world) {
	a, b := w.agent("a"), w.agent("b")
	agents := []agent.ID{a.ID, b.ID}
	slices.Sort(agents)
	o := w.newOrder(workorder.Targeting{Agents: agents, Labels: []string{"env:prod", "tier/web"}, Annotations: map[string]string{"region": "eu", "zone": ""}})
	wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, o))
	wantSame(w.T, "pending", w.seeOrder(o.ID), o)
	claimed := w.claimOrder(o.ID, a.ID, w.at.Add(time.Second))
	want, err := o.ClaimFor(a.ID, w.at.Add(time.Second))
	wantNone(w.T, "claim", err)
	want.Version = claimed.Version
	wantGrown(w.T, "version", o.Version, claimed.Version)
	wantSame(w.T, "claimed", claimed, want)
	text := "no \x00 image"
	failed, _, err := claimed.Complete(workorder.Completer{Agent: a.ID}, workorder.Result{Message: &text, Retryable: true}, w.at.Add(time.Minute))
	wantNone(w.T, "fail", err)
	wantNone(w.T, "update", w.WorkOrders().Update(w.ctx, failed))
	got := w.seeOrder(o.ID)
	failed.Version = got.Version
	wantSame(w.T, "waiting for a retry", got, failed)
}

func workOrderInsertRefuses(w *world) {
	a := w.agent("a")
	gone := w.agent("gone")
	wantNone(w.T, "delete agent", w.Agents().Delete(w.ctx, gone.ID, w.at))
	for name, id := range map[string]agent.ID{"unknown": newID[agent.ID](), "deleted": gone.ID} {
		err := w.WorkOrders().Insert(w.ctx, w.newOrder(named(a.ID, id)))
		wantCode(w.T, "order for an agent that is "+name, err, fault.NotFound, "agent_not_found")
	}
	o := w.order(named(a.ID))
	wantCode(w.T, "the same again", w.WorkOrders().Insert(w.ctx, o), fault.Conflict, "unique_violation")
	o = w.newOrder(named(a.ID))
	o.Checksum = stack.Checksum(someHash)
	wantKind(w.T, "content that was not put", w.WorkOrders().Insert(w.ctx, o), fault.NotFound)
	w.order(named(a.ID, a.ID))
}

func workOrderScope(w *world) {
	a, other, g := w.agent("a"), w.agent("other"), w.generator("team")
	w.label(other.ID, "prod")
	o := w.order(workorder.Targeting{Agents: []agent.ID{a.ID}, Labels: []string{"prod"}})
	for _, scope := range []tenancy.Scope{everything, {Agent: a.ID}, {Agent: other.ID}} {
		_, err := w.WorkOrders().Get(w.ctx, scope, o.ID)
		wantNone(w.T, fmt.Sprintf("get as %+v", scope), err)
	}
	for _, scope := range []tenancy.Scope{{}, {Agent: newID[agent.ID]()}, {Generator: g.ID}} {
		_, err := w.WorkOrders().Get(w.ctx, scope, o.ID)
		wantCode(w.T, fmt.Sprintf("get as %+v", scope), err, fault.NotFound, "work_order_not_found")
	}
	w.claimOrder(o.ID, other.ID, w.at)
	wantNone(w.T, "remove label", w.Agents().RemoveLabel(w.ctx, other.ID, "prod"))
	_, err := w.WorkOrders().Get(w.ctx, tenancy.Scope{Agent: other.ID}, o.ID)
	wantNone(w.T, "get by the claimer that is no longer targeted", err)
	list, err := w.WorkOrders().ClaimedBy(w.ctx, other.ID)
	wantNone(w.T, "list claimed", err)
	wantSame(w.T, "claimed", ids(list), []workorder.ID{o.ID})
	list, err = w.WorkOrders().ClaimedBy(w.ctx, a.ID)
	wantNone(w.T, "list claimed", err)
	wantSame(w.T, "claimed by nobody else", len(list), 0)
}

func ids(list []workorder.Order) []workorder.ID {
	var out []workorder.ID
	for _, o := range list {
		out = append(out, o.ID)
	}
	return out
}

func (w *world) claimable(a agent.ID, kind string) []workorder.ID {
	w.Helper()
	list, err := w.WorkOrders().Claimable(w.ctx, a, kind, 10)
	wantNone(w.T, "list claimable", err)
	return ids(list)
}

func workOrderClaimable(w *world) {
	a, other := w.agent("a"), w.agent("other")
	w.label(a.ID, "prod")
	wantNone(w.T, "annotate", w.Agents().AddAnnotation(w.ctx, agent.Annotation{ID: newID[agent.AnnotationID](), Agent: a.ID, Key: "region", Value: "eu"}))
	var want []workorder.ID
	for i, t := range []workorder.Targeting{
		named(a.ID, other.ID), {Labels: []string{"prod", "dev"}}, {Annotations: map[string]string{"region": "eu"}},
		{Agents: []agent.ID{a.ID}, Labels: []string{"prod"}, Annotations: map[string]string{"region": "eu"}}, // once, though it matches thrice
	} {
		o := w.newOrder(t)
		o.AvailableAt = w.at.Add(time.Duration(i) * time.Second)
		wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, o))
		want = append(want, o.ID)
	}
	w.order(workorder.Targeting{Labels: []string{"dev"}, Annotations: map[string]string{"region": "us"}})
	build := w.newOrder(named(a.ID))
	build.Type, build.AvailableAt = workorder.TypeBuild, w.at.Add(time.Minute)
	wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, build))
	wantSame(w.T, "claimable, oldest first", w.claimable(a.ID, ""), append(slices.Clone(want), build.ID))
	wantSame(w.T, "of a type", w.claimable(a.ID, workorder.TypeBuild), []workorder.ID{build.ID})
	wantSame(w.T, "for another", w.claimable(other.ID, ""), want[:1])
	wantSame(w.T, "for nobody", len(w.claimable(newID[agent.ID](), "")), 0)
	w.claimOrder(want[0], other.ID, w.at)
	wantSame(w.T, "without what is taken", w.claimable(a.ID, workorder.TypeCustom), want[1:])
	few, err := w.WorkOrders().Claimable(w.ctx, a.ID, "", 2)
	wantNone(w.T, "list two", err)
	wantSame(w.T, "two", ids(few), want[1:3])
}

func workOrderRace(w *world) {
	const racers = 12
	var agents []agent.ID
	for i := range racers {
		agents = append(agents, w.agent(fmt.Sprintf("racer-%d", i)).ID)
	}
	o := w.order(named(agents...))
	errs := race(racers, func(i int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			found, err := tx.WorkOrders().Get(ctx, tenancy.Scope{Agent: agents[i]}, o.ID)
			if err != nil {
				return err
			}
			mine, err := found.ClaimFor(agents[i], w.at)
			if err != nil {
				return fault.New(fault.Conflict, "conflict", "taken before it was read").Because(err)
			}
			return tx.WorkOrders().Update(ctx, mine)
		})
	})
	wantOneWinner(w.T, "claim", errs)
	winner := slices.Index(errs, nil)
	if got := w.seeOrder(o.ID); !got.HeldBy(agents[winner]) {
		w.Fatalf("claim: got %+v, want that of the winner %s", got.Claim, agents[winner])
	}
}

func workOrderVersions(w *world) {
	a := w.agent("a")
	o := w.order(named(a.ID))
	w.claimOrder(o.ID, a.ID, w.at)
	again, err := o.ClaimFor(a.ID, w.at)
	wantNone(w.T, "claim", err)
	wantKind(w.T, "update of a version that is past", w.WorkOrders().Update(w.ctx, again), fault.Conflict)
	wantKind(w.T, "update of what is not there", w.WorkOrders().Update(w.ctx, w.newOrder(named(a.ID))), fault.Conflict)
	_, entry, err := o.Complete(workorder.Completer{Anybody: true}, workorder.Result{Success: true}, w.at)
	wantNone(w.T, "complete", err)
	wantKind(w.T, "finish of a version that is past", w.WorkOrders().Finish(w.ctx, o.Version, *entry), fault.Conflict)
	if !w.seeOrder(o.ID).HeldBy(a.ID) {
		w.Fatal("the order was changed by a stale write")
	}
}

func workOrderDue(w *world) {
	a := w.agent("a")
	claimed, waiting, old, young := w.order(named(a.ID)), w.order(named(a.ID)), w.order(named(a.ID)), w.newOrder(named(a.ID))
	young.AvailableAt = w.at.Add(time.Hour)
	wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, young))
	w.claimOrder(claimed.ID, a.ID, w.at) // ends after an hour
	failed, _, err := w.claimOrder(waiting.ID, a.ID, w.at).Complete(workorder.Completer{Agent: a.ID}, workorder.Result{Retryable: true}, w.at)
	wantNone(w.T, "fail", err)
	wantNone(w.T, "update", w.WorkOrders().Update(w.ctx, failed)) // retried after a minute
	due := func(now, unclaimed time.Time, limit int) []workorder.ID {
		w.Helper()
		list, err := w.WorkOrders().Due(w.ctx, now, unclaimed, limit)
		wantNone(w.T, "due", err)
		got := ids(list)
		slices.Sort(got)
		return got
	}
	before := w.at.Add(-time.Second)
	all := []workorder.ID{claimed.ID, waiting.ID, old.ID}
	slices.Sort(all)
	wantSame(w.T, "nothing yet", len(due(w.at.Add(time.Minute-time.Microsecond), before, 10)), 0)
	wantSame(w.T, "the retry", due(w.at.Add(time.Minute), before, 10), []workorder.ID{waiting.ID})
	wantSame(w.T, "and what nobody took", len(due(w.at.Add(time.Minute), w.at, 10)), 2)
	wantSame(w.T, "and the claim", due(w.at.Add(time.Hour), w.at, 10), all)
	wantSame(w.T, "at most one", len(due(w.at.Add(time.Hour), w.at, 1)), 1)
}

func workOrderFinish(w *world) {
	a := w.agent("a")
	o := w.claimOrder(w.order(named(a.ID)).ID, a.ID, w.at)
	text := "sha256:abc"
	_, entry, err := o.Complete(workorder.Completer{Agent: a.ID}, workorder.Result{Success: true, Message: &text}, w.at.Add(time.Minute))
	wantNone(w.T, "complete", err)
	wantNone(w.T, "finish", w.WorkOrders().Finish(w.ctx, o.Version, *entry))
	_, err = w.WorkOrders().Get(w.ctx, everything, o.ID)
	wantCode(w.T, "get", err, fault.NotFound, "work_order_not_found")
	got, err := w.WorkOrderLog().Get(w.ctx, everything, o.ID)
	wantNone(w.T, "get entry", err)
	wantSame(w.T, "entry", got, *entry)
	wantKind(w.T, "finish again", w.WorkOrders().Finish(w.ctx, o.Version, *entry), fault.Conflict)
}

func workOrderFinishRace(w *world) {
	a := w.agent("a")
	o := w.claimOrder(w.order(named(a.ID)).ID, a.ID, w.at)
	_, done, err := o.Complete(workorder.Completer{Agent: a.ID}, workorder.Result{Success: true}, w.at)
	wantNone(w.T, "complete", err)
	expired, _, _ := o.Advance(w.at.Add(2*time.Hour), 24*time.Hour)
	wantOneWinner(w.T, "finish or expire", race(8, func(i int) error {
		if i%2 == 0 {
			return w.WorkOrders().Finish(w.ctx, o.Version, *done)
		}
		return w.WorkOrders().Update(w.ctx, expired)
	}))
}

func workOrderDelete(w *world) {
	a := w.agent("a")
	o := w.order(workorder.Targeting{Agents: []agent.ID{a.ID}, Labels: []string{"x"}, Annotations: map[string]string{"k": "v"}})
	wantNone(w.T, "delete", w.WorkOrders().Delete(w.ctx, o.ID))
	wantCode(w.T, "delete again", w.WorkOrders().Delete(w.ctx, o.ID), fault.NotFound, "work_order_not_found")
	wantSame(w.T, "claimable", len(w.claimable(a.ID, "")), 0)
}

func workOrderList(w *world) {
	a := w.agent("a")
	var all []workorder.ID
	for i, kind := range []string{"custom", "build", "custom"} {
		o := w.newOrder(named(a.ID))
		o.Type, o.CreatedAt = kind, w.at.Add(time.Duration(i)*time.Second)
		wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, o))
		all = append(all, o.ID)
	}
	w.claimOrder(all[2], a.ID, w.at)
	of := func(ctx context.Context, _ tenancy.Scope, q page.Query) (page.Page[workorder.Order], error) {
		return w.WorkOrders().Page(ctx, q)
	}
	for name, tc := range map[string]struct {
		status workorder.Status
		kind   string
		want   []workorder.ID
	}{
		"all":      {want: []workorder.ID{all[2], all[1], all[0]}},
		"status":   {status: workorder.Pending, want: []workorder.ID{all[1], all[0]}},
		"type":     {kind: "custom", want: []workorder.ID{all[2], all[0]}},
		"both":     {status: workorder.Claimed, kind: "custom", want: []workorder.ID{all[2]}},
		"no match": {status: workorder.RetryPending},
	} {
		is := only{}
		if tc.status != "" {
			is["status"] = string(tc.status)
		}
		if tc.kind != "" {
			is["work_type"] = tc.kind
		}
		wantSame(w.T, name, ids(walk(w, of, everything, page.Query{Limit: 2, Sort: "created_at", Descending: true, Is: is})), tc.want)
	}
	wantSame(w.T, "claimed by the agent", ids(walk(w, of, everything, page.Query{Limit: 2, Sort: "created_at", Is: only{"agent_id": string(a.ID)}})), all[2:])
	everyOrder(w, workorder.List(), of, walk(w, of, everything, page.Query{Limit: 2, Sort: "created_at"}))
}

func workOrderPending(w *world) {
	a, other := w.agent("a"), w.agent("other")
	w.label(a.ID, "prod")
	first := w.order(workorder.Targeting{Agents: []agent.ID{a.ID}, Labels: []string{"prod"}})
	later := w.newOrder(workorder.Targeting{Labels: []string{"prod"}})
	later.AvailableAt = w.at.Add(time.Minute)
	wantNone(w.T, "insert", w.WorkOrders().Insert(w.ctx, later))
	wantSame(w.T, "pending", w.pending(a.ID), ports.Pending{WorkOrders: 2, Mark: w.at.Add(time.Minute).UnixMicro()})
	wantSame(w.T, "of another", w.pending(other.ID), ports.Pending{})
	w.claimOrder(later.ID, a.ID, w.at)
	wantSame(w.T, "after a claim", w.pending(a.ID), ports.Pending{WorkOrders: 1, Mark: w.at.UnixMicro()})
	wantNone(w.T, "delete", w.WorkOrders().Delete(w.ctx, first.ID))
	wantSame(w.T, "after the rest is gone", w.pending(a.ID), ports.Pending{})
}

func workOrderRollback(w *world) {
	a := w.agent("a")
	o := w.claimOrder(w.order(named(a.ID)).ID, a.ID, w.at)
	_, entry, err := o.Complete(workorder.Completer{Agent: a.ID}, workorder.Result{Success: true}, w.at)
	wantNone(w.T, "complete", err)
	err = w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.WorkOrders().Finish(ctx, o.Version, *entry); err != nil {
			return err
		}
		return errClosure
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v", err)
	}
	wantSame(w.T, "the order", w.seeOrder(o.ID), o)
	_, err = w.WorkOrderLog().Get(w.ctx, everything, o.ID)
	wantCode(w.T, "its entry", err, fault.NotFound, "work_order_log_entry_not_found")
}

func workOrderAgentDeleted(w *world) {
	a := w.agent("a")
	o := w.claimOrder(w.order(named(a.ID)).ID, a.ID, w.at)
	wantNone(w.T, "delete agent", w.Agents().Delete(w.ctx, a.ID, w.at))
	list, err := w.WorkOrders().Due(w.ctx, w.at.Add(time.Hour), w.at.Add(-time.Hour), 10)
	wantNone(w.T, "due", err)
	wantSame(w.T, "its claim ends", ids(list), []workorder.ID{o.ID})
}
