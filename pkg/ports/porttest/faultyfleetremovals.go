package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (r faultyRepositories) Removals() ports.Removals { return faultyRemovals{r.in.Removals(), r.f} }

type faultyRemovals struct {
	in ports.Removals
	f  *faults
}

func (x faultyRemovals) Since(ctx context.Context, after time.Time) (v []placement.Removal, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Since(ctx, after)
}

func (x faultyRemovals) Assigned(ctx context.Context) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Assigned(ctx)
}

func (x faultyRemovals) Add(ctx context.Context, after time.Time, most int, list ...placement.Removal) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Add(ctx, after, most, list...)
}

func (x faultyRemovals) Trim(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Trim(ctx, before, limit)
}
