package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (r faultyRepositories) AuditLog() ports.AuditLog {
	return faultyAuditLog{r.in.AuditLog(), r.f}
}

func (r faultyRepositories) AuditKeeper() ports.AuditKeeper {
	return faultyAuditKeeper{r.in.AuditKeeper(), r.f}
}

type faultyAuditLog struct {
	in ports.AuditLog
	f  *faults
}

func (x faultyAuditLog) Append(ctx context.Context, entries ...audit.Entry) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Append(ctx, entries...)
}

func (x faultyAuditLog) Get(ctx context.Context, id audit.ID) (v audit.Entry, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, id)
}

func (x faultyAuditLog) List(ctx context.Context, f audit.Filter, p audit.Page) (v []audit.Entry, n int, err error) {
	if err = x.f.next(); err != nil {
		return v, n, err
	}
	return x.in.List(ctx, f, p)
}

func (x faultyAuditLog) Chains(ctx context.Context) (v []audit.Chain, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Chains(ctx)
}

func (x faultyAuditLog) Sealed(ctx context.Context, p audit.Period, seq int64, limit int) (v []audit.Entry, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Sealed(ctx, p, seq, limit)
}

func (x faultyAuditLog) Waiting(ctx context.Context) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Waiting(ctx)
}

type faultyAuditKeeper struct {
	in ports.AuditKeeper
	f  *faults
}

func (x faultyAuditKeeper) Seal(ctx context.Context, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Seal(ctx, limit)
}

func (x faultyAuditKeeper) Prepare(ctx context.Context, p audit.Period) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Prepare(ctx, p)
}

func (x faultyAuditKeeper) Drop(ctx context.Context, p audit.Period, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Drop(ctx, p, at)
}
