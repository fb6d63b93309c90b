package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	webhookFiltersJSON struct {
		AgentID *string `json:"agent_id"`
		StackID *string `json:"stack_id"`
	}
	webhookJSON struct {
		ID             webhook.ID          `json:"id"`
		Name           string              `json:"name"`
		HasURL         bool                `json:"has_url"`
		HasAuthHeader  bool                `json:"has_auth_header"`
		EventTypes     []string            `json:"event_types"`
		Filters        *webhookFiltersJSON `json:"filters"`
		TargetLabels   []string            `json:"target_labels"`
		Enabled        bool                `json:"enabled"`
		MaxRetries     int                 `json:"max_retries"`
		TimeoutSeconds int64               `json:"timeout_seconds"`
		CreatedAt      time.Time           `json:"created_at"`
		UpdatedAt      time.Time           `json:"updated_at"`
		CreatedBy      *string             `json:"created_by"`
		SigningSecret  string              `json:"signing_secret,omitempty"` // once, when the server has made it
	}
	// webhookBody is what creates or changes a subscription.
	webhookBody struct {
		Name           *string                   `json:"name"`
		URL            *string                   `json:"url"`
		AuthHeader     *string                   `json:"auth_header"`
		SigningSecret  *string                   `json:"signing_secret"`
		RotateSecret   bool                      `json:"rotate_signing_secret"`
		EventTypes     *[]string                 `json:"event_types"`
		Filters        patch[webhookFiltersJSON] `json:"filters"`
		TargetLabels   *[]string                 `json:"target_labels"`
		Enabled        *bool                     `json:"enabled"`
		MaxRetries     *int                      `json:"max_retries"`
		TimeoutSeconds *int64                    `json:"timeout_seconds"`
	}
	deliveryJSON struct {
		ID             webhook.DeliveryID `json:"id"`
		SubscriptionID webhook.ID         `json:"subscription_id"`
		EventType      event.Type         `json:"event_type"`
		EventID        string             `json:"event_id"`
		Payload        string             `json:"payload"`
		TargetLabels   []string           `json:"target_labels"`
		Status         webhook.Status     `json:"status"`
		AcquiredBy     *agent.ID          `json:"acquired_by"`
		AcquiredUntil  *time.Time         `json:"acquired_until"`
		Attempts       int                `json:"attempts"`
		LastAttemptAt  *time.Time         `json:"last_attempt_at"`
		NextRetryAt    *time.Time         `json:"next_retry_at"`
		LastError      *string            `json:"last_error"`
		CreatedAt      time.Time          `json:"created_at"`
		CompletedAt    *time.Time         `json:"completed_at"`
	}
	webhookTestJSON struct {
		Success    bool   `json:"success"`
		StatusCode *int   `json:"status_code"`
		Message    string `json:"message"`
	}
)

func webhookOf(s webhook.Subscription, secret string) webhookJSON {
	out := webhookJSON{
		ID: s.ID, Name: s.Name, HasURL: true, HasAuthHeader: s.HasAuthHeader, EventTypes: s.EventTypes, TargetLabels: s.TargetLabels,
		Enabled: s.Enabled, MaxRetries: s.MaxRetries, TimeoutSeconds: int64(s.Timeout / time.Second),
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), CreatedBy: s.CreatedBy, SigningSecret: secret,
	}
	if f := s.Filters; f != nil {
		out.Filters = &webhookFiltersJSON{AgentID: textOrNull(f.Agent), StackID: textOrNull(f.Stack)}
	}
	return out
}

func textOrNull[T ~string](v T) *string {
	if v == "" {
		return nil
	}
	s := string(v)
	return &s
}

func deliveryOf(d webhook.Delivery) deliveryJSON {
	return deliveryJSON{
		ID: d.ID, SubscriptionID: d.Subscription, EventType: d.EventType, EventID: d.EventID, Payload: d.Payload, TargetLabels: d.TargetLabels,
		Status: d.Status, AcquiredBy: d.AcquiredBy, AcquiredUntil: d.AcquiredUntil, Attempts: d.Attempts, LastAttemptAt: d.LastAttemptAt,
		NextRetryAt: d.NextRetryAt, LastError: d.LastError, CreatedAt: d.CreatedAt, CompletedAt: d.CompletedAt,
	}
}

