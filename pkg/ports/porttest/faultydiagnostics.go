package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyDiagnostics struct {
	in ports.Diagnostics
	f  *faults
}

func (x faultyDiagnostics) Insert(ctx context.Context, r diagnostic.Request) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, r)
}

func (x faultyDiagnostics) Get(ctx context.Context, scope tenancy.Scope, id diagnostic.ID) (v diagnostic.Request, r *diagnostic.Result, err error) {
	if err = x.f.next(); err != nil {
		return v, r, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyDiagnostics) Open(ctx context.Context, a agent.ID, now time.Time, limit int) (v []diagnostic.Request, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Open(ctx, a, now, limit)
}

func (x faultyDiagnostics) Move(ctx context.Context, was, next diagnostic.Request, answer *diagnostic.Result) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Move(ctx, was, next, answer)
}

func (x faultyDiagnostics) Trim(ctx context.Context, now time.Time, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Trim(ctx, now, limit)
}
