package client

import (
	"context"
	"net/http"
	"time"
)

// WebhookFilters narrow the events of a subscription; what is nil narrows nothing.
type WebhookFilters struct {
	AgentID *string `json:"agent_id,omitempty"`
	StackID *string `json:"stack_id,omitempty"`
}

// Webhook is a subscription to events. Where they go is a secret that the broker does not tell.
type Webhook struct {
	ID             string          `json:"id"`
	Name           string          `json:"name"`
	HasURL         bool            `json:"has_url"`
	HasAuthHeader  bool            `json:"has_auth_header"`
	EventTypes     []string        `json:"event_types"`
	Filters        *WebhookFilters `json:"filters"`
	TargetLabels   []string        `json:"target_labels"` // nil: the control plane delivers
	Enabled        bool            `json:"enabled"`
	MaxRetries     int             `json:"max_retries"`
	TimeoutSeconds int64           `json:"timeout_seconds"`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	CreatedBy      *string         `json:"created_by"`
	SigningSecret  string          `json:"signing_secret,omitempty"` // only in the answer to the request that had it made
}

// WebhookChange makes or changes a subscription. What is nil stays as it is, or is the broker's default for a new one, which
// needs Name, URL and EventTypes.
type WebhookChange struct {
	Name                *string         `json:"name,omitempty"`
	URL                 *string         `json:"url,omitempty"`
	AuthHeader          *string         `json:"auth_header,omitempty"` // value of Authorization; empty: none
	SigningSecret       *string         `json:"signing_secret,omitempty"`
	RotateSigningSecret bool            `json:"rotate_signing_secret,omitempty"` // only of one that is there
	EventTypes          []string        `json:"event_types,omitempty"`
	Filters             *WebhookFilters `json:"filters,omitempty"`       // replaces all filters; an empty one clears them
	TargetLabels        *[]string       `json:"target_labels,omitempty"` // empty: the control plane delivers
	Enabled             *bool           `json:"enabled,omitempty"`
	MaxRetries          *int            `json:"max_retries,omitempty"`
	TimeoutSeconds      *int64          `json:"timeout_seconds,omitempty"`
}

// WebhookTest is a test event that the receiver took.
type WebhookTest struct {
	Success    bool   `json:"success"`
	StatusCode *int   `json:"status_code"` // nil: an agent asked the receiver
	Message    string `json:"message"`
}

// WebhookDelivery is one event on its way to one subscription.
type WebhookDelivery struct {
	ID             string     `json:"id"`
	SubscriptionID string     `json:"subscription_id"`
	EventType      string     `json:"event_type"`
	EventID        string     `json:"event_id"`
	Payload        string     `json:"payload"` // JSON, the body of the request
	TargetLabels   []string   `json:"target_labels"`
	Status         string     `json:"status"`
	AcquiredBy     *string    `json:"acquired_by"`
	AcquiredUntil  *time.Time `json:"acquired_until"`
	Attempts       int        `json:"attempts"`
	LastAttemptAt  *time.Time `json:"last_attempt_at"`
	NextRetryAt    *time.Time `json:"next_retry_at"`
	LastError      *string    `json:"last_error"`
	CreatedAt      time.Time  `json:"created_at"`
	CompletedAt    *time.Time `json:"completed_at"`
}

// Webhooks lists the subscriptions.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	return list[Webhook](ctx, c, "/webhooks", nil)
}

// Webhook returns one subscription.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	return get[Webhook](ctx, c, "/webhooks/"+seg(id))
}

// CreateWebhook makes a subscription. The answer holds the signing secret, once, unless w has given one. It is not repeated:
// two requests are two subscriptions.
func (c *Client) CreateWebhook(ctx context.Context, w WebhookChange) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/webhooks", body: w}, &out)
	return out, err
}

// UpdateWebhook changes a subscription. The answer holds the signing secret if w asks for a new one; after a lost answer the
// request is sent again, and the last secret is the one that holds.
func (c *Client) UpdateWebhook(ctx context.Context, id string, w WebhookChange) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/webhooks/" + seg(id), body: w}, &out)
	return out, err
}

// DeleteWebhook deletes a subscription with its deliveries.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.remove(ctx, "/webhooks/"+seg(id))
}

// TestWebhook sends a test event and waits for what becomes of it; a receiver that does not take it is an APIError with the
// code webhook_test_failed.
func (c *Client) TestWebhook(ctx context.Context, id string) (WebhookTest, error) {
	var out WebhookTest
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/webhooks/" + seg(id) + "/test"}, &out)
	return out, err
}

// WebhookEventTypes lists the types of events that can be subscribed to.
func (c *Client) WebhookEventTypes(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, "/webhooks/event-types", nil)
}

// WebhookDelivery returns one delivery.
func (c *Client) WebhookDelivery(ctx context.Context, id string) (WebhookDelivery, error) {
	return get[WebhookDelivery](ctx, c, "/webhook-deliveries/"+seg(id))
}

// RedeliverWebhook makes a delivery pending again, as if it had never been tried. It is not repeated: the first request's
// delivery may have been made already.
func (c *Client) RedeliverWebhook(ctx context.Context, id string) (WebhookDelivery, error) {
	var out WebhookDelivery
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/webhook-deliveries/" + seg(id) + "/redeliver"}, &out)
	return out, err
}
