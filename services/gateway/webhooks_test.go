package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// webhook queues a delivery that the agent may make.
func (w *tenants) webhook(retries int) webhook.DeliveryID {
	t, ctx := w.w, w.w.Context()
	t.Helper()
	label := "hooks-" + uuid.NewString()[:8]
	t.must(t.store.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(uuid.NewString()), Agent: w.agent.id, Label: label}))
	s := webhook.Subscription{ID: webhook.ID(uuid.NewString()), Name: "far", EventTypes: []string{"*"}, TargetLabels: []string{label}, Enabled: true,
		MaxRetries: retries, Timeout: 9 * time.Second, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	t.must(t.store.Webhooks().Insert(ctx, s, webhook.Target{URL: "http://receiver.svc/x", AuthHeader: "Bearer b", Secret: "0123456789abcdef"}))
	d := webhook.Delivery{ID: webhook.DeliveryID(uuid.NewString()), Subscription: s.ID, EventType: "stack.created", EventID: uuid.NewString(), Payload: `{"id":"e"}`}
	_, err := t.store.Deliveries().Enqueue(ctx, []webhook.Delivery{d})
	t.must(err)
	return d.ID
}

func (w *tenants) claimed(retries int) webhook.DeliveryID {
	d := w.webhook(retries)
	_, err := w.w.store.Deliveries().ClaimFor(w.w.Context(), w.agent.id, time.Minute, 0, ports.Quota{Limit: 10, Each: 10})
	w.w.must(err)
	return d
}

func webhookRequests() map[string]func(w *tenants) request {
	return map[string]func(w *tenants) request{
		"get_pending_agent_webhooks": func(w *tenants) request {
			w.webhook(1)
			return request{method: "GET", path: "/api/v1/agents/" + string(w.agent.id) + "/webhooks/pending"}
		},
		"report_delivery_result": func(w *tenants) request {
			return result(w.claimed(1), map[string]any{"success": true, "status_code": 200, "duration_ms": 12})
		},
	}
}

func result(d webhook.DeliveryID, body any) request {
	return request{method: "POST", path: "/api/v1/webhook-deliveries/" + string(d) + "/result", body: body}
}

// An agent claims ten at a time, for a minute; what it has not reported by then is claimed anew.
func TestPendingWebhooksAreClaimedForAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		all := newTenants(w)
		for range 12 {
			all.webhook(3)
		}
		claim := func() int {
			t.Helper()
			rec := all.call(accesstest.AgentSelf, request{method: "GET", path: "/api/v1/agents/" + string(all.agent.id) + "/webhooks/pending"})
			return len(decode[[]json.RawMessage](t, rec, http.StatusOK))
		}
		if first, second, third := claim(), claim(), claim(); first != 10 || second != 2 || third != 0 {
			t.Errorf("claimed %d, %d and %d, want 10, 2 and none", first, second, third)
		}
		time.Sleep(59 * time.Second)
		if n := claim(); n != 0 {
			t.Errorf("within the minute: claimed %d, want none", n)
		}
		time.Sleep(time.Second)
		if n := claim(); n != 10 {
			t.Errorf("after the minute: claimed %d, want 10 again", n)
		}
	})
}

func TestAgentsDeliverWebhooks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		all := newTenants(w)
		d := all.webhook(1)
		ask := webhookRequests()["get_pending_agent_webhooks"](all)
		rec := all.call(accesstest.AgentSelf, ask)
		var list []struct {
			ID         string `json:"id"`
			URL        string `json:"url"`
			AuthHeader string `json:"auth_header"`
			Timeout    int    `json:"timeout_seconds"`
			Attempts   int    `json:"attempts"`
			Payload    string `json:"payload"`
			Signature  string `json:"signature"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || rec.Code != http.StatusOK || len(list) != 2 {
			t.Fatalf("got %d %s, want two", rec.Code, rec.Body)
		}
		got := list[0]
		if got.ID != string(d) || got.URL != "http://receiver.svc/x" || got.AuthHeader != "Bearer b" || got.Timeout != 9 || got.Attempts != 0 ||
			got.Signature != webhook.Sign("0123456789abcdef", time.Now(), got.Payload) {
			t.Errorf("got %+v", got)
		}
		if strings.Contains(rec.Body.String(), "0123456789abcdef") {
			t.Error("the key of the signature is given to the agent")
		}
		failed := map[string]any{"success": false, "error": "no route"}
		for name, tt := range map[string]struct {
			as   string
			q    request
			want int
			code string
		}{
			"AnotherAgent": {accesstest.AgentOther, result(d, failed), 403, "delivery_not_acquired_by_agent"},
			"NotClaimed":   {accesstest.AgentSelf, result(all.webhook(1), failed), 403, "delivery_not_acquired_by_agent"},
			"Unknown":      {accesstest.AgentSelf, result(webhook.DeliveryID(uuid.NewString()), failed), 404, "delivery_not_found"},
			"NoID":         {accesstest.AgentSelf, result("x", failed), 400, "invalid_id"},
		} {
			if rec := all.call(tt.as, tt.q); rec.Code != tt.want || !strings.Contains(rec.Body.String(), tt.code) {
				t.Errorf("%s: got %d %s, want %d %s", name, rec.Code, rec.Body, tt.want, tt.code)
			}
		}
		status := func() webhook.Delivery {
			v, err := w.store.Deliveries().Get(w.Context(), d)
			w.must(err)
			return v
		}
		for range 2 { // the second time after an answer that was lost
			if rec := all.call(accesstest.AgentSelf, result(d, failed)); rec.Code != http.StatusOK || rec.Body.Len() != 0 {
				t.Fatalf("report: got %d %s", rec.Code, rec.Body)
			}
		}
		if v := status(); v.Status != webhook.Failed || v.Attempts != 1 || *v.LastError != "no route" {
			t.Errorf("after a failure: %+v", v)
		}
		time.Sleep(10 * time.Second)
		all.call(accesstest.AgentSelf, request{method: "GET", path: ask.path})
		all.call(accesstest.AgentSelf, result(d, map[string]any{"success": false, "status_code": 502}))
		if v := status(); v.Status != webhook.Dead || v.Attempts != 2 || !strings.Contains(*v.LastError, "502") {
			t.Errorf("after the last failure: %+v", v)
		}
	})
}
