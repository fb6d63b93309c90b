package client

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// WorkOrder is something that is done once, in one cluster, as long as it is not finished.
type WorkOrder = wire.WorkOrder

// WorkOrderLog is what became of a work order; it has the order's id.
type WorkOrderLog = wire.WorkOrderLog

// WorkOrderTargeting names agents: every one that is named or carries one of these may take the order.
type WorkOrderTargeting struct {
	AgentIDs    []string          `json:"agent_ids,omitempty"`
	Labels      []string          `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// NewWorkOrder orders work. What is nil is the broker's default.
type NewWorkOrder struct {
	WorkType            string              `json:"work_type"` // custom or build
	YAMLContent         string              `json:"yaml_content"`
	MaxRetries          *int                `json:"max_retries,omitempty"`
	BackoffSeconds      *int64              `json:"backoff_seconds,omitempty"`
	ClaimTimeoutSeconds *int64              `json:"claim_timeout_seconds,omitempty"`
	Targeting           *WorkOrderTargeting `json:"targeting,omitempty"`
}

// WorkOrder returns an order that is not finished.
func (c *Client) WorkOrder(ctx context.Context, id string) (WorkOrder, error) {
	return get[WorkOrder](ctx, c, "/work-orders/"+seg(id))
}

// CreateWorkOrder orders work. It is repeated when its answer is lost, under one idempotency key, and made once.
func (c *Client) CreateWorkOrder(ctx context.Context, n NewWorkOrder) (WorkOrder, error) {
	var made WorkOrder
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/work-orders", body: n, repeatable: true, key: rand.Text()}, &made)
	return made, err
}

// DeleteWorkOrder takes an order back; an agent that is at it stops.
func (c *Client) DeleteWorkOrder(ctx context.Context, id string) error {
	return c.remove(ctx, "/work-orders/"+seg(id))
}

// FinishedWorkOrder returns what became of an order; a 404 as long as it is not finished.
func (c *Client) FinishedWorkOrder(ctx context.Context, id string) (WorkOrderLog, error) {
	return get[WorkOrderLog](ctx, c, "/work-order-log/"+seg(id))
}