func invalidBody(format string, args ...any) *fault.Error {
	return fault.Newf(fault.Refused, "invalid_request_body", format, args...)
}

// unsupported refuses a key that earlier servers took and ignored: who sends it believes that it does something.
func unsupported(field, instead string) error {
	return fault.Newf(fault.Refused, "unsupported_field", "%s does nothing and is not accepted; use %s", field, instead).
		With("field", field).With("use_instead", instead)
}

// webhookRequest reads the body of a new or changed subscription.
func webhookRequest(create bool) rpc.Decoder[app.WebhookChange] {
	return func(r *http.Request) (app.WebhookChange, error) {
		raw, err := rpc.JSON[json.RawMessage](r)
		if err != nil {
			return app.WebhookChange{}, err
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(raw, &keys); err != nil || keys == nil {
			return app.WebhookChange{}, invalidBody("the body must be a JSON object")
		}
		if _, there := keys["validate"]; there && create {
			return app.WebhookChange{}, unsupported("validate", "POST /webhooks/{id}/test")
		}
		var filters map[string]json.RawMessage
		if json.Unmarshal(keys["filters"], &filters) == nil {
			if _, there := filters["labels"]; there {
				return app.WebhookChange{}, unsupported("filters.labels", "target_labels")
			}
		}
		for _, field := range []string{"name", "url", "event_types"} {
			if v, there := keys[field]; create && (!there || string(v) == "null") {
				return app.WebhookChange{}, invalidBody("the field %q is missing", field).With("field", field)
			}
		}
		var b webhookBody
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&b); err != nil {
			return app.WebhookChange{}, wrongType(err)
		}
		return b.change()
	}
}

func wrongType(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return invalidBody("field %q must be %s, not %s", t.Field, t.Type, t.Value).With("field", t.Field)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown { // encoding/json has no type for it
		name = strings.Trim(name, `"`)
		return fault.Newf(fault.Invalid, "unknown_field", "the body has a field %q, which is not known here", name).With("field", name)
	}
	return invalidBody("the body could not be read").Because(err)
}

func (b webhookBody) change() (app.WebhookChange, error) {
	out := app.WebhookChange{
		Name: b.Name, URL: b.URL, AuthHeader: b.AuthHeader, Secret: b.SigningSecret, NewSecret: b.RotateSecret, EventTypes: b.EventTypes,
		TargetLabels: b.TargetLabels, Enabled: b.Enabled, MaxRetries: b.MaxRetries,
	}
	if b.TimeoutSeconds != nil {
		// Far outside of what is allowed it stays outside, instead of wrapping around.
		t := time.Duration(max(-1, min(*b.TimeoutSeconds, 1<<31))) * time.Second
		out.Timeout = &t
	}
	if b.RotateSecret && b.SigningSecret != nil {
		return out, fault.New(fault.Invalid, "invalid_webhook", "send either signing_secret or rotate_signing_secret")
	}
	out.Filters.Set = b.Filters.Set
	if f := b.Filters.Value; f != nil {
		var filters webhook.Filters
		var err error
		if f.AgentID != nil {
			if filters.Agent, err = id.Parse[agent.ID]("filters.agent_id", *f.AgentID); err != nil {
				return out, invalidBody("filters.agent_id is not a UUID").With("field", "filters.agent_id")
			}
		}
		if f.StackID != nil {
			if filters.Stack, err = id.Parse[stack.ID]("filters.stack_id", *f.StackID); err != nil {
				return out, invalidBody("filters.stack_id is not a UUID").With("field", "filters.stack_id")
			}
		}
		out.Filters.Value = &filters
	}
	return out, nil
}

// deliveriesOfOne is DeliveryList without the filter that the path is.
func deliveriesOfOne() page.List[webhook.Delivery] {
	out := webhook.DeliveryList()
	out.Filters = slices.DeleteFunc(out.Filters, func(f page.Filter[webhook.Delivery]) bool { return f.Name == "subscription_id" })
	return out
}

