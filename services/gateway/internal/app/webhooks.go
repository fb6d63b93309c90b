package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	webhookClaim = 60 * time.Second // how long an agent has for what it has claimed, at least
	webhookGrace = 30 * time.Second // beyond a timeout that is longer
	webhooksMost = 10               // that one answer has
	webhooksEach = 3                // of one subscription that an agent has at a time, so that a receiver that hangs takes nothing from the others
)

// PendingWebhooks claims deliveries for the agent: those of subscriptions whose labels it all has.
func (g *Gateway) PendingWebhooks(ctx context.Context, p tenancy.Principal, agentID string) ([]webhook.Call, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return nil, err
	}
	most := ports.Quota{Limit: webhooksMost, Each: webhooksEach}
	if p.IsAgent(a) {
		calls, err := g.Store.Deliveries().ClaimFor(ctx, a, webhookClaim, webhookGrace, most)
		if err != nil {
			return nil, fmt.Errorf("claim webhooks: %w", err)
		}
		return calls, nil
	}
	var calls []webhook.Call
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		calls, err = tx.Deliveries().ClaimFor(ctx, a, webhookClaim, webhookGrace, most)
		if err != nil || len(calls) == 0 {
			return err
		}
		ids := make([]webhook.DeliveryID, len(calls))
		for i, c := range calls {
			ids[i] = c.ID
		}
		return did(ctx, tx, p, audit.Did(audit.DeliveriesClaimed, string(a), nil, ids).With("deliveries", strconv.Itoa(len(ids))))
	})
	if err != nil {
		return nil, fmt.Errorf("claim webhooks for agent %s: %w", a, err)
	}
	return calls, nil
}

// WebhookResult stores how an attempt of the calling agent ended. Of a delivery that another has, or that nobody has claimed, it is
// Forbidden (code delivery_not_acquired_by_agent). The same result once more changes nothing.
func (g *Gateway) WebhookResult(ctx context.Context, p tenancy.Principal, deliveryID string, o webhook.Outcome) error {
	d, err := id.Parse[webhook.DeliveryID]("delivery id", deliveryID)
	if err != nil {
		return err
	}
	known, err := g.Store.Deliveries().Get(ctx, d)
	if err != nil {
		return err
	}
	if known.AcquiredBy == nil || !p.IsAgent(*known.AcquiredBy) {
		return fault.New(fault.Forbidden, "delivery_not_acquired_by_agent", "this agent has not claimed the delivery; claim it by /agents/{agent_id}/webhooks/pending")
	}
	if known.Status != webhook.Acquired {
		return nil
	}
	s, err := g.Store.Webhooks().Get(ctx, known.Subscription)
	if err != nil {
		return err
	}
	x := webhook.Settle(d, known.Attempts, s.MaxRetries, o, g.Now().UTC(), rand.Float64()) //nolint:gosec // jitter
	if _, err := g.Store.Deliveries().Settle(ctx, p.Agent, []webhook.Settlement{x}); err != nil {
		return fmt.Errorf("store the result of delivery %s: %w", d, err)
	}
	g.Metrics.Reports.WithLabelValues("webhook_" + string(x.Status)).Inc()
	return nil
}
