package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyWebhooks struct {
	in ports.Webhooks
	f  *faults
}

func (x faultyWebhooks) Get(ctx context.Context, id webhook.ID) (v webhook.Subscription, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, id)
}

func (x faultyWebhooks) List(ctx context.Context) (v []webhook.Subscription, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.List(ctx)
}

func (x faultyWebhooks) Insert(ctx context.Context, s webhook.Subscription, t webhook.Target) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, s, t)
}

func (x faultyWebhooks) Update(ctx context.Context, s webhook.Subscription, t *webhook.Target) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Update(ctx, s, t)
}

func (x faultyWebhooks) Delete(ctx context.Context, id webhook.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id)
}

func (x faultyWebhooks) Target(ctx context.Context, id webhook.ID) (v webhook.Target, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Target(ctx, id)
}

type faultyDeliveries struct {
	in ports.Deliveries
	f  *faults
}

func (x faultyDeliveries) Enqueue(ctx context.Context, list []webhook.Delivery) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Enqueue(ctx, list)
}

func (x faultyDeliveries) Get(ctx context.Context, id webhook.DeliveryID) (v webhook.Delivery, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, id)
}

func (x faultyDeliveries) Page(ctx context.Context, q page.Query) (v page.Page[webhook.Delivery], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, q)
}

func (x faultyDeliveries) Claim(ctx context.Context, grace time.Duration, q ports.Quota) (v []webhook.Call, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Claim(ctx, grace, q)
}

func (x faultyDeliveries) ClaimFor(ctx context.Context, a agent.ID, ttl, grace time.Duration, q ports.Quota) (v []webhook.Call, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ClaimFor(ctx, a, ttl, grace, q)
}

func (x faultyDeliveries) Due(ctx context.Context) (v time.Time, ok bool, err error) {
	if err = x.f.next(); err != nil {
		return v, ok, err
	}
	return x.in.Due(ctx)
}

func (x faultyDeliveries) RingDue(ctx context.Context, after time.Time) (v time.Time, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.RingDue(ctx, after)
}

func (x faultyDeliveries) Settle(ctx context.Context, holder agent.ID, settlements []webhook.Settlement) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Settle(ctx, holder, settlements)
}

func (x faultyDeliveries) Redeliver(ctx context.Context, id webhook.DeliveryID) (v webhook.Delivery, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Redeliver(ctx, id)
}

func (x faultyDeliveries) Sweep(ctx context.Context, before time.Time, limit int) (v, w int, err error) {
	if err = x.f.next(); err != nil {
		return v, w, err
	}
	return x.in.Sweep(ctx, before, limit)
}

type faultyCursors struct {
	in ports.Cursors
	f  *faults
}

func (x faultyCursors) Load(ctx context.Context, name string) (v ports.Cursor, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Load(ctx, name)
}

func (x faultyCursors) Store(ctx context.Context, l ports.Lease, c ports.Cursor) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Store(ctx, l, c)
}
