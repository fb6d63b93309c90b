package broker_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
)

// What a proxy or another server says with 200 acknowledges nothing: neither what was seen, nor an answer or a result, nor a claim; and
// that nothing waits or is claimed is said by an empty list alone.
func TestWhatNoGatewaySaysIsNotBelieved(t *testing.T) {
	t.Parallel()
	type ask struct {
		answer string // of a gateway
		do     func(ctx context.Context, c *broker.Client) error
	}
	calls := map[string]ask{
		"telemetry": {`{"accepted":0,"dropped":1,"repeated":false}`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.Telemetry(ctx, agentID, wire.TelemetryRequest{BootID: boot, Seq: 1})
			return err
		}},
		"pending diagnostics": {`[]`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.PendingDiagnostics(ctx, agentID)
			return err
		}},
		"claim of a question": {`{"id":"q","status":"claimed"}`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.ClaimDiagnostic(ctx, "q")
			return err
		}},
		"answer to a question": {`{"id":"r","request_id":"q"}`, func(ctx context.Context, c *broker.Client) error {
			return c.AnswerDiagnostic(ctx, "q", wire.DiagnosticAnswer{PodStatuses: "[]", Events: "[]"})
		}},
		"pending work": {`[]`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.PendingWork(ctx, agentID, "custom")
			return err
		}},
		"claimed work": {`[]`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.ClaimedWork(ctx, agentID)
			return err
		}},
		"claim of work": {`{"id":"o","status":"CLAIMED"}`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.ClaimWork(ctx, agentID, "o")
			return err
		}},
		"renewal": {`{"id":"o","status":"CLAIMED"}`, func(ctx context.Context, c *broker.Client) error { return c.RenewWork(ctx, "o", 0) }},
		"result of work": {`{"id":"o","success":true}`, func(ctx context.Context, c *broker.Client) error {
			return c.CompleteWork(ctx, "o", true, "", false)
		}},
		"failure of work that is tried again": {`{"status":"retry_scheduled"}`, func(ctx context.Context, c *broker.Client) error {
			return c.CompleteWork(ctx, "o", false, "", true)
		}},
		"pending webhooks": {`[]`, func(ctx context.Context, c *broker.Client) error {
			_, err := c.PendingWebhooks(ctx, agentID)
			return err
		}},
		"result of a webhook": {``, func(ctx context.Context, c *broker.Client) error {
			return c.TellWebhook(ctx, "d", wire.WebhookResult{})
		}},
		"result of a webhook, by a gateway that repeats what it is about": {`{"id":"d"}`, func(ctx context.Context, c *broker.Client) error {
			return c.TellWebhook(ctx, "d", wire.WebhookResult{})
		}},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			says := func(body string) *broker.Client {
				return serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			}
			if err := call.do(t.Context(), says(call.answer)); err != nil {
				t.Errorf("a gateway's answer %s: %v", call.answer, err)
			}
			for _, body := range []string{`{}`, `{"ok":true}`, `null`, `{"id":"another"}`, `<html>hello</html>`, `"ok"`} {
				c := says(body)
				err := call.do(t.Context(), c)
				if fault.CodeOf(err) != "not_a_broker" {
					t.Errorf("%s: got %v, want that no broker says so", body, err)
				}
			}
		})
	}
}
