package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (w *world) webhookMethods() map[string]method {
	id, d := newID[webhook.ID](), newID[webhook.DeliveryID]()
	return map[string]method{
		"Webhooks.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Webhooks().Get(ctx, id))
		},
		"Webhooks.List": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Webhooks().List(ctx))
		},
		"Webhooks.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Webhooks().Insert(ctx, w.newWebhook("inserted"), someTarget())
		},
		"Webhooks.Update": func(ctx context.Context, r ports.Repositories) error {
			return r.Webhooks().Update(ctx, w.newWebhook("updated"), nil)
		},
		"Webhooks.Delete": func(ctx context.Context, r ports.Repositories) error { return r.Webhooks().Delete(ctx, id) },
		"Webhooks.Target": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Webhooks().Target(ctx, id))
		},
		"Deliveries.Enqueue": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Enqueue(ctx, []webhook.Delivery{{ID: d, Subscription: id, EventType: webhook.Test, EventID: "e", Payload: "{}"}}))
		},
		"Deliveries.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Get(ctx, d))
		},
		"Deliveries.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Page(ctx, webhook.DeliveryList().All(1)))
		},
		"Deliveries.Claim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Claim(ctx, time.Second, ports.Quota{Limit: 1, Each: 1}))
		},
		"Deliveries.ClaimFor": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().ClaimFor(ctx, newID[agent.ID](), time.Minute, 0, ports.Quota{Limit: 1, Each: 1}))
		},
		"Deliveries.Due": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Deliveries().Due(ctx)
			return err
		},
		"Deliveries.RingDue": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().RingDue(ctx, w.at))
		},
		"Deliveries.Settle": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Settle(ctx, "", []webhook.Settlement{{ID: d, Attempt: 1, Status: webhook.Success, At: w.at}}))
		},
		"Deliveries.Redeliver": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Deliveries().Redeliver(ctx, d))
		},
		"Deliveries.Sweep": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Deliveries().Sweep(ctx, w.at, 1)
			return err
		},
		"Cursors.Load": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Cursors().Load(ctx, "reader"))
		},
		"Cursors.Store": func(ctx context.Context, r ports.Repositories) error {
			return r.Cursors().Store(ctx, ports.Lease{Name: "reader", Holder: "nobody", Epoch: 1}, ports.Cursor{})
		},
	}
}
