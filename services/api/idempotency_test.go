package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
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

// Whatever call to the store fails: the request has one effect, and who repeats it learns the truth.
func TestFailureAnywhereLeavesOneEffect(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	seen := map[string]int{}
	for n := 1; n < 20; n++ {
		name := fmt.Sprintf("fault-%d", n)
		q := under(name, newStackOf(name))
		h, _ := w.replica(porttest.Faulty(inner, n, errors.New("broken")), inner, time.Now)
		first := w.on(h, asOwner, q)
		if first.Code >= 400 && w.stacks(name) != 0 {
			t.Errorf("call %d: %d although it was done", n, first.Code)
		}
		again := w.do(asOwner, q)
		if got := w.stacks(name); got != 1 {
			t.Errorf("call %d: %d stacks, want one", n, got)
		}
		switch {
		case first.Code == http.StatusInternalServerError && again.Code == http.StatusCreated && !replayed(again):
			seen["failed, then done"]++
		case first.Code == http.StatusCreated && again.Code == http.StatusConflict && decode[doneBody](t, again).Details.ID == decode[doneBodyID](t, first).ID:
			seen["done, but the answer not kept"]++
		case first.Code == http.StatusCreated && replayed(again) && again.Body.String() == first.Body.String():
			seen["done and kept"]++
		default:
			t.Errorf("call %d: %d %s, then %d %s", n, first.Code, first.Body, again.Code, again.Body)
		}
	}
	if seen["failed, then done"] < 5 || seen["done, but the answer not kept"] != 1 || seen["done and kept"] < 1 {
		t.Errorf("seen %v, want each: failures before, one after the commit, and none", seen)
	}
}

type doneBodyID struct {
	ID string `json:"id"`
}

// unsure is a store that loses its connection right after a commit.
type unsure struct{ ports.Store }

func (u unsure) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	if err := u.Store.Write(ctx, fn); err != nil {
		return err
	}
	return fault.New(fault.Unavailable, "commit_unknown", "the connection broke")
}

func TestDoneThoughNobodyWasTold(t *testing.T) {
	t.Parallel()
	inner := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, inner)
	h, _ := w.replica(unsure{inner}, inner, time.Now)
	q := under("k", newStackOf("unsure"))
	if rec := w.on(h, asOwner, q); rec.Code != http.StatusServiceUnavailable {
		t.Fatalf("got %d %s, want 503", rec.Code, rec.Body)
	}
	late, tel := w.replica(inner, inner, func() time.Time { return time.Now().Add(time.Minute) })
	begin := time.Now()
	rec := w.on(late, asOwner, q)
	done := decode[doneBody](t, rec)
	s, err := inner.Stacks().ByName(t.Context(), w.owner.ID, "unsure")
	must(t, err)
	if rec.Code != http.StatusConflict || done.Code != "idempotency_done" || done.Details.Type != "stack" || done.Details.ID != string(s.ID) {
		t.Errorf("again: %d %s, want 409 idempotency_done that names stack %s", rec.Code, rec.Body, s.ID)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("waited %s for an answer that nobody will give", took)
	}
	text := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(text, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if !strings.Contains(text.Body.String(), `brokkr_idempotency_keys_total{outcome="spent"} 1`) {
		t.Error("the metric does not tell of it")
	}
}

// databases are the stores on which several replicas work at once.
func databases(t *testing.T) map[string]func(t *testing.T) interface {
	ports.Store
	ports.Wakeups
} {
	t.Helper()
	type shared = interface {
		ports.Store
		ports.Wakeups
	}
	return map[string]func(t *testing.T) shared{
		"memory": func(*testing.T) shared { return memory.New(time.Now) },
		"postgres": func(t *testing.T) shared {
			t.Helper()
			dsn := testenv.Postgres(t)
			log := slog.New(slog.DiscardHandler)
			must(t, postgres.Migrate(t.Context(), dsn, log))
			s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s
		},
	}
}

func TestRacingRepetitionsHaveOneEffect(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			w := newWorldOf(t, c, api.Config{}, store)
			replicas := []http.Handler{w.handler, w.handlerOf(store)}
			path := "/stacks/" + string(w.stack.ID) + "/deployment-objects"
			before, err := store.Objects().OfStack(t.Context(), w.stack.ID)
			must(t, err)
			const racers = 12
			answers := make([]*httptest.ResponseRecorder, racers)
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					answers[i] = w.on(replicas[i%2], asOwner, under("race", request{method: "POST", path: path, body: manifest, contentType: "application/yaml"}))
				})
			}
			wg.Wait()
			after, err := store.Objects().OfStack(t.Context(), w.stack.ID)
			must(t, err)
			if len(after)-len(before) != 1 {
				t.Errorf("%d objects were made, want one", len(after)-len(before))
			}
			firsts := 0
			for i, rec := range answers {
				if rec.Code == http.StatusCreated && decode[doneBodyID](t, rec).ID == string(after[0].ID) {
					if !replayed(rec) {
						firsts++
					}
					continue
				}
				// On a machine that is busy the first may take longer than the others wait.
				if rec.Code != http.StatusConflict || code(t, rec) != "idempotency_in_progress" && code(t, rec) != "idempotency_done" {
					t.Errorf("racer %d: %d %s", i, rec.Code, rec.Body)
				}
			}
			if firsts != 1 {
				t.Errorf("%d have done it, want one", firsts)
			}
		})
	}
}

func TestWhatIsInProgressIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	store := databases(t)["postgres"](t)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	q := under("slow", newStackOf("slow"))
	key, err := idempotency.NewKey("generator/"+string(w.owner.ID)+"/", "create_stack", "/api/v1/stacks", "slow")
	must(t, err)
	must(t, store.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Idempotency().Claim(ctx, key, time.Now()); err != nil {
			return err
		}
		rec := w.checked(asOwner, q)
		if rec.Code != http.StatusConflict || code(t, rec) != "idempotency_in_progress" || rec.Header().Get("Retry-After") != "1" {
			t.Errorf("meanwhile: %d %v %s, want 409 idempotency_in_progress and when to ask again", rec.Code, rec.Header(), rec.Body)
		}
		return nil
	}))
	if rec := w.ok(asOwner, q); replayed(rec) || w.stacks("slow") != 1 {
		t.Errorf("afterwards: %s, want it done", rec.Body)
	}
}

func TestKeyWithoutEffectIsNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for range 2 {
		if rec := w.ok(asOwner, under(uuid.NewString(), request{method: "POST", path: "/auth/pak"})); replayed(rec) {
			t.Error("a question was answered with an answer that is kept")
		}
	}
}
