package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyDecisions struct {
	in ports.Decisions
	f  *faults
}

func (x faultyDecisions) Commit(ctx context.Context, commits ...ports.Commit) (v map[agent.ID]delivery.Revision, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Commit(ctx, commits...)
}

func (x faultyDecisions) Latest(ctx context.Context, s stack.ID) (v placement.Record, w *placement.Hold, err error) {
	if err = x.f.next(); err != nil {
		return v, w, err
	}
	return x.in.Latest(ctx, s)
}

func (x faultyDecisions) Approve(ctx context.Context, s stack.ID, fingerprint string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Approve(ctx, s, fingerprint)
}

type faultyOutbox struct {
	in ports.Outbox
	f  *faults
}

func (x faultyOutbox) Append(ctx context.Context, events ...event.Event) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Append(ctx, events...)
}

func (x faultyOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gapFor time.Duration, limit int) (v []event.Event, w ports.Cursor, err error) {
	if err = x.f.next(); err != nil {
		return v, w, err
	}
	return x.in.Read(ctx, c, now, gapFor, limit)
}

func (x faultyOutbox) End(ctx context.Context) (v ports.Cursor, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.End(ctx)
}

func (x faultyOutbox) Trim(ctx context.Context, before time.Time, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Trim(ctx, before, limit)
}

type faultyLeases struct {
	in ports.Leases
	f  *faults
}

func (x faultyLeases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (v ports.Lease, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Acquire(ctx, name, holder, ttl)
}

func (x faultyLeases) Release(ctx context.Context, name, holder string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Release(ctx, name, holder)
}

func (x faultyLeases) Check(ctx context.Context, l ports.Lease) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Check(ctx, l)
}

func (x faultyLeases) List(ctx context.Context, prefix string) (v []ports.Lease, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.List(ctx, prefix)
}
