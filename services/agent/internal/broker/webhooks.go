package broker

import (
	"context"
	"net/http"
	"net/url"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// PendingWebhooks claims deliveries for the agent, each for its timeout and a minute at least.
func (c *Client) PendingWebhooks(ctx context.Context, id agent.ID) ([]wire.PendingWebhook, error) {
	return get[[]wire.PendingWebhook](ctx, c, "/api/v1/agents/"+url.PathEscape(string(id))+"/webhooks/pending", nil)
}

// TellWebhook tells how an attempt ended. Forbidden or NotFound: the claim is over.
func (c *Client) TellWebhook(ctx context.Context, delivery string, r wire.WebhookResult) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodPost, "/api/v1/webhook-deliveries/"+url.PathEscape(delivery)+"/result", r, nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
