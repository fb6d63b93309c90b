package porttest

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyInsights struct {
	in ports.Insights
	f  *faults
}

func (x faultyInsights) Healths(ctx context.Context, s stack.ID) (v []delivery.HealthRecord, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Healths(ctx, s)
}

func (x faultyInsights) Fleet(ctx context.Context, scope tenancy.Scope, ids []agent.ID) (v []fleet.Record, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Fleet(ctx, scope, ids)
}

func (x faultyInsights) Event(ctx context.Context, id agent.EventID) (v agent.Event, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Event(ctx, id)
}

func (x faultyInsights) Feed(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[agent.Event], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Feed(ctx, scope, q)
}
