package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// queued is a delivery with the moment from which on it may be claimed.
type queued struct {
	webhook.Delivery
	due time.Time
}

type deliveries struct{ s session }

func noDelivery(id webhook.DeliveryID) error { return notFound("delivery_not_found", "delivery", id) }

func (s *state) dropDelivery(id webhook.DeliveryID) {
	d, ok := s.deliveries.get(one(id))
	if !ok {
		return
	}
	s.deliveries.drop(one(id))
	s.deliveryPairs.drop(two{string(d.Subscription), d.EventID})
	s.deliveryOrder.drop(numbered{n: d.Ordinal})
}

func (r deliveries) Enqueue(ctx context.Context, list []webhook.Delivery) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		stored, forAgents := 0, false
		for _, d := range list {
			h, ok := c.webhooks.get(one(d.Subscription))
			pair := two{string(d.Subscription), d.EventID}
			if !ok || c.deliveryPairs.has(pair) {
				continue
			}
			now := c.now()
			d = copyDelivery(webhook.Delivery{
				ID: d.ID, Subscription: d.Subscription, EventType: d.EventType, EventID: d.EventID, Payload: d.Payload,
				TargetLabels: h.TargetLabels, Status: webhook.Pending, CreatedAt: now, Ordinal: c.sequences.delivery.Add(1),
			})
			c.deliveries.put(one(d.ID), queued{d, now})
			c.deliveryPairs.put(pair, d.ID)
			c.deliveryOrder.put(numbered{n: d.Ordinal}, d.ID)
			stored, forAgents = stored+1, forAgents || h.TargetLabels != nil
		}
		if stored > 0 {
			c.announce(ports.Wakeup{Channel: ports.WebhooksDue})
		}
		if forAgents {
			c.announce(ports.Wakeup{Channel: ports.WorkGrew})
		}
		return stored, nil
	})
}

func (r deliveries) Get(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	return read(ctx, r.s, func(s *state) (webhook.Delivery, error) {
		d, ok := s.deliveries.get(one(id))
		if !ok {
			return webhook.Delivery{}, noDelivery(id)
		}
		return copyDelivery(d.Delivery), nil
	})
}

func (r deliveries) Page(ctx context.Context, q page.Query) (page.Page[webhook.Delivery], error) {
	return pageOf(ctx, r.s, webhook.DeliveryList(), q, func(s *state, keep func(webhook.Delivery)) {
		s.deliveries.each(func(_ one, d queued) bool {
			keep(copyDelivery(d.Delivery))
			return true
		})
	})
}

// due returns what may be claimed now, by when it became due.
func (s *state) due(wanted func(hook, queued) bool) []queued {
	now := s.now()
	var out []queued
	s.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
		d, _ := s.deliveries.get(one(id))
		if h, ok := s.webhooks.get(one(d.Subscription)); ok && h.Enabled && !d.Status.Final() && !d.due.After(now) && !lost(h, d) && wanted(h, d) {
			out = append(out, d)
		}
		return true
	})
	slices.SortStableFunc(out, func(x, y queued) int { return x.due.Compare(y.due) })
	return out
}

// lost reports whether the delivery's last attempt is begun; if that is over too, it never ended.
func lost(h hook, d queued) bool { return d.Status == webhook.Acquired && d.Attempts > h.MaxRetries }

func (c *change) claim(d queued, by *agent.ID, until time.Time) webhook.Call {
	h, _ := c.webhooks.get(one(d.Subscription))
	now := c.now()
	d.Status, d.AcquiredBy, d.AcquiredUntil, d.due = webhook.Acquired, ptr(by), microPtr(&until), micro(until)
	d.Attempts, d.LastAttemptAt, d.NextRetryAt = d.Attempts+1, &now, nil
	c.deliveries.put(one(d.ID), d)
	return webhook.Call{Delivery: copyDelivery(d.Delivery), Target: h.target, Timeout: h.Timeout, MaxRetries: h.MaxRetries}
}

func (r deliveries) Claim(ctx context.Context, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	return write(ctx, r.s, func(c *change) ([]webhook.Call, error) {
		var out []webhook.Call
		taken := map[webhook.ID]int{}
		for _, d := range c.due(func(_ hook, d queued) bool { return d.TargetLabels == nil }) {
			if len(out) >= q.Limit {
				break
			}
			if q.Busy[d.Subscription]+taken[d.Subscription] >= q.Each {
				continue
			}
			taken[d.Subscription]++
			h, _ := c.webhooks.get(one(d.Subscription))
			out = append(out, c.claim(d, nil, c.now().Add(h.Timeout+grace)))
		}
		return out, nil
	})
}

func (r deliveries) ClaimFor(ctx context.Context, a agent.ID, ttl, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	return write(ctx, r.s, func(c *change) ([]webhook.Call, error) {
		if _, ok := c.liveAgent(a); !ok {
			return nil, noAgent(a)
		}
		var out []webhook.Call
		taken := map[webhook.ID]int{}
		c.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
			if d, _ := c.deliveries.get(one(id)); d.Status == webhook.Acquired && d.AcquiredBy != nil && *d.AcquiredBy == a && d.due.After(c.now()) {
				taken[d.Subscription]++
			}
			return true
		})
		for _, d := range c.due(func(_ hook, d queued) bool { return d.TargetLabels != nil && c.hasAll(a, d.TargetLabels) }) {
			if len(out) >= q.Limit {
				break
			}
			if taken[d.Subscription] >= q.Each {
				continue
			}
			taken[d.Subscription]++
			h, _ := c.webhooks.get(one(d.Subscription))
			out = append(out, c.claim(d, &a, c.now().Add(max(ttl, h.Timeout+grace))))
		}
		return out, nil
	})
}

