package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// under is q with an idempotency key.
func under(key string, q request) request {
	h := map[string]string{"Idempotency-Key": key}
	for k, v := range q.header {
		h[k] = v
	}
	q.header = h
	return q
}

func newStackOf(name string) request {
	return request{method: "POST", path: "/stacks", body: `{"name":"` + name + `"}`}
}

// on makes a call to another replica.
func (w *world) on(h http.Handler, as string, q request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, w.build(as, q))
	return rec
}

func replayed(rec *httptest.ResponseRecorder) bool {
	return rec.Header().Get("Idempotency-Replayed") == "true"
}

// stacks returns how many stacks have a name.
func (w *world) stacks(name string) int {
	w.t.Helper()
	all, err := w.store.Stacks().List(w.t.Context(), tenancy.Everything())
	must(w.t, err)
	n := 0
	for _, s := range all {
		if s.Name == name {
			n++
		}
	}
	return n
}

type doneBody struct {
	Code    string `json:"code"`
	Details struct {
		Type string `json:"resource_type"`
		ID   string `json:"resource_id"`
	} `json:"details"`
}

// Each POST that changes something takes the key: what is said twice is done once, and no secret is kept.
func TestEveryPostIsDoneOnce(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	builders, tried := successes(), 0
	for path, item := range c.doc.Paths.Map() {
		op := item.Post
		if op == nil || op.Extensions["x-brokkr-service"] != nil || op.Extensions["x-brokkr-access"] == "public" || op.OperationID == "verify_pak" || op.OperationID == "plan_placement" {
			continue // the gateway's, without a subject, or a question
		}
		if op.Parameters.GetByInAndName("header", "Idempotency-Key") == nil {
			t.Errorf("%s (POST %s) does not tell of the header Idempotency-Key", op.OperationID, path)
		}
		tried++
		t.Run(op.OperationID, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := under("k-1", builders[op.OperationID](w))
			first := w.checked(asAdmin, q)
			if first.Code >= 300 || replayed(first) {
				t.Fatalf("first: %d %s", first.Code, first.Body)
			}
			entries, end := len(w.entries()), w.end()
			again := w.checked(asAdmin, q)
			if len(w.entries()) != entries || len(w.since(end)) != 0 {
				t.Error("the repetition has changed something")
			}
			key, err := idempotency.NewKey("admin//", op.OperationID, "/api/v1"+q.path, "k-1")
			must(t, err)
			kept, err := w.store.Idempotency().Get(t.Context(), key, time.Now())
			must(t, err)
			if shown := secretsIn(first.Body.Bytes()); len(shown) > 0 && kept.Answer != nil {
				t.Errorf("the answer is kept with its secrets %v; mark the route with ShowsSecret", shown)
			}
			if kept.Answer == nil {
				if done := decode[doneBody](t, again); again.Code != http.StatusConflict || done.Code != "idempotency_done" || done.Details.ID == "" || replayed(again) {
					t.Errorf("again: %d %s, want 409 idempotency_done with the resource", again.Code, again.Body)
				}
			} else if again.Code != first.Code || again.Body.String() != first.Body.String() || !replayed(again) ||
				again.Header().Get("Content-Type") != first.Header().Get("Content-Type") || again.Header().Get("X-Request-Id") == first.Header().Get("X-Request-Id") {
				t.Errorf("again: %d %v %s, want the first answer, %d %v %s", again.Code, again.Header(), again.Body, first.Code, first.Header(), first.Body)
			}
			other := q
			other.path += "?other=1"
			if rec := w.do(asAdmin, other); rec.Code != http.StatusUnprocessableEntity || code(t, rec) != "idempotency_key_reused" {
				t.Errorf("another request: %d %s, want 422 idempotency_key_reused", rec.Code, rec.Body)
			}
		})
	}
	if tried < 20 {
		t.Errorf("tried %d operations, want all", tried)
	}
}

// secretsIn returns the names of the fields of a JSON answer that hold what is shown once.
func secretsIn(body []byte) []string {
	var out []string
	var look func(name string, v any)
	look = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				look(k, inner)
			}
		case []any:
			for _, inner := range v {
				look(name, inner)
			}
		case string:
			if strings.Contains(v, "brokkr_BR") || v != "" && (name == "pak" || name == "token" || strings.HasSuffix(name, "secret")) {
				out = append(out, name)
			}
		}
	}
	var v any
	if json.Unmarshal(body, &v) == nil {
		look("", v)
	}
	return out
}

func TestIdempotencyKeysThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for name, values := range map[string][]string{"empty": {""}, "long": {strings.Repeat("k", 256)}, "control": {"a\tb"}, "two": {"a", "b"}} {
		r := w.build(asOwner, newStackOf("none"))
		r.Header["Idempotency-Key"] = values
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_idempotency_key" {
			t.Errorf("%s: got %d %s, want 400 invalid_idempotency_key", name, rec.Code, rec.Body)
		}
	}
	if n := w.stacks("none"); n != 0 {
		t.Errorf("made %d stacks", n)
	}
	q := under(strings.Repeat("k", 255), newStackOf("long"))
	if w.ok(asOwner, q); !replayed(w.ok(asOwner, q)) {
		t.Error("255 bytes are no key")
	}
}

