package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
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

// CreateWorkOrder orders work: manifests for one of the agents that are targeted. Those learn of it at once.
func (a *App) CreateWorkOrder(ctx context.Context, spec workorder.Spec, content []byte) (WorkOrder, error) {
	at := a.now()
	order, err := workorder.New(workorder.ID(newID()), spec, "", int64(len(content)), at)
	if err != nil {
		return WorkOrder{}, err
	}
	n, err := a.Check(content)
	if f, ok := fault.As(err); ok && f.Kind == fault.Invalid {
		return WorkOrder{}, fault.New(fault.Invalid, "invalid_work_order", f.Message).Because(err)
	}
	if err != nil {
		return WorkOrder{}, err
	}
	if n == 0 {
		return WorkOrder{}, fault.New(fault.Invalid, "invalid_work_order", "yaml_content holds no manifests")
	}
	order.Traceparent = a.Trace(ctx)
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		var err error
		if order.Checksum, err = tx.Blobs().Put(ctx, content); err != nil {
			return fmt.Errorf("store the content: %w", err)
		}
		if err := tx.WorkOrders().Insert(ctx, order); err != nil {
			if f, ok := fault.As(err); ok && f.Code == "agent_not_found" {
				return fault.New(fault.Invalid, "invalid_work_order", "targeting names an agent that is not there: "+f.Message).Because(err)
			}
			return err
		}
		if err := ringFor(ctx, tx, order); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.WorkOrderCreated, string(order.ID), nil, order).With("work_type", order.Type)); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.occurred(ctx, event.WorkOrderCreated, at, order.CreatedData()))
	})
	if err != nil {
		return WorkOrder{}, fmt.Errorf("create work order: %w", err)
	}
	return WorkOrder{Order: order, Content: content}, nil
}

// ringFor announces the order to its agents: by name, if it is for named ones alone.
func ringFor(ctx context.Context, tx ports.Repositories, o workorder.Order) error {
	if len(o.Targeting.Labels)+len(o.Targeting.Annotations) > 0 {
		return tx.Works().Ring(ctx)
	}
	return tx.Works().Ring(ctx, o.Targeting.Agents...)
}

// ListWorkOrders returns a page of the orders that are not finished.
func (a *App) ListWorkOrders(ctx context.Context, q page.Query) (page.Page[workorder.Order], error) {
	out, err := a.Store.WorkOrders().Page(ctx, q)
	if err != nil {
		return out, fmt.Errorf("list work orders: %w", err)
	}
	return out, nil
}

// WorkOrderContents returns the orders with their manifests.
func (a *App) WorkOrderContents(ctx context.Context, list []workorder.Order) ([]WorkOrder, error) {
	sums := make(map[workorder.ID]stack.Checksum, len(list))
	for _, o := range list {
		sums[o.ID] = o.Checksum
	}
	contents, err := a.manifests(ctx, sums)
	if err != nil {
		return nil, err
	}
	out := make([]WorkOrder, len(list))
	for i, o := range list {
		out[i] = WorkOrder{Order: o, Content: contents[o.ID]}
	}
	return out, nil
}

// manifests returns the contents of these orders, each once.
func (a *App) manifests(ctx context.Context, sums map[workorder.ID]stack.Checksum) (map[workorder.ID][]byte, error) {
	wanted := map[stack.Checksum]bool{}
	for _, sum := range sums {
		wanted[sum] = true
	}
	contents, err := a.Store.Blobs().GetMany(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return nil, fmt.Errorf("get the manifests: %w", err)
	}
	out := make(map[workorder.ID][]byte, len(sums))
	for id, sum := range sums {
		content, ok := contents[sum]
		if !ok {
			return nil, fault.Newf(fault.Internal, "internal_error", "the manifests of work order %s are missing", id)
		}
		out[id] = content
	}
	return out, nil
}

// GetWorkOrder returns an order that is not finished.
func (a *App) GetWorkOrder(ctx context.Context, id workorder.ID) (WorkOrder, error) {
	o, err := a.Store.WorkOrders().Get(ctx, tenancy.Everything(), id)
	if err != nil {
		return WorkOrder{}, fmt.Errorf("get work order: %w", err)
	}
	content, err := a.Store.Blobs().Get(ctx, o.Checksum)
	if err != nil {
		return WorkOrder{}, missing(o.ID, err)
	}
	return WorkOrder{Order: o, Content: content}, nil
}

func missing(id workorder.ID, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Newf(fault.Internal, "internal_error", "the manifests of work order %s are missing", id).Because(err)
	}
	return fmt.Errorf("get the manifests of work order %s: %w", id, err)
}

// WorkOrderTag is the state of an order that taking it back may rest on.
func WorkOrderTag(o workorder.Order) string { return precondition.State(o.ID, o.Version) }

// DeleteWorkOrder takes an order back. An agent that is at it learns so when it renews its claim.
func (a *App) DeleteWorkOrder(ctx context.Context, id workorder.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().WorkOrder(ctx, id); err != nil {
			return err
		}
		o, err := tx.WorkOrders().Get(ctx, tenancy.Everything(), id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, WorkOrderTag(o)); err != nil {
			return err
		}
		if err := tx.WorkOrders().Delete(ctx, id); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.WorkOrderDeleted, string(id), o, nil).With("work_type", o.Type))
	})
	if err != nil {
		return fmt.Errorf("delete work order: %w", err)
	}
	return nil
}

// ListWorkOrderLog returns a page of what became of orders.
func (a *App) ListWorkOrderLog(ctx context.Context, q page.Query) (page.Page[workorder.Entry], error) {
	out, err := a.Store.WorkOrderLog().Page(ctx, q)
	if err != nil {
		return out, fmt.Errorf("list the work order log: %w", err)
	}
	return out, nil
}

// WorkOrderLogContents returns the entries with the manifests of their orders.
func (a *App) WorkOrderLogContents(ctx context.Context, list []workorder.Entry) ([]WorkOrderEntry, error) {
	sums := make(map[workorder.ID]stack.Checksum, len(list))
	for _, e := range list {
		sums[e.ID] = e.Checksum
	}
	contents, err := a.manifests(ctx, sums)
	if err != nil {
		return nil, err
	}
	out := make([]WorkOrderEntry, len(list))
	for i, e := range list {
		out[i] = WorkOrderEntry{Entry: e, Content: contents[e.ID]}
	}
	return out, nil
}

// GetWorkOrderLog returns what became of an order.
func (a *App) GetWorkOrderLog(ctx context.Context, id workorder.ID) (WorkOrderEntry, error) {
	e, err := a.Store.WorkOrderLog().Get(ctx, tenancy.Everything(), id)
	if err != nil {
		return WorkOrderEntry{}, fmt.Errorf("get entry of the work order log: %w", err)
	}
	content, err := a.Store.Blobs().Get(ctx, e.Checksum)
	if err != nil {
		return WorkOrderEntry{}, missing(e.ID, err)
	}
	return WorkOrderEntry{Entry: e, Content: content}, nil
}