func (r deliveries) Due(ctx context.Context) (time.Time, bool, error) {
	var at time.Time
	ok, err := read(ctx, r.s, func(s *state) (bool, error) {
		found := false
		s.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
			d, _ := s.deliveries.get(one(id))
			h, ok := s.webhooks.get(one(d.Subscription))
			if ok && h.Enabled && !d.Status.Final() && d.TargetLabels == nil && !lost(h, d) && (!found || d.due.Before(at)) {
				at, found = d.due, true
			}
			return true
		})
		return found, nil
	})
	return at, ok, err
}

func (r deliveries) RingDue(ctx context.Context, after time.Time) (time.Time, error) {
	return write(ctx, r.s, func(c *change) (time.Time, error) {
		now, ring := c.now(), false
		c.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
			d, _ := c.deliveries.get(one(id))
			ring = ring || (!d.Status.Final() && d.TargetLabels != nil && d.due.After(after) && !d.due.After(now))
			return true
		})
		if ring {
			c.announce(ports.Wakeup{Channel: ports.WorkGrew})
		}
		return now, nil
	})
}

func (s *state) hasAll(a agent.ID, labels []string) bool {
	for _, l := range labels {
		if !s.agentLabels.has(two{string(a), l}) {
			return false
		}
	}
	return true
}

func (r deliveries) Settle(ctx context.Context, holder agent.ID, settlements []webhook.Settlement) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		n := 0
		for _, x := range settlements {
			d, ok := c.deliveries.get(one(x.ID))
			var by agent.ID
			if d.AcquiredBy != nil {
				by = *d.AcquiredBy
			}
			if !ok || d.Status != webhook.Acquired || d.Attempts != x.Attempt || by != holder {
				continue
			}
			c.settle(d, x)
			n++
		}
		return n, nil
	})
}

func (c *change) settle(d queued, x webhook.Settlement) {
	d.Status, d.LastError, d.NextRetryAt, d.AcquiredUntil = x.Status, ptr(x.Error), microPtr(x.RetryAt), nil
	if x.Status.Final() {
		d.CompletedAt = microPtr(&x.At)
	}
	if d.NextRetryAt != nil {
		d.due = *d.NextRetryAt
	}
	c.deliveries.put(one(d.ID), d)
}

func (r deliveries) Redeliver(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	return write(ctx, r.s, func(c *change) (webhook.Delivery, error) {
		d, ok := c.deliveries.get(one(id))
		if !ok {
			return webhook.Delivery{}, noDelivery(id)
		}
		if d.Status == webhook.Acquired && d.due.After(c.now()) {
			return webhook.Delivery{}, fault.Newf(fault.Refused, "delivery_in_progress", "delivery %s is being tried right now", id)
		}
		h, _ := c.webhooks.get(one(d.Subscription))
		d.TargetLabels = slices.Clone(h.TargetLabels)
		d.Status, d.Attempts, d.due = webhook.Pending, 0, c.now()
		d.AcquiredBy, d.AcquiredUntil, d.NextRetryAt, d.CompletedAt = nil, nil, nil, nil
		c.deliveries.put(one(id), d)
		c.announce(ports.Wakeup{Channel: ports.WebhooksDue})
		if d.TargetLabels != nil {
			c.announce(ports.Wakeup{Channel: ports.WorkGrew})
		}
		return copyDelivery(d.Delivery), nil
	})
}

// pendingWebhooks counts the deliveries that the agent may claim.
func (s *state) pendingWebhooks(a agent.ID, now time.Time, p *ports.Pending) {
	s.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
		d, _ := s.deliveries.get(one(id))
		if h, ok := s.webhooks.get(one(d.Subscription)); ok && h.Enabled && d.TargetLabels != nil && !d.Status.Final() && !d.due.After(now) &&
			!lost(h, d) && s.hasAll(a, d.TargetLabels) {
			p.Webhooks++
			newest(p, d.due)
		}
		return true
	})
}

const lostText = "the last attempt never ended: whoever made it stopped, or did not report in time"

func (r deliveries) Sweep(ctx context.Context, before time.Time, limit int) (int, int, error) {
	var buried, trimmed int
	err := r.s.update(ctx, func(c *change) error {
		now, text := c.now(), lostText
		var dead, old []queued
		c.deliveryOrder.each(func(_ numbered, id webhook.DeliveryID) bool {
			d, _ := c.deliveries.get(one(id))
			h, _ := c.webhooks.get(one(d.Subscription))
			if d.CreatedAt.Before(before) && len(old) < limit {
				old = append(old, d)
			} else if lost(h, d) && !d.due.After(now) && len(dead) < limit {
				dead = append(dead, d)
			}
			return true
		})
		for _, d := range old {
			c.dropDelivery(d.ID)
		}
		for _, d := range dead {
			c.settle(d, webhook.Settlement{Status: webhook.Dead, At: now, Error: &text})
		}
		buried, trimmed = len(dead), len(old)
		return nil
	})
	return buried, trimmed, err
}
