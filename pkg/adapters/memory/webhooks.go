package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// hook is a subscription with its target.
type hook struct {
	webhook.Subscription
	target webhook.Target
}

type webhooks struct{ s session }

func noWebhook(id webhook.ID) error { return notFound("webhook_not_found", "webhook", id) }

func (r webhooks) Get(ctx context.Context, id webhook.ID) (webhook.Subscription, error) {
	return read(ctx, r.s, func(s *state) (webhook.Subscription, error) {
		h, ok := s.webhooks.get(one(id))
		if !ok {
			return webhook.Subscription{}, noWebhook(id)
		}
		return copySubscription(h.Subscription), nil
	})
}

func (r webhooks) List(ctx context.Context) ([]webhook.Subscription, error) {
	return read(ctx, r.s, func(s *state) ([]webhook.Subscription, error) {
		var out []webhook.Subscription
		s.webhooks.each(func(_ one, h hook) bool {
			out = append(out, copySubscription(h.Subscription))
			return true
		})
		slices.SortStableFunc(out, func(x, y webhook.Subscription) int { return cmp.Compare(x.Name, y.Name) })
		return out, nil
	})
}

func (r webhooks) Insert(ctx context.Context, s webhook.Subscription, t webhook.Target) error {
	return r.s.update(ctx, func(c *change) error {
		if c.webhooks.has(one(s.ID)) {
			return duplicate("webhook_subscriptions_pkey", "webhook", s.ID)
		}
		s = copySubscription(s)
		s.HasAuthHeader = t.AuthHeader != ""
		c.webhooks.put(one(s.ID), hook{s, t})
		return nil
	})
}

func (r webhooks) Update(ctx context.Context, s webhook.Subscription, t *webhook.Target) error {
	return r.s.update(ctx, func(c *change) error {
		old, ok := c.webhooks.get(one(s.ID))
		if !ok {
			return noWebhook(s.ID)
		}
		s = copySubscription(s)
		s.CreatedAt, s.CreatedBy, s.HasAuthHeader = old.CreatedAt, old.CreatedBy, old.HasAuthHeader
		h := hook{s, old.target}
		if t != nil {
			h.target, h.HasAuthHeader = *t, t.AuthHeader != ""
		}
		c.webhooks.put(one(s.ID), h)
		c.announce(ports.Wakeup{Channel: ports.WebhooksDue})
		return nil
	})
}

func (r webhooks) Delete(ctx context.Context, id webhook.ID) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.webhooks.drop(one(id)) {
			return noWebhook(id)
		}
		for _, e := range keysOf(c.deliveryPairs, string(id)) {
			d, _ := c.deliveryPairs.get(two{string(id), e})
			c.dropDelivery(d)
		}
		return nil
	})
}

func (r webhooks) Target(ctx context.Context, id webhook.ID) (webhook.Target, error) {
	return read(ctx, r.s, func(s *state) (webhook.Target, error) {
		h, ok := s.webhooks.get(one(id))
		if !ok {
			return webhook.Target{}, noWebhook(id)
		}
		return h.target, nil
	})
}

type cursors struct{ s session }

func copyCursor(c ports.Cursor) ports.Cursor {
	c.Gaps = maps.Clone(c.Gaps)
	for seq, at := range c.Gaps {
		c.Gaps[seq] = micro(at)
	}
	return c
}

func (r cursors) Load(ctx context.Context, name string) (ports.Cursor, error) {
	return read(ctx, r.s, func(s *state) (ports.Cursor, error) {
		c, _ := s.cursors.get(one(name))
		return copyCursor(c), nil
	})
}

func (r cursors) Store(ctx context.Context, l ports.Lease, cur ports.Cursor) error {
	return r.s.update(ctx, func(c *change) error {
		if err := c.holds(l); err != nil {
			return err
		}
		c.cursors.put(one(l.Name), copyCursor(cur))
		return nil
	})
}

// holds refuses a lease that is not held any more.
func (c *change) holds(l ports.Lease) error {
	now, ok := c.leases.get(one(l.Name))
	if !ok || now.Holder != l.Holder || now.Epoch != l.Epoch || !now.Until.After(c.now()) {
		return fault.Newf(fault.Conflict, "lease_lost", "lease %s is not held by %s in epoch %d", l.Name, l.Holder, l.Epoch)
	}
	return nil
}
