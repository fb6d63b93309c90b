package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/services/api"
)

// webhook stores a subscription whose receiver takes everything, and returns its id.
func (w *world) webhook(change ...func(*webhook.Subscription, *webhook.Target)) string {
	w.t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }))
	w.t.Cleanup(receiver.Close)
	s := webhook.Subscription{
		ID: webhook.ID(uuid.NewString()), Name: "hook", EventTypes: []string{"*"}, Enabled: true, MaxRetries: 1, Timeout: 2 * time.Second,
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	target := webhook.Target{URL: receiver.URL + "/token-canary", AuthHeader: "Bearer auth-canary", Secret: "secret-canary-16"}
	for _, f := range change {
		f(&s, &target)
	}
	must(w.t, w.store.Webhooks().Insert(w.t.Context(), s, target))
	return string(s.ID)
}

func (w *world) delivery(id string) string {
	w.t.Helper()
	d := webhook.DeliveryID(uuid.NewString())
	_, err := w.store.Deliveries().Enqueue(w.t.Context(), []webhook.Delivery{{ID: d, Subscription: webhook.ID(id), EventType: "stack.created", EventID: uuid.NewString(), Payload: "{}"}})
	must(w.t, err)
	return string(d)
}

func TestWebhookErrors(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	w := newWorld(t, c)
	id := w.webhook()
	const good = `"name":"w","url":"https://example.com","event_types":["*"]`
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code, says         string
	}{
		"NoName":          {"POST", "/webhooks", `{"url":"https://x","event_types":["*"]}`, 422, "invalid_request_body", "name"},
		"NoURL":           {"POST", "/webhooks", `{"name":"w","event_types":["*"]}`, 422, "invalid_request_body", "url"},
		"EmptyURL":        {"POST", "/webhooks", `{"name":"w","url":"","event_types":["*"]}`, 400, "url_required", ""},
		"Scheme":          {"POST", "/webhooks", `{"name":"w","url":"ftp://x","event_types":["*"]}`, 400, "invalid_url_scheme", ""},
		"NoHost":          {"POST", "/webhooks", `{"name":"w","url":"http://","event_types":["*"]}`, 400, "invalid_webhook", "host"},
		"UserInURL":       {"POST", "/webhooks", `{"name":"w","url":"http://u:canary@x","event_types":["*"]}`, 400, "invalid_webhook", "auth_header"},
		"EmptyName":       {"POST", "/webhooks", `{"name":"","url":"https://x","event_types":["*"]}`, 400, "invalid_webhook", ""},
		"NoTypes":         {"POST", "/webhooks", `{"name":"w","url":"https://x","event_types":[]}`, 400, "invalid_webhook", "event_types"},
		"UnknownType":     {"POST", "/webhooks", `{"name":"w","url":"https://x","event_types":["x.y"]}`, 400, "invalid_webhook", "x.y"},
		"Retries":         {"POST", "/webhooks", `{` + good + `,"max_retries":-1}`, 422, "invalid_webhook", "max_retries"},
		"Timeout":         {"POST", "/webhooks", `{` + good + `,"timeout_seconds":0}`, 422, "invalid_webhook", "timeout_seconds"},
		"HugeTimeout":     {"POST", "/webhooks", `{` + good + `,"timeout_seconds":9223372036854775807}`, 422, "invalid_webhook", "timeout_seconds"},
		"WrongType":       {"POST", "/webhooks", `{` + good + `,"max_retries":"many"}`, 422, "invalid_request_body", "max_retries"},
		"NoObject":        {"POST", "/webhooks", `[]`, 422, "invalid_request_body", "object"},
		"NoJSON":          {"POST", "/webhooks", `{`, 400, "invalid_json", ""},
		"FilterNoUUID":    {"POST", "/webhooks", `{` + good + `,"filters":{"agent_id":"x"}}`, 422, "invalid_request_body", "agent_id"},
		"LegacyValidate":  {"POST", "/webhooks", `{` + good + `,"validate":true}`, 422, "unsupported_field", "/test"},
		"LegacyLabels":    {"POST", "/webhooks", `{` + good + `,"filters":{"labels":{}}}`, 422, "unsupported_field", "target_labels"},
		"LegacyPutLabels": {"PUT", "/webhooks/" + id, `{"filters":{"labels":null}}`, 422, "unsupported_field", "target_labels"},
		"PutRange":        {"PUT", "/webhooks/" + id, `{"timeout_seconds":301}`, 422, "invalid_webhook", "timeout_seconds"},
		"PutURL":          {"PUT", "/webhooks/" + id, `{"url":""}`, 400, "url_required", ""},
		"BothSecrets":     {"PUT", "/webhooks/" + id, `{"signing_secret":"0123456789abcdef","rotate_signing_secret":true}`, 400, "invalid_webhook", "either"},
		"Unknown":         {"GET", "/webhooks/" + uuid.NewString(), "", 404, "webhook_not_found", ""},
		"UnknownTest":     {"POST", "/webhooks/" + uuid.NewString() + "/test", "", 404, "webhook_not_found", ""},
		"UnknownList":     {"GET", "/webhooks/" + uuid.NewString() + "/deliveries", "", 404, "webhook_not_found", ""},
		"UnknownDelivery": {"GET", "/webhook-deliveries/" + uuid.NewString(), "", 404, "delivery_not_found", ""},
		"UnknownAgain":    {"POST", "/webhook-deliveries/" + uuid.NewString() + "/redeliver", "", 404, "delivery_not_found", ""},
		"Status":          {"GET", "/webhooks/" + id + "/deliveries?status=gone", "", 400, "invalid_query", "gone"},
		"Limit":           {"GET", "/webhook-deliveries?limit=0", "", 400, "invalid_query", "limit"},
		"Offset":          {"GET", "/webhooks/" + id + "/deliveries?offset=-1", "", 400, "invalid_query", "offset"},
		"Cursor":          {"GET", "/webhook-deliveries?cursor=x", "", 400, "invalid_query", "cursor"},
	} {
		rec := w.do(asAdmin, request{method: tt.method, path: tt.path, body: tt.body})
		if rec.Code != tt.status || code(t, rec) != tt.code || !strings.Contains(rec.Body.String(), tt.says) || strings.Contains(rec.Body.String(), "canary") {
			t.Errorf("%s: got %d %s, want %d %s that says %q", name, rec.Code, rec.Body, tt.status, tt.code, tt.says)
		}
	}
	legacy := decode[struct {
		Details map[string]string `json:"details"`
	}](t, w.do(asAdmin, request{method: "POST", path: "/webhooks", body: `{` + good + `,"filters":{"labels":[]}}`}))
	if legacy.Details["field"] != "filters.labels" || legacy.Details["use_instead"] != "target_labels" {
		t.Errorf("details of a legacy field: got %v", legacy.Details)
	}
}

