package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

func pendingWebhookOf(at time.Time) func(webhook.Call) wire.PendingWebhook {
	return func(c webhook.Call) wire.PendingWebhook {
		r := c.Request(at)
		out := wire.PendingWebhook{
			ID: string(c.ID), SubscriptionID: string(c.Subscription), EventType: string(c.EventType), Payload: c.Payload, URL: r.URL,
			TimeoutSeconds: int64(c.Timeout / time.Second), MaxRetries: c.MaxRetries, Attempts: c.Attempts - 1, Signature: r.Signature,
		}
		if r.AuthHeader != "" {
			out.AuthHeader = &r.AuthHeader
		}
		return out
	}
}

func outcomeOf(r wire.WebhookResult) webhook.Outcome {
	o := webhook.Outcome{Success: r.Success}
	if r.StatusCode != nil {
		o.StatusCode = *r.StatusCode
	}
	if r.Error != nil {
		o.Error = *r.Error
	}
	if r.DurationMS != nil {
		o.Took = time.Duration(*r.DurationMS) * time.Millisecond
	}
	return o
}

func webhookRoutes(g *app.Gateway) []rpc.Route {
	return []rpc.Route{
		rpc.New(rpc.Info{Op: "get_pending_agent_webhooks", Method: http.MethodGet, Path: "/api/v1/agents/{agent_id}/webhooks/pending", Status: http.StatusOK, Access: identity.AgentSelf},
			func(r *http.Request) (string, error) { return rpc.Var(r, "agent_id"), nil },
			func(ctx context.Context, id string) ([]wire.PendingWebhook, error) {
				list, err := g.PendingWebhooks(ctx, identity.Of(ctx), id)
				return each(list, pendingWebhookOf(g.Now())), err
			}),
		rpc.New(rpc.Info{Op: "report_delivery_result", Method: http.MethodPost, Path: "/api/v1/webhook-deliveries/{id}/result", Status: http.StatusOK, Access: identity.AgentAssigned},
			body(rpc.JSON[wire.WebhookResult]), func(ctx context.Context, r with[wire.WebhookResult]) (rpc.Empty, error) {
				return rpc.Empty{}, g.WebhookResult(ctx, identity.Of(ctx), r.id, outcomeOf(r.body))
			}),
	}
}
