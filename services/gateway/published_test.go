package gateway_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/services/gateway"
)

// object is a deployment object as a published agent reads it.
type object struct {
	ID               string    `json:"id"`
	CreatedAt        time.Time `json:"created_at"`
	SequenceID       int64     `json:"sequence_id"`
	StackID          string    `json:"stack_id"`
	YAMLContent      *string   `json:"yaml_content"`
	YAMLChecksum     string    `json:"yaml_checksum"`
	IsDeletionMarker bool      `json:"is_deletion_marker"`
}

func (r *replica) targets(a subject, query string) []object {
	r.w.Helper()
	return decode[[]object](r.w, r.do(r.w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/target-state"+query, nil), http.StatusOK)
}

func (r *replica) event(a subject, o stack.ObjectID, status string) *httptest.ResponseRecorder {
	r.w.Helper()
	return r.do(r.w.Context(), a.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/events", map[string]any{
		"agent_id": a.id, "deployment_object_id": o, "event_type": "DEPLOY", "status": status, "message": nil,
	})
}

func TestTargetStateOfAPublishedAgent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		first, second := w.publish(w.stack("one").ID, "kind: One"), w.publish(w.stack("two").ID, "kind: Two")
		w.assign(first, a)
		w.assign(second, a)
		r := w.gateway(options{})
		got := r.targets(a, "")
		if len(got) != 2 || got[0].ID != string(second.ID) || *got[0].YAMLContent != "kind: Two" || got[1].ID != string(first.ID) ||
			got[0].YAMLChecksum != string(second.Checksum) || got[0].SequenceID != int64(second.Sequence) || got[0].CreatedAt.IsZero() {
			t.Fatalf("got %+v, want both objects with content, newest first", got)
		}
		synctest.Wait() // the cache is filled behind the answer
		before := r.calls()
		for range 3 {
			r.targets(a, "")
		}
		if n := r.calls() - before; n != 0 {
			t.Errorf("calls to the store for an unchanged target state: got %d, want 0", n)
		}
		if rec := r.event(a, second.ID, "SUCCESS"); rec.Code != http.StatusCreated {
			t.Fatalf("event: got %d %s, want 201", rec.Code, rec.Body)
		}
		if full := r.targets(a, ""); len(full) != 2 {
			t.Errorf("full after success: got %d objects, want both", len(full))
		}
		if open := r.targets(a, "?mode=incremental"); len(open) != 1 || open[0].ID != string(first.ID) {
			t.Errorf("incremental after success: got %+v, want the first alone", open)
		}
		r.event(a, second.ID, "FAILURE")
		if open := r.targets(a, "?mode=incremental"); len(open) != 2 {
			t.Errorf("incremental after failure: got %d objects, want both: a failed apply is not an acknowledged one", len(open))
		}
		if rec := r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/target-state?mode=odd", nil); rec.Code != http.StatusBadRequest {
			t.Errorf("unknown mode: got %d, want 400", rec.Code)
		}
		third := w.publish(first.Stack, "kind: Three")
		w.assign(third, a)
		if got := r.targets(a, ""); got[0].ID != string(third.ID) {
			t.Errorf("after a change: got %+v, want the new object first", got)
		}
	})
}

func TestEmptyTargetStateIsAnEmptyList(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		rec := w.gateway(options{}).do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/target-state", nil)
		if got := strings.TrimSpace(rec.Body.String()); rec.Code != http.StatusOK || got != "[]" {
			t.Errorf("got %d %q, want 200 []", rec.Code, got)
		}
	})
}

