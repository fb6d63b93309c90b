package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (r faultyRepositories) Idempotency() ports.Idempotency {
	return faultyIdempotency{r.in.Idempotency(), r.f}
}

type faultyIdempotency struct {
	in ports.Idempotency
	f  *faults
}

func (x faultyIdempotency) Get(ctx context.Context, k idempotency.Key, now time.Time) (v idempotency.Record, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, k, now)
}

func (x faultyIdempotency) Claim(ctx context.Context, k idempotency.Key, now time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Claim(ctx, k, now)
}

func (x faultyIdempotency) Mark(ctx context.Context, r idempotency.Record) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Mark(ctx, r)
}

func (x faultyIdempotency) Answer(ctx context.Context, k idempotency.Key, a idempotency.Answer) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Answer(ctx, k, a)
}

func (x faultyIdempotency) Trim(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Trim(ctx, before, limit)
}
