package broker

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// maxWorkBytes bounds an answer about work orders: one with the longest manifests that a broker takes (16 MiB by default), each byte
// escaped.
const maxWorkBytes = 112 << 20

// PendingWork returns the orders of this type that the agent may claim, oldest first.
func (c *Client) PendingWork(ctx context.Context, id agent.ID, kind string) ([]wire.WorkOrder, error) {
	return getList[wire.WorkOrder](ctx, c, "/api/v1/agents/"+url.PathEscape(string(id))+"/work-orders/pending", url.Values{"work_type": {kind}})
}

// ClaimedWork returns all orders that the agent has claimed; the broker shows some at a time.
func (c *Client) ClaimedWork(ctx context.Context, id agent.ID) ([]wire.WorkOrder, error) {
	var all []wire.WorkOrder
	seen := map[string]bool{}
	for query := (url.Values{}); ; {
		page, err := getList[wire.WorkOrder](ctx, c, "/api/v1/agents/"+url.PathEscape(string(id))+"/work-orders/claimed", query)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, o := range page {
			if !seen[o.ID] {
				seen[o.ID], fresh = true, true
				all = append(all, o)
			}
		}
		if !fresh {
			return all, nil
		}
		query = url.Values{"after": {all[len(all)-1].ID}}
	}
}

// ClaimWork claims an order; NotFound if another agent was faster.
func (c *Client) ClaimWork(ctx context.Context, id agent.ID, order string) (wire.WorkOrder, error) {
	out, err := post[wire.WorkOrder](ctx, c, order, "claim", map[string]any{"agent_id": id})
	return out, c.said(err, out.ID == order)
}

// RenewWork says that the work goes on. Forbidden or NotFound: the claim is over.
func (c *Client) RenewWork(ctx context.Context, order string, lease time.Duration) error {
	out, err := post[wire.WorkOrderClaim](ctx, c, order, "renew", map[string]any{"lease_seconds": int64(lease / time.Second)})
	return c.said(err, out.ID == order)
}

// CompleteWork tells the result of an attempt.
func (c *Client) CompleteWork(ctx context.Context, order string, success bool, message string, retryable bool) error {
	out, err := post[struct{ ID, Status string }](ctx, c, order, "complete", map[string]any{"success": success, "message": message, "retryable": retryable})
	return c.said(err, out.ID == order || out.Status == retryScheduled)
}

// retryScheduled is the status of an order that is tried again: then the answer has nothing else.
const retryScheduled = "retry_scheduled"

// getList returns a list.
func getList[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	var out []T
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	err := c.call(ctx, http.MethodGet, path, nil, &out, maxWorkBytes)
	return out, c.said(err, out != nil)
}

func post[T any](ctx context.Context, c *Client, order, act string, body any) (T, error) {
	var out T
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := c.call(ctx, http.MethodPost, "/api/v1/work-orders/"+url.PathEscape(order)+"/"+act, body, &out, maxWorkBytes)
	return out, err
}
