package broker

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// PendingWebhooks claims deliveries for the agent, each for its timeout and a minute at least.
func (c *Client) PendingWebhooks(ctx context.Context, id agent.ID) ([]wire.PendingWebhook, error) {
	return getList[wire.PendingWebhook](ctx, c, "/api/v1/agents/"+url.PathEscape(string(id))+"/webhooks/pending", nil)
}

// TellWebhook tells how an attempt ended. Forbidden or NotFound: the claim is over. The answer of a gateway says nothing, or which
// delivery it is about.
func (c *Client) TellWebhook(ctx context.Context, delivery string, r wire.WebhookResult) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodPost, "/api/v1/webhook-deliveries/"+url.PathEscape(delivery)+"/result", r, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	said, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	var about struct{ ID string }
	return c.said(nil, len(said) == 0 || (json.Unmarshal(said, &about) == nil && about.ID == delivery))
}
