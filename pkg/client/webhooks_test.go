package client_test

import (
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/client"
)

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