// A key is that of its subject: another tenant who chooses the same text learns nothing, a rotated PAK of the same finds it.
func TestKeyIsOfItsSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	q := under("same", newStackOf("mine"))
	first := w.ok(asOwner, q)
	for _, as := range []string{asOther, asAdmin} {
		if rec := w.ok(as, q); replayed(rec) || rec.Body.String() == first.Body.String() {
			t.Errorf("%s: got the owner's answer", as)
		}
	}
	_, key, err := api.RotateGenerator(t.Context(), w.store, time.Now, strings.NewReader(strings.Repeat("0123456789abcdef", 8)), w.owner.ID)
	must(t, err)
	w.keys["rotated"] = key.Reveal()
	if rec := w.ok("rotated", q); !replayed(rec) || rec.Body.String() != first.Body.String() {
		t.Errorf("with the new PAK: got %s, want the first answer", rec.Body)
	}
	elsewhere := under("same", request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/labels", body: `"same"`})
	if rec := w.ok("rotated", elsewhere); replayed(rec) {
		t.Error("another operation was answered with the first's answer")
	}
}

func TestFailuresAreDoneAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	q := under("k", newStackOf("web")) // the owner has one
	if rec := w.do(asOwner, q); rec.Code != http.StatusConflict || code(t, rec) == "idempotency_done" {
		t.Fatalf("a name that is taken: %d %s", rec.Code, rec.Body)
	}
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID)})
	if rec := w.ok(asOwner, q); replayed(rec) {
		t.Error("the refusal was kept")
	}
}

// A test of a webhook that fails has come to nothing, so that its key is still there for the next attempt.
func TestFailedWebhookTestKeepsItsKey(t *testing.T) {
	t.Parallel()
	up := atomic.Bool{}
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			rw.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(receiver.Close)
	w := newWorld(t, loadContract(t))
	made := decode[struct{ ID string }](t, w.ok(asAdmin, request{method: "POST", path: "/webhooks",
		body: `{"name":"w","url":"` + receiver.URL + `","event_types":["*"]}`}))
	q := under("k", request{method: "POST", path: "/webhooks/" + made.ID + "/test"})
	for range 2 {
		if rec := w.do(asAdmin, q); rec.Code != http.StatusBadRequest || code(t, rec) != "webhook_test_failed" {
			t.Fatalf("the receiver refuses: %d %s", rec.Code, rec.Body)
		}
	}
	up.Store(true)
	if rec := w.ok(asAdmin, q); replayed(rec) {
		t.Error("the first success was replayed")
	}
	if rec := w.ok(asAdmin, q); !replayed(rec) {
		t.Error("the success was not kept")
	}
	tested := 0
	for _, e := range w.entries() {
		if e.Action == audit.WebhookTested && e.ResourceID == made.ID {
			tested++
		}
	}
	if tested != 3 {
		t.Errorf("%d tests are in the audit log, want the three that were made", tested)
	}
}

func TestAnswersThatAreLongAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	long := manifest + "data:\n  text: " + strings.Repeat("x", idempotency.MaxAnswer) + "\n"
	q := under("k", request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", body: long, contentType: "application/yaml"})
	made := decode[struct {
		ID string `json:"id"`
	}](t, w.ok(asOwner, q))
	// What was done a moment ago may still get its answer; then nobody waits for it any more.
	rec := w.do(asOwner, q)
	if done := decode[doneBody](t, rec); rec.Code != http.StatusConflict || done.Code != "idempotency_done" || done.Details.ID != made.ID || done.Details.Type != "deployment_object" {
		t.Errorf("got %d %s, want 409 idempotency_done that names object %s", rec.Code, rec.Body, made.ID)
	}
}

// replica returns another replica, with a clock of its own.
func (w *world) replica(store ports.Store, wakeups ports.Wakeups, clock func() time.Time) (http.Handler, *telemetry.Telemetry) {
	w.t.Helper()
	tel, err := telemetry.New(w.t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	must(w.t, err)
	svc, err := api.New(w.t.Context(), api.Config{}, api.Deps{
		Store: store, Telemetry: tel, Clock: clock, Version: "1.2.3", Wakeups: wakeups,
		Verifier: identity.NewVerifier(w.store.Credentials(), wakeups, time.Now), Sender: outbound.ToTheWorld(nil),
	})
	must(w.t, err)
	return svc.Handler(), tel
}

func TestKeysExpire(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	q := under("k", newStackOf("daily"))
	first := w.ok(asOwner, q)
	at := func(d time.Duration) *httptest.ResponseRecorder {
		h, _ := w.replica(inner, inner, func() time.Time { return time.Now().Add(d) })
		return w.on(h, asOwner, q)
	}
	if rec := at(idempotency.Keep - time.Minute); !replayed(rec) || rec.Body.String() != first.Body.String() {
		t.Errorf("within a day: %d %s", rec.Code, rec.Body)
	}
	if rec := at(idempotency.Keep + time.Minute); replayed(rec) || rec.Code != http.StatusConflict || code(t, rec) == "idempotency_done" {
		t.Errorf("after a day: %d %s, want it done again, and so refused for its name", rec.Code, rec.Body)
	}
}
