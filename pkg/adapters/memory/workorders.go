package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type workOrders struct{ s session }

func noWorkOrder(id any) error { return notFound("work_order_not_found", "work order", id) }

func copyOrder(o workorder.Order) workorder.Order {
	o.Targeting.Agents = slices.Sorted(slices.Values(o.Targeting.Agents))
	o.Targeting.Labels = slices.Sorted(slices.Values(o.Targeting.Labels))
	o.Targeting.Annotations = maps.Clone(o.Targeting.Annotations)
	if o.Claim != nil {
		o.Claim = &workorder.Claim{Agent: o.Claim.Agent, At: micro(o.Claim.At), EndsAt: micro(o.Claim.EndsAt)}
	}
	o.NextRetryAfter, o.LastErrorAt, o.LastError = microPtr(o.NextRetryAfter), microPtr(o.LastErrorAt), ptr(o.LastError)
	o.AvailableAt, o.CreatedAt, o.UpdatedAt = micro(o.AvailableAt), micro(o.CreatedAt), micro(o.UpdatedAt)
	return o
}

func copyEntry(e workorder.Entry) workorder.Entry {
	e.Message, e.ClaimedAt = ptr(e.Message), microPtr(e.ClaimedAt)
	e.CreatedAt, e.CompletedAt = micro(e.CreatedAt), micro(e.CompletedAt)
	return e
}

// targeted reports whether the order is for the agent.
func (s *state) targeted(o workorder.Order, a agent.ID) bool {
	c := s.cluster(agent.Agent{ID: a})
	return o.Targeting.Matches(a, c.Labels, c.Annotations)
}

// pendingWorkOrders counts the orders that the agent may claim.
func (s *state) pendingWorkOrders(a agent.ID, _ time.Time, p *ports.Pending) {
	s.workOrders.each(func(_ one, o workorder.Order) bool {
		if o.Status == workorder.Pending && s.targeted(o, a) {
			p.WorkOrders++
			newest(p, o.AvailableAt)
		}
		return true
	})
}

// chosen returns copies of the orders that fit, in order, at most limit if that is not 0.
func (r workOrders) chosen(ctx context.Context, limit int, order func(x, y workorder.Order) int, fits func(*state, workorder.Order) bool) ([]workorder.Order, error) {
	return read(ctx, r.s, func(s *state) ([]workorder.Order, error) {
		var out []workorder.Order
		s.workOrders.each(func(_ one, o workorder.Order) bool {
			if fits(s, o) {
				out = append(out, copyOrder(o))
			}
			return true
		})
		slices.SortFunc(out, order)
		if limit > 0 && len(out) > limit {
			out = out[:limit]
		}
		return out, nil
	})
}

// Get implements ports.WorkOrders.
func (r workOrders) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Order, error) {
	return read(ctx, r.s, func(s *state) (workorder.Order, error) {
		o, ok := s.workOrders.get(one(id))
		if !ok || (!scope.All && (scope.Agent == "" || (!o.HeldBy(scope.Agent) && !s.targeted(o, scope.Agent)))) {
			return workorder.Order{}, noWorkOrder(id)
		}
		return copyOrder(o), nil
	})
}

// Page implements ports.WorkOrders.
func (r workOrders) Page(ctx context.Context, q page.Query) (page.Page[workorder.Order], error) {
	return pageOf(ctx, r.s, workorder.List(), q, func(s *state, keep func(workorder.Order)) {
		s.workOrders.each(func(_ one, o workorder.Order) bool {
			keep(copyOrder(o))
			return true
		})
	})
}

// Claimable implements ports.WorkOrders.
func (r workOrders) Claimable(ctx context.Context, a agent.ID, kind string, limit int) ([]workorder.Order, error) {
	return r.chosen(ctx, limit, func(x, y workorder.Order) int {
		return cmp.Or(x.AvailableAt.Compare(y.AvailableAt), cmp.Compare(x.ID, y.ID))
	}, func(s *state, o workorder.Order) bool {
		return o.Status == workorder.Pending && (kind == "" || o.Type == kind) && s.targeted(o, a)
	})
}

// ClaimedBy implements ports.WorkOrders.
func (r workOrders) ClaimedBy(ctx context.Context, a agent.ID) ([]workorder.Order, error) {
	return r.chosen(ctx, 0, func(x, y workorder.Order) int {
		return cmp.Or(x.Claim.At.Compare(y.Claim.At), cmp.Compare(x.ID, y.ID))
	}, func(_ *state, o workorder.Order) bool { return o.HeldBy(a) })
}

