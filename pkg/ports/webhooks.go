package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

// WebhooksDue is the channel of Wakeups that tells that deliveries may be due earlier than was known; payload empty.
const WebhooksDue = "brokkr_webhooks"

// Webhooks are the subscriptions. Their targets are secret: a store keeps them so that who reads its files does not read
// them, and gives them out by Targets and with a claimed delivery alone.
type Webhooks interface {
	Get(ctx context.Context, id webhook.ID) (webhook.Subscription, error)
	// List returns all subscriptions by name, then id.
	List(ctx context.Context) ([]webhook.Subscription, error)
	// Insert stores a subscription with its target, from which HasAuthHeader follows.
	Insert(ctx context.Context, s webhook.Subscription, t webhook.Target) error
	// Update stores everything of s but id, created at and created by; a nil target stays as it is.
	Update(ctx context.Context, s webhook.Subscription, t *webhook.Target) error
	// Delete removes a subscription with its deliveries.
	Delete(ctx context.Context, id webhook.ID) error
	// Target returns where the subscription's deliveries go.
	Target(ctx context.Context, id webhook.ID) (webhook.Target, error)
}

// Quota bounds what one claim takes.
type Quota struct {
	Limit int                // in all
	Each  int                // of one subscription
	Busy  map[webhook.ID]int // how much of Each is used up already
}

// Deliveries are the queues of the subscriptions. The store's clock says what is due.
type Deliveries interface {
	// Enqueue stores pending deliveries, with their subscription's labels as they are now. What is there already for
	// (subscription, event) stays as it is; of subscriptions that are gone nothing is stored. It returns
	// how many are new, and rings (Works) if some are for agents.
	Enqueue(ctx context.Context, deliveries []webhook.Delivery) (int, error)
	Get(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error)
	// Page returns a page of deliveries, as webhook.DeliveryList says.
	Page(ctx context.Context, q page.Query) (page.Page[webhook.Delivery], error)
	// Claim takes due deliveries of enabled subscriptions without labels, those of one subscription by when they became due.
	// Each is the caller's until its subscription's timeout and grace are over, and counts as one more attempt. Callers never
	// wait for each other, nor get the same delivery. One whose last attempt never ended is not claimed again. One whose target
	// cannot be opened is settled as an attempt that failed, with the reason, and not returned: it holds up no other.
	Claim(ctx context.Context, grace time.Duration, q Quota) ([]webhook.Call, error)
	// ClaimFor is Claim for an agent, of deliveries whose labels it all has. They are its own until ttl is over, or timeout and
	// grace if that is later. What the agent has already counts against Each; Busy is not looked at.
	ClaimFor(ctx context.Context, a agent.ID, ttl, grace time.Duration, q Quota) ([]webhook.Call, error)
	// Due returns when the first delivery is due that Claim could take, false if there is none. It writes nothing and is cheap.
	Due(ctx context.Context) (time.Time, bool, error)
	// RingDue announces on WorkGrew if deliveries for agents have become due by themselves (at a retry, or as a claim ended) after the
	// time, and returns the moment up to which it has looked. When there is nothing to announce it writes nothing and is cheap.
	RingDue(ctx context.Context, after time.Time) (time.Time, error)
	// Settle stores how attempts ended, of deliveries that holder (empty: the control plane) still has in that attempt; others
	// stay as they are. It returns how many it changed.
	Settle(ctx context.Context, holder agent.ID, settlements []webhook.Settlement) (int, error)
	// Redeliver makes a delivery pending again, as if it had never been tried; Refused (code delivery_in_progress) while it is tried.
	Redeliver(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error)
	// Sweep makes those dead whose last attempt never ended, and deletes those that were made before, at most limit of either
	// kind; it returns how many of each.
	Sweep(ctx context.Context, before time.Time, limit int) (int, int, error)
}

// Cursors keep how far readers of the outbox are, so that no event is passed over while none of them runs.
type Cursors interface {
	// Load returns the cursor of that name; the zero one, before everything, if there is none.
	Load(ctx context.Context, name string) (Cursor, error)
	// Store keeps the cursor under the lease's name while the lease is held in its epoch and not over; else it is a
	// Conflict and nothing is written.
	Store(ctx context.Context, l Lease, c Cursor) error
}

// WebhookSender makes the calls. It may be used concurrently.
type WebhookSender interface {
	// Send makes one attempt within the request's timeout. It follows no redirects and refuses addresses that must not be called.
	Send(ctx context.Context, r webhook.Request) webhook.Outcome
}
