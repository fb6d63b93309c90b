package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyObservations struct {
	in ports.Observations
	f  *faults
}

func (x faultyObservations) Add(ctx context.Context, at time.Time, parcels []observation.Parcel) (v []observation.Receipt, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Add(ctx, at, parcels)
}

func (x faultyObservations) Events(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (v observation.Events, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Events(ctx, scope, s, w)
}

func (x faultyObservations) Logs(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (v observation.Logs, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Logs(ctx, scope, s, w)
}

func (x faultyObservations) Keep(ctx context.Context, before, until time.Time) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Keep(ctx, before, until)
}