func TestAPublishedAgentSeesAndAcknowledgesARemoval(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "kind: One")
		w.assign(o, a)
		one, two := w.gateway(options{}), w.gateway(options{})
		one.targets(a, "")
		one.event(a, o.ID, "SUCCESS")
		w.remove(o, a)
		// late news of the deployment, sent before the agent knew of the removal
		one.event(a, o.ID, "SUCCESS")
		if _, held := w.held(a); len(held) != 1 || held[0].State != delivery.Removing {
			t.Fatalf("got %+v, want the tombstone still there: nobody has told the agent", held)
		}
		for range 2 {
			got := one.targets(a, "")
			if len(got) != 1 || got[0].ID != string(o.ID) || !got[0].IsDeletionMarker || *got[0].YAMLContent != "" {
				t.Fatalf("got %+v, want the object as an empty deletion marker", got)
			}
		}
		time.Sleep(time.Second)
		one.event(a, o.ID, "FAILURE")
		if _, held := w.held(a); len(held) != 1 || held[0].State != delivery.Removing {
			t.Fatalf("after a failed removal: got %+v, want the tombstone", held)
		}
		if rec := two.event(a, o.ID, "SUCCESS"); rec.Code != http.StatusCreated {
			t.Fatalf("event at the other replica: got %d %s, want 201", rec.Code, rec.Body)
		}
		if _, held := w.held(a); len(held) != 0 {
			t.Errorf("after success: got %+v, want no tombstone", held)
		}
		if got := two.targets(a, ""); len(got) != 0 {
			t.Errorf("target state: got %+v, want none", got)
		}
		if got := w.outbox(event.RemovalAcknowledged); len(got) != 1 {
			t.Errorf("outbox: got %+v, want one removal.acknowledged", got)
		}
	})
}

func TestARemovalOfADeletedStackIsStillServed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "kind: One")
		w.assign(o, a)
		w.must(w.store.Stacks().Delete(w.Context(), o.Stack, time.Now()))
		w.remove(o, a)
		got := w.gateway(options{}).targets(a, "")
		if len(got) != 1 || got[0].ID != string(o.ID) || !got[0].IsDeletionMarker || got[0].SequenceID != int64(o.Sequence) {
			t.Errorf("got %+v, want the tombstone", got)
		}
	})
}

// tells checks what a webhook is told of an event: these names, and of them these values.
func (w *world) tells(e event.Event, names string, values map[string]any) {
	w.Helper()
	text, err := webhook.Body(e)
	w.must(err)
	var body struct {
		Data map[string]any `json:"data"`
	}
	w.must(json.Unmarshal([]byte(text), &body))
	if got := strings.Join(slices.Sorted(maps.Keys(body.Data)), " "); got != names {
		w.Errorf("%s tells %s, want %s", e.Type, got, names)
	}
	for name, want := range values {
		if body.Data[name] != want {
			w.Errorf("%s tells %s: %v, want %v", e.Type, name, body.Data[name], want)
		}
	}
}

func TestEventsAreKeptOnceAndOnlyAboutAssignedObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, b := w.agent("a", agent.Active), w.agent("b", agent.Active)
		mine, theirs := w.publish(w.stack("mine").ID, "v: 1"), w.publish(w.stack("theirs").ID, "v: 1")
		w.assign(mine, a)
		w.assign(theirs, b)
		r := w.gateway(options{})
		for range 3 {
			r.event(a, mine.ID, "success")
		}
		list := decode[[]map[string]any](t, r.do(w.Context(), a.key, http.MethodGet, "/api/v1/agents/"+string(a.id)+"/events", nil), http.StatusOK)
		if len(list) != 1 || list[0]["deployment_object_id"] != string(mine.ID) || list[0]["status"] != "success" || list[0]["message"] != nil {
			t.Errorf("events: got %v, want one for three identical reports", list)
		}
		if got := w.outbox(event.DeploymentApplied); len(got) != 1 {
			t.Errorf("outbox: got %d deployment.applied, want 1", len(got))
		} else {
			w.tells(got[0], "agent_event_id agent_id created_at deployment_object_id event_type message stack_id status",
				map[string]any{"stack_id": string(mine.Stack), "event_type": "DEPLOY", "status": "success", "message": nil})
		}
		r.event(a, mine.ID, "STEP-1")
		if got := w.outbox(event.DeploymentFailed); len(got) != 1 {
			t.Errorf("outbox: got %d deployment.failed, want 1: every other word than success is one", len(got))
		} else {
			w.tells(got[0], "agent_event_id agent_id created_at deployment_object_id event_type message stack_id status", map[string]any{"status": "STEP-1"})
		}
		for name, tt := range map[string]struct {
			object stack.ObjectID
			body   subject
			status int
			code   string
		}{
			"AnotherAgentsObject": {theirs.ID, a, http.StatusNotFound, "deployment_object_not_found"},
			"UnknownObject":       {stack.ObjectID(uuid.NewString()), a, http.StatusNotFound, "deployment_object_not_found"},
			"AnotherAgentInBody":  {mine.ID, b, http.StatusBadRequest, "agent_id_mismatch"},
		} {
			rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/agents/"+string(a.id)+"/events", map[string]any{
				"agent_id": tt.body.id, "deployment_object_id": tt.object, "event_type": "DEPLOY", "status": "SUCCESS",
			})
			if got := decode[problemBody](t, rec, tt.status); got.Code != tt.code {
				t.Errorf("%s: got code %q, want %q", name, got.Code, tt.code)
			}
		}
		admin := subject{id: a.id, key: w.admin()}
		if rec := r.event(admin, mine.ID, "FAILURE"); rec.Code != http.StatusCreated {
			t.Errorf("by an admin: got %d %s, want 201", rec.Code, rec.Body)
		}
		if _, held := w.held(a); held[0].Status.Phase != delivery.PhaseFailed {
			t.Errorf("status after FAILURE: got %s, want failed", held[0].Status.Phase)
		}
	})
}

