package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyWorkOrders struct {
	in ports.WorkOrders
	f  *faults
}

func (x faultyWorkOrders) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (v workorder.Order, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyWorkOrders) Page(ctx context.Context, q page.Query) (v page.Page[workorder.Order], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, q)
}

func (x faultyWorkOrders) Claimable(ctx context.Context, a agent.ID, kind string, limit int) (v []workorder.Order, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Claimable(ctx, a, kind, limit)
}

func (x faultyWorkOrders) ClaimedBy(ctx context.Context, a agent.ID) (v []workorder.Order, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ClaimedBy(ctx, a)
}

func (x faultyWorkOrders) Due(ctx context.Context, now, unclaimed time.Time, limit int) (v []workorder.Order, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Due(ctx, now, unclaimed, limit)
}

func (x faultyWorkOrders) Insert(ctx context.Context, o workorder.Order) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, o)
}

func (x faultyWorkOrders) Update(ctx context.Context, o workorder.Order) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Update(ctx, o)
}

func (x faultyWorkOrders) Finish(ctx context.Context, version int64, e workorder.Entry) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Finish(ctx, version, e)
}

func (x faultyWorkOrders) Delete(ctx context.Context, id workorder.ID) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id)
}

type faultyWorkOrderLog struct {
	in ports.WorkOrderLog
	f  *faults
}

func (x faultyWorkOrderLog) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (v workorder.Entry, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyWorkOrderLog) Page(ctx context.Context, q page.Query) (v page.Page[workorder.Entry], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, q)
}

func (x faultyWorkOrderLog) Trim(ctx context.Context, before time.Time, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Trim(ctx, before, limit)
}
