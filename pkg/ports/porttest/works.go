package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func workCases() map[string]func(*world) {
	return map[string]func(*world){
		"nothing waits for new and unknown agents": workNothing,
		"a ring names its agents after the commit": workRings,
		"a ring for many names none":               workRingsMany,
		"a rollback rings for nobody":              workRollback,
	}
}

func (w *world) workMethods() map[string]method {
	a, o := newID[agent.ID](), newID[workorder.ID]()
	return map[string]method{
		"Works.Pending": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Works().Pending(ctx, []agent.ID{a}, w.at))
		},
		"Works.Ring": func(ctx context.Context, r ports.Repositories) error {
			return r.Works().Ring(ctx, a)
		},
		"WorkOrders.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrders().Get(ctx, everything, o))
		},
		"WorkOrders.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrders().Page(ctx, workorder.List().All(1)))
		},
		"WorkOrders.Claimable": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrders().Claimable(ctx, a, "", 1))
		},
		"WorkOrders.ClaimedBy": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrders().ClaimedBy(ctx, a))
		},
		"WorkOrders.Due": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrders().Due(ctx, w.at, w.at, 1))
		},
		"WorkOrders.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.WorkOrders().Insert(ctx, workorder.Order{ID: o, Type: "x", Checksum: stack.Checksum(someHash), Status: workorder.Pending, AvailableAt: w.at, CreatedAt: w.at, UpdatedAt: w.at})
		},
		"WorkOrders.Update": func(ctx context.Context, r ports.Repositories) error {
			return r.WorkOrders().Update(ctx, workorder.Order{ID: o, Status: workorder.Pending, AvailableAt: w.at, UpdatedAt: w.at})
		},
		"WorkOrders.Finish": func(ctx context.Context, r ports.Repositories) error {
			return r.WorkOrders().Finish(ctx, 1, workorder.Entry{ID: o, Type: "x", CreatedAt: w.at, CompletedAt: w.at})
		},
		"WorkOrders.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.WorkOrders().Delete(ctx, o)
		},
		"WorkOrderLog.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrderLog().Get(ctx, everything, o))
		},
		"WorkOrderLog.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrderLog().Page(ctx, workorder.LogList().All(1)))
		},
		"WorkOrderLog.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.WorkOrderLog().Trim(ctx, w.at, 1))
		},
	}
}

// pending returns what waits for the agent now.
func (w *world) pending(a agent.ID) ports.Pending {
	w.Helper()
	got, err := w.Works().Pending(w.ctx, []agent.ID{a, newID[agent.ID]()}, time.Now())
	wantNone(w.T, "count pending work", err)
	if _, there := got[a]; len(got) > 1 || there != got[a].Any() {
		w.Fatalf("pending work: got %+v, want a line for %s if something waits", got, a)
	}
	return got[a]
}

func workNothing(w *world) {
	wantSame(w.T, "work of a new agent", w.pending(w.agent("edge").ID), ports.Pending{})
	got, err := w.Works().Pending(w.ctx, nil, w.at)
	wantNone(w.T, "count for nobody", err)
	wantSame(w.T, "work of nobody", len(got), 0)
}

func workRings(w *world) {
	ch := w.listen(w.ctx, ports.WorkGrew)
	var want []string
	for i := range 3 {
		want = append(want, string(w.agent(fmt.Sprintf("edge-%d", i)).ID))
	}
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Works().Ring(ctx, agent.ID(want[0]), agent.ID(want[1])); err != nil {
			return err
		}
		select {
		case got := <-ch:
			return errors.New("a wakeup came before the commit: " + got.Channel)
		case <-time.After(quiet):
		}
		return tx.Works().Ring(ctx, agent.ID(want[2]))
	}))
	var got []string
	for range want {
		n := w.nextWakeup(ch)
		wantSame(w.T, "channel", n.Channel, ports.WorkGrew)
		got = append(got, n.Payload)
	}
	slices.Sort(got)
	slices.Sort(want)
	wantSame(w.T, "agents", got, want)
	wantQuiet(w.T, "a second ring for the same", ch)
}

func workRingsMany(w *world) {
	ch := w.listen(w.ctx, ports.WorkGrew)
	many := make([]agent.ID, ports.RingAtMost+1)
	for i := range many {
		many[i] = newID[agent.ID]()
	}
	for _, agents := range [][]agent.ID{many, nil} {
		wantNone(w.T, "ring", w.Works().Ring(w.ctx, agents...))
		wantSame(w.T, "wakeup", w.nextWakeup(ch), ports.Wakeup{Channel: ports.WorkGrew})
	}
	wantQuiet(w.T, "more than one wakeup each", ch)
}

func workRollback(w *world) {
	ch := w.listen(w.ctx, ports.WorkGrew)
	a := w.agent("edge")
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Works().Ring(ctx, newID[agent.ID]()); err != nil {
			return err
		}
		return errClosure
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v", err)
	}
	wantNone(w.T, "ring", w.Works().Ring(w.ctx, a.ID))
	wantSame(w.T, "first wakeup after the rollback", w.nextWakeup(ch), ports.Wakeup{Channel: ports.WorkGrew, Payload: string(a.ID)})
}