type webhookAnswer struct {
	ID            string         `json:"id"`
	HasURL        bool           `json:"has_url"`
	HasAuthHeader bool           `json:"has_auth_header"`
	Filters       map[string]any `json:"filters"`
	TargetLabels  []string       `json:"target_labels"`
	MaxRetries    int            `json:"max_retries"`
	Timeout       int            `json:"timeout_seconds"`
	CreatedBy     string         `json:"created_by"`
	Secret        string         `json:"signing_secret"`
}

func TestWebhookLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	call := func(method, path, body string, status int) webhookAnswer {
		t.Helper()
		rec := w.checked(asAdmin, request{method: method, path: path, body: body})
		if rec.Code != status || strings.Contains(rec.Body.String(), "canary") {
			t.Fatalf("%s %s: %d %s, want %d and no secret", method, path, rec.Code, rec.Body, status)
		}
		return decode[webhookAnswer](t, rec)
	}
	made := call("POST", "/webhooks", `{"name":"w","url":"https://canary.example.com","auth_header":"canary","event_types":["deployment.*"],
		"filters":{"agent_id":"`+string(w.agent.ID)+`"},"target_labels":["prod"]}`, 201)
	if !made.HasURL || !made.HasAuthHeader || made.MaxRetries != 5 || made.Timeout != 30 || !strings.HasPrefix(made.Secret, "brokkr_whsec_") ||
		made.Filters["agent_id"] != string(w.agent.ID) || len(made.TargetLabels) != 1 || !strings.HasPrefix(made.CreatedBy, "admin/") {
		t.Errorf("made %+v", made)
	}
	path := "/webhooks/" + made.ID
	if got := call("GET", path, "", 200); got.Secret != "" {
		t.Error("the signing secret is shown again")
	}
	target, err := w.store.Webhooks().Target(t.Context(), webhook.ID(made.ID))
	must(t, err)
	if target.Secret != made.Secret || target.AuthHeader != "canary" {
		t.Error("what is stored is not what was said")
	}
	if got := call("PUT", path, `{"name":"v"}`, 200); got.Filters == nil || !got.HasAuthHeader || len(got.TargetLabels) != 1 || got.Secret != "" {
		t.Errorf("what is absent does not stay: %+v", got)
	}
	if got := call("PUT", path, `{"filters":null,"target_labels":[],"auth_header":""}`, 200); got.Filters != nil || got.HasAuthHeader || got.TargetLabels != nil {
		t.Errorf("what is emptied stays: %+v", got)
	}
	if got := call("PUT", path, `{"rotate_signing_secret":true}`, 200); got.Secret == "" || got.Secret == made.Secret {
		t.Errorf("the secret was not rotated: %+v", got)
	}
	if got := call("POST", "/webhooks", `{"name":"x","url":"https://x","event_types":["*"],"signing_secret":"canary-0123456789"}`, 201); got.Secret != "" {
		t.Error("a secret that was given is shown")
	}
}