// deliveriesOfAll is DeliveryList as all lists that are new are: it has cursors and no offset, and the usual pages.
func deliveriesOfAll() page.List[webhook.Delivery] {
	out := webhook.DeliveryList()
	out.Skips, out.Default = false, 0
	return out
}

func webhookRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_webhooks", "/webhooks", view(Admin), webhook.List(), none, rpc.Short(webhook.List(), func(ctx context.Context, _ struct{}) ([]webhook.Subscription, error) {
			return a.ListWebhooks(ctx)
		}), func(s webhook.Subscription) webhookJSON { return webhookOf(s, "") }),
		post("create_webhook", "/webhooks", operate(Admin), webhookRequest(true), func(ctx context.Context, ch app.WebhookChange) (webhookJSON, error) {
			s, secret, err := a.CreateWebhook(ctx, who(ctx), ch)
			return webhookOf(s, secret), err
		}).ShowsSecret(),
		get("list_event_types", "/webhooks/event-types", view(Admin), none, func(context.Context, struct{}) ([]event.Type, error) {
			return webhook.EventTypes(), nil
		}),
		get("get_webhook", "/webhooks/{id}", view(Admin), justID[webhook.ID], func(ctx context.Context, w webhook.ID) (rpc.Tagged, error) {
			s, err := a.GetWebhook(ctx, w)
			return rpc.Tagged{Tag: app.WebhookTag(s), Body: webhookOf(s, "")}, err
		}),
		put("update_webhook", "/webhooks/{id}", operate(Admin), changedWebhook, func(ctx context.Context, r of[webhook.ID, app.WebhookChange]) (rpc.Tagged, error) {
			s, secret, err := a.UpdateWebhook(ctx, r.id, r.body)
			return rpc.Tagged{Tag: app.WebhookTag(s), Body: webhookOf(s, secret)}, err
		}).Conditional(),
		del("delete_webhook", "/webhooks/{id}", operate(Admin), justID[webhook.ID], func(ctx context.Context, w webhook.ID) error {
			return a.DeleteWebhook(ctx, w)
		}).Conditional(),
		act("test_webhook", "/webhooks/{id}/test", operate(Admin), justID[webhook.ID], func(ctx context.Context, w webhook.ID) (webhookTestJSON, error) {
			status, err := a.TestWebhook(ctx, w)
			out := webhookTestJSON{Success: true, Message: "the receiver took the test event"}
			if status != 0 {
				out.StatusCode = &status
			}
			return out, err
		}),
		list("list_deliveries", "/webhooks/{id}/deliveries", view(Admin), deliveriesOfOne(), justID[webhook.ID], func(ctx context.Context, w webhook.ID, q page.Query) (page.Page[webhook.Delivery], error) {
			is := map[string]string{"subscription_id": string(w)}
			maps.Copy(is, q.Is)
			q.Is = is
			return a.WebhookDeliveries(ctx, q)
		}, deliveryOf),
		list("list_all_deliveries", "/webhook-deliveries", view(Admin), deliveriesOfAll(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[webhook.Delivery], error) {
			return a.WebhookDeliveries(ctx, q)
		}, deliveryOf),
		get("get_delivery", "/webhook-deliveries/{id}", view(Admin), justID[webhook.DeliveryID], func(ctx context.Context, d webhook.DeliveryID) (deliveryJSON, error) {
			out, err := a.GetDelivery(ctx, d)
			return deliveryOf(out), err
		}),
		act("redeliver", "/webhook-deliveries/{id}/redeliver", operate(Admin), justID[webhook.DeliveryID], func(ctx context.Context, d webhook.DeliveryID) (deliveryJSON, error) {
			out, err := a.Redeliver(ctx, d)
			return deliveryOf(out), err
		}),
	}
}

func changedWebhook(r *http.Request) (of[webhook.ID, app.WebhookChange], error) {
	return idWith[webhook.ID](r, webhookRequest(false))
}