// Due implements ports.WorkOrders.
func (r workOrders) Due(ctx context.Context, now, unclaimed time.Time, limit int) ([]workorder.Order, error) {
	now, unclaimed = micro(now), micro(unclaimed)
	return r.chosen(ctx, limit, func(x, y workorder.Order) int { return cmp.Compare(x.ID, y.ID) }, func(_ *state, o workorder.Order) bool {
		switch o.Status {
		case workorder.Claimed:
			return !o.Claim.EndsAt.After(now)
		case workorder.RetryPending:
			return !o.NextRetryAfter.After(now)
		case workorder.Pending:
			return !o.AvailableAt.After(unclaimed)
		default:
			return false
		}
	})
}

// Insert implements ports.WorkOrders.
func (r workOrders) Insert(ctx context.Context, o workorder.Order) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.blobs.has(one(o.Checksum)) {
			return noBlob(o.Checksum)
		}
		for _, a := range o.Targeting.Agents {
			if _, ok := c.liveAgent(a); !ok {
				return noAgent(a)
			}
		}
		if c.workOrders.has(one(o.ID)) {
			return duplicate("work_orders_pkey", "work order", o.ID)
		}
		o = copyOrder(o)
		o.Targeting.Agents, o.Targeting.Labels = slices.Compact(o.Targeting.Agents), slices.Compact(o.Targeting.Labels)
		c.workOrders.put(one(o.ID), o)
		return nil
	})
}

// Update implements ports.WorkOrders.
func (r workOrders) Update(ctx context.Context, o workorder.Order) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.workOrders.get(one(o.ID))
		if !ok || stored.Version != o.Version {
			return stale("work order", o.ID)
		}
		o = copyOrder(o)
		stored.Status, stored.Claim, stored.Retries, stored.NextRetryAfter = o.Status, o.Claim, o.Retries, o.NextRetryAfter
		stored.LastError, stored.LastErrorAt, stored.AvailableAt, stored.UpdatedAt = o.LastError, o.LastErrorAt, o.AvailableAt, o.UpdatedAt
		stored.Version++
		c.workOrders.put(one(o.ID), stored)
		return nil
	})
}

// Finish implements ports.WorkOrders.
func (r workOrders) Finish(ctx context.Context, version int64, e workorder.Entry) error {
	return r.s.update(ctx, func(c *change) error {
		if stored, ok := c.workOrders.get(one(e.ID)); !ok || stored.Version != version {
			return stale("work order", e.ID)
		}
		c.workOrders.drop(one(e.ID))
		c.workOrderLog.put(one(e.ID), copyEntry(e))
		return nil
	})
}

// Delete implements ports.WorkOrders.
func (r workOrders) Delete(ctx context.Context, id workorder.ID) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.workOrders.drop(one(id)) {
			return noWorkOrder(id)
		}
		return nil
	})
}

type workOrderLog struct{ s session }

func noEntry(id any) error {
	return notFound("work_order_log_entry_not_found", "the log's entry of work order", id)
}

// Get implements ports.WorkOrderLog.
func (r workOrderLog) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Entry, error) {
	return read(ctx, r.s, func(s *state) (workorder.Entry, error) {
		e, ok := s.workOrderLog.get(one(id))
		if !ok || (!scope.All && (scope.Agent == "" || e.ClaimedBy != scope.Agent)) {
			return workorder.Entry{}, noEntry(id)
		}
		return copyEntry(e), nil
	})
}

// Page implements ports.WorkOrderLog.
func (r workOrderLog) Page(ctx context.Context, q page.Query) (page.Page[workorder.Entry], error) {
	return pageOf(ctx, r.s, workorder.LogList(), q, func(s *state, keep func(workorder.Entry)) {
		s.workOrderLog.each(func(_ one, e workorder.Entry) bool {
			keep(copyEntry(e))
			return true
		})
	})
}

// Trim implements ports.WorkOrderLog.
func (r workOrderLog) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	before = micro(before)
	return write(ctx, r.s, func(c *change) (int, error) {
		var old []workorder.ID
		c.workOrderLog.each(func(_ one, e workorder.Entry) bool {
			if e.CompletedAt.Before(before) {
				old = append(old, e.ID)
			}
			return len(old) < limit
		})
		for _, id := range old {
			c.workOrderLog.drop(one(id))
		}
		return len(old), nil
	})
}