func TestWebhookTest(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	w := newWorld(t, c)
	got := make(chan *http.Request, 1)
	body := make(chan string, 1)
	status := http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
		got <- r
		rw.WriteHeader(status)
	}))
	defer receiver.Close()
	id := w.webhook(func(_ *webhook.Subscription, target *webhook.Target) { target.URL = receiver.URL })
	rec := w.checked(asAdmin, request{method: "POST", path: "/webhooks/" + id + "/test"})
	answer := decode[struct {
		Success bool `json:"success"`
		Status  int  `json:"status_code"`
	}](t, rec)
	sent, r := <-body, <-got
	var payload struct {
		ID        string            `json:"id"`
		Type      string            `json:"event_type"`
		Timestamp time.Time         `json:"timestamp"`
		Data      map[string]string `json:"data"`
	}
	must(t, json.Unmarshal([]byte(sent), &payload))
	if rec.Code != 200 || !answer.Success || answer.Status != 200 || payload.Type != "webhook.test" || payload.Data["subscription_id"] != id || payload.Data["message"] == "" {
		t.Errorf("got %d %s for %s", rec.Code, rec.Body, sent)
	}
	stamp, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Brokkr-Signature"), "t="), ",")
	seconds, err := time.ParseDuration(stamp + "s")
	must(t, err)
	if want := webhook.Sign("secret-canary-16", time.Unix(int64(seconds.Seconds()), 0), sent); r.Header.Get("X-Brokkr-Signature") != want {
		t.Errorf("signature %s, want %s", r.Header.Get("X-Brokkr-Signature"), want)
	}
	status = http.StatusTeapot
	if rec := w.do(asAdmin, request{method: "POST", path: "/webhooks/" + id + "/test"}); rec.Code != 400 || code(t, rec) != "webhook_test_failed" || !strings.Contains(rec.Body.String(), "418") {
		t.Errorf("a receiver that fails: got %d %s", rec.Code, rec.Body)
	}
	// The test endpoint is no way to the inside.
	inside := w.webhook(func(_ *webhook.Subscription, target *webhook.Target) {
		target.URL = "http://169.254.169.254/latest/meta-data"
	})
	if rec := w.do(asAdmin, request{method: "POST", path: "/webhooks/" + inside + "/test"}); rec.Code != 400 || code(t, rec) != "webhook_test_failed" || !strings.Contains(rec.Body.String(), "not allowed") {
		t.Errorf("metadata: got %d %s", rec.Code, rec.Body)
	}
}

func TestDeliveryFeedHasPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	id := w.webhook()
	want := []string{w.delivery(id), w.delivery(id), w.delivery(w.webhook())}
	var seen []string
	path := "/webhook-deliveries?limit=2"
	for range 2 {
		rec := w.checked(asAdmin, request{method: "GET", path: path})
		for _, d := range decode[[]struct {
			ID string `json:"id"`
		}](t, rec) {
			seen = append(seen, d.ID)
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(rec.Header().Get("Link"), "<"), ">")
		path = strings.TrimPrefix(next, "/api/v1")
	}
	if path != "" || len(seen) != 3 || seen[0] != want[2] || seen[2] != want[0] {
		t.Errorf("got %v (next %q), want %v backwards", seen, path, want)
	}
}

func TestRedeliverOfADisabledWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	id := w.webhook(func(s *webhook.Subscription, _ *webhook.Target) { s.Enabled = false })
	rec := w.do(asAdmin, request{method: "POST", path: "/webhook-deliveries/" + w.delivery(id) + "/redeliver"})
	if rec.Code != 422 || code(t, rec) != "webhook_disabled" {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

func TestWebhookSettings(t *testing.T) {
	t.Parallel()
	if err := api.WebhookDefaults().Validate(); err != nil {
		t.Error(err)
	}
	bad := api.Webhooks{AllowNetworks: []string{"here"}}
	err := bad.Validate()
	for _, want := range []string{"allow_networks", "workers", "per_subscription", "keep"} {
		if err == nil || !strings.Contains(err.Error(), "webhooks."+want) {
			t.Errorf("got %v, want it to name webhooks.%s", err, want)
		}
	}
}