// summary is the health summary that is kept of the object's only agent.
func (w *world) summary(o stack.Object) string {
	w.Helper()
	list, err := w.store.Insights().Healths(w.Context(), o.Stack)
	w.must(err)
	if len(list) != 1 {
		w.Fatalf("health records: got %d, want one", len(list))
	}
	return list[0].Summary
}

func TestHealthIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		o := w.publish(w.stack("web").ID, "v: 1")
		w.assign(o, a)
		r := w.gateway(options{})
		r.event(a, o.ID, "SUCCESS")
		patch := func(list ...map[string]any) *httptest.ResponseRecorder {
			if list == nil {
				list = []map[string]any{}
			}
			return r.do(w.Context(), a.key, http.MethodPatch, "/api/v1/agents/"+string(a.id)+"/health-status", map[string]any{"deployment_objects": list})
		}
		line := func(o any, status string) map[string]any {
			return map[string]any{"id": o, "status": status, "checked_at": time.Now(), "summary": map[string]any{
				"pods_ready": 1, "pods_total": 2, "conditions": []string{"ImagePullBackOff"}, "resources": nil,
			}}
		}
		if rec := patch(); rec.Code != http.StatusOK || rec.Body.Len() != 0 {
			t.Errorf("empty list: got %d %q, want 200 without a body", rec.Code, rec.Body)
		}
		for code, bad := range map[string]map[string]any{"foreign_key_violation": line(uuid.NewString(), "healthy"), "invalid_health_record": line(o.ID, "odd")} {
			if got := decode[problemBody](t, patch(line(o.ID, "degraded"), bad), http.StatusUnprocessableEntity); got.Code != code {
				t.Errorf("got code %q, want %q", got.Code, code)
			}
			if _, held := w.held(a); held[0].Status.Health != delivery.HealthUnknown {
				t.Errorf("%s: health is %s, want nothing of the batch taken", code, held[0].Status.Health)
			}
		}
		if rec := patch(line(o.ID, "degraded")); rec.Code != http.StatusOK {
			t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
		}
		_, held := w.held(a)
		st := held[0].Status
		if st.Health != delivery.HealthDegraded || st.Phase != delivery.PhaseApplied || st.Message != "1 of 2 pods ready; ImagePullBackOff" {
			t.Errorf("status: got %+v, want degraded, still applied, with the reason", st)
		}
		r.event(a, o.ID, "SUCCESS")
		if _, held := w.held(a); held[0].Status.Health != delivery.HealthDegraded {
			t.Errorf("health after a repeated success: got %s, want it kept", held[0].Status.Health)
		}
		if got, want := w.summary(o), `{"pods_ready":1,"pods_total":2,"conditions":["ImagePullBackOff"]}`; got != want {
			t.Errorf("summary: got %s, want %s, kept also after the event", got, want)
		}
		long := line(o.ID, "degraded")
		long["summary"].(map[string]any)["resources"] = []map[string]any{{"kind": "Pod", "name": strings.Repeat("n", 100<<10), "namespace": "x", "ready": false}}
		if rec := patch(long); rec.Code != http.StatusOK {
			t.Fatalf("a long summary: got %d %s, want 200", rec.Code, rec.Body)
		}
		if got := w.summary(o); len(got) > 1<<10 || !strings.Contains(got, "too long to be kept") || !strings.Contains(got, `"pods_total":2`) {
			t.Errorf("a long summary became %d bytes, want its counts and a word about what is missing: %.300s", len(got), got)
		}
	})
}

