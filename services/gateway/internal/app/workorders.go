package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// WorkOrder is an order with its manifests, WorkOrderEntry what the log keeps of one.
type (
	WorkOrder struct {
		workorder.Order
		Content []byte
	}
	WorkOrderEntry struct {
		workorder.Entry
		Content []byte
	}
)

// claimableAtOnce bounds how many orders an agent is shown; it claims some and asks again.
const claimableAtOnce = 50

// manifestsAtOnce bounds the manifests of one answer in bytes: the first order is shown whatever its size, and others as long as
// all of them are no more than that.
const manifestsAtOnce = 8 << 20

// PendingWorkOrders returns orders that the agent may claim, oldest first, of this type (empty: any).
func (g *Gateway) PendingWorkOrders(ctx context.Context, p tenancy.Principal, agentID, kind string) ([]WorkOrder, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return nil, err
	}
	list, err := g.Store.WorkOrders().Claimable(ctx, a, kind, claimableAtOnce)
	if err != nil {
		return nil, err
	}
	return g.withContents(ctx, list)
}

// ClaimedWorkOrders returns orders that the agent has claimed, oldest claim first, so that one that was restarted can go on:
// those behind the order after (empty, or not claimed any more: from the first), as many as fit into one answer.
func (g *Gateway) ClaimedWorkOrders(ctx context.Context, p tenancy.Principal, agentID, after string) ([]WorkOrder, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return nil, err
	}
	list, err := g.Store.WorkOrders().ClaimedBy(ctx, a)
	if err != nil {
		return nil, err
	}
	list = list[slices.IndexFunc(list, func(o workorder.Order) bool { return string(o.ID) == after })+1:]
	return g.withContents(ctx, list)
}

// withContents adds the manifests to the first orders of the list, as many as fit into one answer.
func (g *Gateway) withContents(ctx context.Context, list []workorder.Order) ([]WorkOrder, error) {
	out, room := make([]WorkOrder, 0, len(list)), int64(manifestsAtOnce)
	for _, o := range list {
		if room -= o.Size; room < 0 && len(out) > 0 {
			break
		}
		content, err := g.plain(ctx, o.Checksum)
		if err != nil {
			return nil, fmt.Errorf("work order %s: %w", o.ID, err)
		}
		out = append(out, WorkOrder{Order: o, Content: content})
	}
	return out, nil
}

func (g *Gateway) plain(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	b, err := g.Bundles.Get(ctx, sum)
	if err != nil {
		return nil, err
	}
	return b.Plain()
}

func (g *Gateway) moment() time.Time { return g.Now().UTC().Truncate(time.Microsecond) }

// ClaimWorkOrder gives the order to the agent that the body names: the caller itself, or for an admin any agent that it is
// for. Of several that ask at once one gets it; the others, and those whom it does not concern, learn that it is not claimable.
func (g *Gateway) ClaimWorkOrder(ctx context.Context, p tenancy.Principal, orderID, agentID string) (WorkOrder, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return WorkOrder{}, err
	}
	order, err := id.Parse[workorder.ID]("id", orderID)
	if err != nil {
		return WorkOrder{}, err
	}
	now := g.moment()
	var mine workorder.Order
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		found, err := tx.WorkOrders().Get(ctx, tenancy.Scope{Agent: a}, order)
		if err != nil {
			return err
		}
		if mine, err = found.ClaimFor(a, now); err != nil {
			return err
		}
		if err := tx.WorkOrders().Update(ctx, mine); err != nil {
			return err
		}
		if err := did(ctx, tx, p, audit.Did(audit.WorkOrderClaimed, string(order), found, mine).With("agent_id", string(a))); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{
			ID: uuid.NewString(), Type: event.WorkOrderClaimed, Agent: a, Traceparent: mine.Traceparent, Data: mine.ClaimedData(), At: now,
		})
	})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return WorkOrder{}, workorder.NotClaimable(order)
	}
	if err != nil {
		return WorkOrder{}, fmt.Errorf("claim work order: %w", err)
	}
	content, err := g.plain(ctx, mine.Checksum)
	return WorkOrder{Order: mine, Content: content}, err
}

// RenewWorkOrder lets the claim hold for lease from now, within the order's timeout. From the first renewal on a claim whose
// agent falls silent ends with its lease, and not only with the timeout.
func (g *Gateway) RenewWorkOrder(ctx context.Context, p tenancy.Principal, orderID string, lease time.Duration) (workorder.Order, error) {
	order, err := id.Parse[workorder.ID]("id", orderID)
	if err != nil {
		return workorder.Order{}, err
	}
	now := g.moment()
	var mine workorder.Order
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		found, err := tx.WorkOrders().Get(ctx, tenancy.ScopeOf(p), order)
		if err != nil {
			return err
		}
		holder := p.Agent
		if p.IsStaff() && found.Claim != nil {
			holder = found.Claim.Agent
		}
		if mine, err = found.Renew(holder, lease, now); err != nil {
			return err
		}
		if err := tx.WorkOrders().Update(ctx, mine); err != nil {
			return err
		}
		return did(ctx, tx, p, audit.Did(audit.WorkOrderRenewed, string(order), found, mine).With("agent_id", string(holder)))
	})
	if err != nil {
		return workorder.Order{}, fmt.Errorf("renew work order: %w", err)
	}
	return mine, nil
}

// CompleteWorkOrder takes the result of an attempt, from the agent that claimed the order or an admin. It returns the entry
// of the log, or nil if the order will be tried again. A result that is told twice is answered like the first time.
func (g *Gateway) CompleteWorkOrder(ctx context.Context, p tenancy.Principal, orderID string, r workorder.Result) (*WorkOrderEntry, error) {
	order, err := id.Parse[workorder.ID]("id", orderID)
	if err != nil {
		return nil, err
	}
	now := g.moment()
	var entry *workorder.Entry
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		found, err := tx.WorkOrders().Get(ctx, tenancy.ScopeOf(p), order)
		if fault.Is(err, fault.NotFound) {
			done, logErr := tx.WorkOrderLog().Get(ctx, tenancy.ScopeOf(p), order)
			if fault.Is(logErr, fault.NotFound) {
				return err
			}
			if logErr != nil {
				return logErr
			}
			entry = &done
			return did(ctx, tx, p, audit.Did(audit.WorkOrderCompleted, string(order), done, done).With("outcome", "was_done"))
		}
		if err != nil {
			return err
		}
		var next workorder.Order
		next, entry, err = found.Complete(workorder.Completer{Agent: p.Agent, Anybody: p.IsStaff()}, r, now)
		switch {
		case err != nil:
			return err
		case entry != nil:
			if err := ports.FinishWorkOrder(ctx, tx, found, *entry, uuid.NewString()); err != nil {
				return err
			}
			return did(ctx, tx, p, audit.Did(audit.WorkOrderCompleted, string(order), found, *entry).With("outcome", outcomeOf(*entry)))
		default:
			if err := tx.WorkOrders().Update(ctx, next); err != nil {
				return err
			}
			return did(ctx, tx, p, audit.Did(audit.WorkOrderCompleted, string(order), found, next).With("outcome", "retry"))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("complete work order: %w", err)
	}
	if entry == nil {
		return nil, nil //nolint:nilnil // no entry yet: it is tried again
	}
	content, err := g.plain(ctx, entry.Checksum)
	return &WorkOrderEntry{Entry: *entry, Content: content}, err
}

func outcomeOf(e workorder.Entry) string {
	if e.Success {
		return "success"
	}
	return "failure"
}
