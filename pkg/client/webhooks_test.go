package client_test

import (
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/client"
)

func TestWebhookDeliveriesTellTheNextPage(t *testing.T) {
	t.Parallel()
	c, p := serve(t,
		answer{status: 200, header: map[string]string{"Link": `</api/v1/webhook-deliveries?cursor=41&limit=1>; rel="next"`}, body: `[{"id":"1"}]`},
		answer{status: 200, body: `[]`})
	q := client.DeliveryQuery{Webhook: "w", Status: "dead", EventType: "stack.created", Limit: 1}
	first, cursor, err := c.WebhookDeliveries(t.Context(), q)
	if err != nil || len(first) != 1 || cursor != "41" {
		t.Fatalf("first page = %v, cursor %q, %v; want one delivery and 41", first, cursor, err)
	}
	q.Cursor = cursor
	if last, cursor, err := c.WebhookDeliveries(t.Context(), q); err != nil || len(last) != 0 || cursor != "" {
		t.Errorf("last page = %v, cursor %q, %v; want nothing more", last, cursor, err)
	}
	want := "GET /api/v1/webhook-deliveries?cursor=41&event_type=stack.created&limit=1&status=dead&subscription_id=w"
	if got := p.seen(); len(got) != 2 || got[1] != want {
		t.Errorf("requests = %v, want the second to be %s", got, want)
	}
}

func TestWebhookChangeSaysOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	none, off := "", false
	for name, tt := range map[string]struct {
		change client.WebhookChange
		want   string
	}{
		"nothing": {client.WebhookChange{}, `{}`},
		"cleared": {client.WebhookChange{AuthHeader: &none, Filters: &client.WebhookFilters{}, TargetLabels: &[]string{}, Enabled: &off},
			`{"auth_header":"","filters":{},"target_labels":[],"enabled":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := serve(t, answer{status: 200, body: `{"id":"w"}`})
			if _, err := c.UpdateWebhook(t.Context(), "w", tt.change); err != nil {
				t.Fatal(err)
			}
			if got, want := p.seen(), "PUT /api/v1/webhooks/w "+tt.want; len(got) != 1 || got[0] != want {
				t.Errorf("requests = %v, want %s", got, want)
			}
		})
	}
}

func TestWhatASecondWebhookRequestWouldDoTwiceIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*client.Client) error{
		"create": func(c *client.Client) error {
			_, err := c.CreateWebhook(t.Context(), client.WebhookChange{})
			return err
		},
		"test":      func(c *client.Client) error { _, err := c.TestWebhook(t.Context(), "w"); return err },
		"redeliver": func(c *client.Client) error { _, err := c.RedeliverWebhook(t.Context(), "d"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := serve(t, answer{status: http.StatusBadGateway})
			if err := do(c); !client.IsStatus(err, http.StatusBadGateway) {
				t.Errorf("error = %v, want the 502", err)
			}
			if got := p.seen(); len(got) != 1 {
				t.Errorf("%d requests: %v, want one", len(got), got)
			}
		})
	}
}