func TestVerifyPAK(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		s := w.stack("web")
		r := w.gateway(options{})
		for name, tt := range map[string]struct {
			key  pak.PAK
			want string
		}{
			"Agent":     {a.key, `{"admin":false,"agent":"` + string(a.id) + `","generator":null,"readonly":false,"role":"agent"}`},
			"Admin":     {w.admin(), `{"admin":true,"agent":null,"generator":null,"readonly":false,"role":"admin"}`},
			"Generator": {w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: s.Generator}), `{"admin":false,"agent":null,"generator":"` + string(s.Generator) + `","readonly":false,"role":"generator"}`},
			"Viewer":    {w.credential(tenancy.Credential{Role: tenancy.RoleViewer}), `{"admin":false,"agent":null,"generator":null,"readonly":true,"role":"viewer"}`},
		} {
			rec := r.do(w.Context(), tt.key, http.MethodPost, "/api/v1/auth/pak", nil)
			if got := strings.TrimSpace(rec.Body.String()); rec.Code != http.StatusOK || got != tt.want {
				t.Errorf("%s: got %d %s, want %s", name, rec.Code, got, tt.want)
			}
		}
	})
}

func TestFailedAuthenticationsAreLimited(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a := w.agent("a", agent.Active)
		r := w.gateway(options{config: func(c *gateway.Config) { c.AuthFailures = 5 }})
		r.do(w.Context(), a.key, http.MethodPost, "/api/v1/auth/pak", nil)
		var last *httptest.ResponseRecorder
		for range 6 {
			last = r.do(w.Context(), noKey(), http.MethodPost, "/api/v1/auth/pak", nil)
		}
		if last.Code != http.StatusTooManyRequests || last.Header().Get("Retry-After") == "" {
			t.Errorf("sixth failure: got %d, Retry-After %q, want 429 with it", last.Code, last.Header().Get("Retry-After"))
		}
		if rec := r.do(w.Context(), a.key, http.MethodPost, "/api/v1/auth/pak", nil); rec.Code != http.StatusOK {
			t.Errorf("a known key from the same address: got %d, want 200", rec.Code)
		}
	})
}

func TestEverythingElseGoesToTheAPI(t *testing.T) {
	t.Parallel()
	t.Run("InProcess", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(w *world) {
			r := w.gateway(options{admin: http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) { _, _ = io.WriteString(rw, q.Method+" "+q.URL.Path) })})
			a := uuid.NewString()
			for _, path := range []string{"/api/v1/stacks", "/docs/openapi.json", "/api/v1/agents/" + a, "/api/v1/agents/"} {
				if rec := r.do(w.Context(), noKey(), http.MethodGet, path, nil); rec.Body.String() != "GET "+path {
					t.Errorf("%s: got %d %s, want the api's answer", path, rec.Code, rec.Body)
				}
			}
			if rec := r.do(w.Context(), noKey(), http.MethodDelete, "/api/v1/agents/"+a+"/events", nil); !strings.HasPrefix(rec.Body.String(), "DELETE") {
				t.Errorf("another method on a path of ours: got %s, want the api's answer", rec.Body)
			}
			if rec := r.do(w.Context(), noKey(), http.MethodGet, "/healthz", nil); rec.Body.String() != "OK" {
				t.Errorf("healthz: got %q, want OK", rec.Body)
			}
		})
	})
	t.Run("Nowhere", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(w *world) {
			rec := w.gateway(options{}).do(w.Context(), noKey(), http.MethodGet, "/api/v1/stacks", nil)
			if got := decode[problemBody](t, rec, http.StatusNotFound); got.Code != "not_found" {
				t.Errorf("got code %q, want not_found", got.Code)
			}
		})
	})
}

func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := w.gateway(options{})
		synctest.Wait()
		for path, want := range map[string]string{"/healthz": "OK", "/readyz": "Ready", "/health": `"status":"ok"`, "/metrics": "brokkr_gateway_parked_syncs"} {
			if rec := r.do(w.Context(), noKey(), http.MethodGet, path, nil); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
				t.Errorf("%s: got %d %.200s, want %q", path, rec.Code, rec.Body, want)
			}
		}
	})
}
