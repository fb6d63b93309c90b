package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// since returns the events that were written after the cursor.
func (w *world) since(c ports.Cursor) []event.Event {
	w.t.Helper()
	events, _, err := w.store.Outbox().Read(w.t.Context(), c, time.Now(), 0, 100)
	must(w.t, err)
	return events
}

func (w *world) end() ports.Cursor {
	w.t.Helper()
	c, err := w.store.Outbox().End(w.t.Context())
	must(w.t, err)
	return c
}

func (w *world) ok(as string, q request) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := w.do(as, q)
	if rec.Code >= http.StatusBadRequest {
		w.t.Fatalf("%s %s: status %d: %s", q.method, q.path, rec.Code, rec.Body)
	}
	return rec
}

func TestChangesWriteTheirEvents(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	want := map[string][]event.Type{
		"create_agent": {event.AgentRegistered}, "join_agent": {event.AgentRegistered}, "update_agent": {event.AgentChanged}, "delete_agent": {event.AgentDeregistered},
		"agents_add_label": {event.AgentChanged}, "agents_remove_label": {event.AgentChanged},
		"agents_add_annotation": {event.AgentChanged}, "agents_remove_annotation": {event.AgentChanged},
		"add_target": {event.AgentChanged}, "remove_target": {event.AgentChanged},
		"register_agent": {event.ConsentChanged}, "deregister_agent": {event.ConsentChanged},
		"update_registered_agent": {event.ConsentChanged}, "remove_registered_agent": {event.ConsentChanged},
		"create_stack": {event.StackCreated}, "update_stack": {event.StackChanged}, "delete_stack": {event.StackDeleted, event.DeploymentDeleted}, "restore_stack": {event.StackRestored},
		"stacks_add_label": {event.StackChanged}, "stacks_remove_label": {event.StackChanged},
		"stacks_add_annotation": {event.StackChanged}, "stacks_remove_annotation": {event.StackChanged},
		"create_work_order": {event.WorkOrderCreated},
		"pause_rollout":     {event.RolloutActed}, "resume_rollout": {event.RolloutActed}, "approve_rollout": {event.RolloutActed},
		"abort_rollout": {event.RolloutActed}, "rollback_rollout": {event.RolloutActed}, "rollback_stack": {event.DeploymentCreated},
		"cordon_agent": {event.AgentChanged}, "uncordon_agent": {event.AgentChanged}, "drain_agent": {event.AgentChanged}, "end_agent_drain": {event.AgentChanged},
		"agents_put_taint": {event.AgentChanged}, "agents_remove_taint": {event.AgentChanged},
		"create_placement_policy": {event.PolicyCreated}, "update_placement_policy": {event.PolicyChanged}, "delete_placement_policy": {event.PolicyDeleted},
		"attach_placement_policy": {event.PolicyAttached}, "attach_placement_policy_label": {event.PolicyAttached},
		"detach_placement_policy": {event.PolicyDetached}, "detach_placement_policy_label": {event.PolicyDetached},
		"create_deployment_object": {event.DeploymentCreated}, "instantiate_template": {event.DeploymentCreated}, "approve_stack_placement": {event.PlacementApproved},
		"delete_generator": {
			event.StackDeleted, event.DeploymentDeleted, event.StackDeleted, event.StackDeleted, event.DeploymentDeleted, event.GeneratorDeleted,
		},
		"create_diagnostic_request": {event.DiagnosticRequested},
	}
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for op, build := range successes() {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := build(w)
			before := w.end()
			q.header = map[string]string{"traceparent": traceparent}
			w.ok(asAdmin, q)
			var got []event.Type
			for _, e := range w.since(before) {
				got = append(got, e.Type)
				if !strings.HasPrefix(e.Traceparent, traceparent[:36]) {
					t.Errorf("event %s has traceparent %q, not of the call's trace", e.Type, e.Traceparent)
				}
				nobodys := e.Type == event.WorkOrderCreated // it is for whoever takes it
				if e.ID == "" || e.At.IsZero() || (e.Agent == "" && e.Stack == "" && e.Generator == "" && !nobodys) {
					t.Errorf("event lacks id, time or subject: %+v", e)
				}
			}
			if len(got) != len(want[op]) {
				t.Fatalf("events %v, want %v", got, want[op])
			}
			for i := range got {
				if got[i] != want[op][i] {
					t.Errorf("event %d is %s, want %s", i, got[i], want[op][i])
				}
			}
		})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	type object struct {
		ID       string `json:"id"`
		Sequence int64  `json:"sequence_id"`
		Content  string `json:"yaml_content"`
		Checksum string `json:"yaml_checksum"`
		Marker   bool   `json:"is_deletion_marker"`
	}
	path := "/stacks/" + string(w.stack.ID) + "/deployment-objects"
	raw := request{method: "POST", path: path, body: manifest, contentType: "application/x-yaml; charset=utf-8"}
	first := decode[object](t, w.ok(asOwner, raw))
	sum := sha256.Sum256([]byte(manifest))
	if first.Content != manifest || first.Checksum != hex.EncodeToString(sum[:]) {
		t.Errorf("published %+v, want the manifest and its SHA-256", first)
	}
	again := decode[object](t, w.ok(asOwner, raw))
	if again.ID == first.ID || again.Sequence <= first.Sequence {
		t.Errorf("the same content again is %+v, want a new object after %+v", again, first)
	}
	marker := decode[object](t, w.ok(asOwner, request{method: "POST", path: path + "?deletion_marker=true", contentType: "text/yaml"}))
	if !marker.Marker || marker.Content != "" {
		t.Errorf("marker %+v, want an empty deletion marker", marker)
	}
	list := decode[[]object](t, w.ok(asOwner, request{method: "GET", path: path}))
	if len(list) != 4 || list[0].ID != marker.ID || list[1].ID != again.ID || list[1].Content != manifest {
		t.Errorf("list %+v, want marker, again, first and the one before, with content", list)
	}
	rec := w.checked(asSelf, request{method: "GET", path: "/deployment-objects/" + first.ID, header: map[string]string{"Accept": "application/yaml"}})
	if rec.Body.String() != manifest || rec.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("raw content is %q (%s), want the manifest as YAML", rec.Body, rec.Header().Get("Content-Type"))
	}
}

func TestRegistrationIsTwoSided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	type registration struct {
		State string `json:"state"`
	}
	owner := "/generators/" + string(w.owner.ID)
	ask := request{method: "POST", path: owner + "/register", body: `{"agent_id":null}`}
	if got := decode[registration](t, w.ok("new agent", ask)); got.State != "pending" {
		t.Errorf("an agent's own request is %q, want pending", got.State)
	}
	twice := w.do("new agent", ask)
	details := decode[struct {
		Details struct {
			Registration struct {
				AgentID string `json:"agent_id"`
			} `json:"registration"`
		} `json:"details"`
	}](t, twice)
	if twice.Code != http.StatusConflict || details.Details.Registration.AgentID != string(w.newAgent.ID) {
		t.Errorf("twice: %d %s, want 409 with the registration", twice.Code, twice.Body)
	}
	approve := request{method: "PUT", path: owner + "/registered-agents/" + string(w.newAgent.ID), body: `{"state":"approved"}`}
	if got := decode[registration](t, w.ok(asOwner, approve)); got.State != "approved" {
		t.Errorf("after the approval it is %q", got.State)
	}
	w.ok(asOwner, request{method: "PUT", path: owner, body: `{"registration_policy":"closed"}`})
	if rec := w.do(asOtherAgent, ask); rec.Code != http.StatusForbidden {
		t.Errorf("a closed generator answers %d, want 403: %s", rec.Code, rec.Body)
	}
	w.ok(asOwner, request{method: "PUT", path: owner, body: `{"registration_policy":"open"}`})
	if got := decode[registration](t, w.ok(asOtherAgent, ask)); got.State != "approved" {
		t.Errorf("an open generator makes it %q, want approved", got.State)
	}
}

func TestRotationEndsTheFormerKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	rec := w.ok(asSelf, request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/rotate-pak"})
	fresh := decode[struct {
		PAK string `json:"pak"`
	}](t, rec).PAK
	time.Sleep(600 * time.Millisecond) // this verifier does not hear revocations: it trusts for half a second
	if rec := w.do(asSelf, request{method: "POST", path: "/auth/pak"}); rec.Code != http.StatusUnauthorized {
		t.Errorf("the former key answers %d, want 401", rec.Code)
	}
	w.keys["fresh"] = fresh
	got := decode[map[string]any](t, w.ok("fresh", request{method: "POST", path: "/auth/pak"}))
	if got["agent"] != string(w.agent.ID) || got["admin"] != false {
		t.Errorf("the new key is %v, want the agent", got)
	}
}

func TestStackOfTheReadmesFirstCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	s := decode[map[string]any](t, w.ok(asAdmin, request{method: "POST", path: "/stacks", body: `{"name":"first"}`}))
	if s["generator_id"] != w.generatorID(tenancy.AdminGenerator) {
		t.Errorf("an admin's stack belongs to %v, want the admin-generator", s["generator_id"])
	}
	s = decode[map[string]any](t, w.ok(asOwner, request{method: "POST", path: "/stacks", body: `{"name":"first"}`}))
	if s["generator_id"] != string(w.owner.ID) {
		t.Errorf("a generator's stack belongs to %v, want itself", s["generator_id"])
	}
	list := decode[[]map[string]any](t, w.ok(asAdmin, request{method: "GET", path: "/stacks?name=first"}))
	if len(list) != 2 {
		t.Errorf("?name=first lists %d stacks, want 2", len(list))
	}
}

type status struct {
	DeletedAt *time.Time `json:"deleted_at"`
	Clusters  []struct {
		State     string          `json:"state"`
		Phase     string          `json:"phase"`
		Applied   *map[string]any `json:"applied"`
		BlockedOn *string         `json:"blocked_on"`
	} `json:"clusters"`
	Summary map[string]int `json:"summary"`
}

func TestStatusTellsTheStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	ctx := t.Context()
	get := func(s string) status {
		t.Helper()
		return decode[status](t, w.checked(asOwner, request{method: "GET", path: "/stacks/" + s + "/status"}))
	}
	blocked := func(what, want string) {
		t.Helper()
		got := get(string(w.stack.ID)).Clusters[0]
		if got.BlockedOn == nil || !strings.Contains(*got.BlockedOn, want) {
			t.Errorf("%s: blocked_on %v, want it to say %q", what, got.BlockedOn, want)
		}
	}
	w.ok(asAdmin, request{method: http.MethodPut, path: "/agents/" + string(w.agent.ID), body: `{"status":"INACTIVE"}`})
	blocked("new agent", "never connected, and it is inactive")
	w.ok(asAdmin, request{method: http.MethodPut, path: "/agents/" + string(w.agent.ID), body: `{"status":"ACTIVE"}`})
	blocked("active", "never connected; start it")
	must(t, w.store.Agents().Beat(ctx, []agent.Heartbeat{{Agent: w.agent.ID, At: time.Now().Add(-time.Hour)}}))
	blocked("silent", "offline since")
	no := false
	must(t, w.store.Agents().Beat(ctx, []agent.Heartbeat{{Agent: w.agent.ID, At: time.Now(), K8sReachable: &no}}))
	blocked("cut off", "cannot reach its Kubernetes API")
	if held := get(string(w.held.ID)).Clusters[0]; held.BlockedOn == nil || !strings.Contains(*held.BlockedOn, "too many removals") {
		t.Errorf("held: blocked_on %v, want the hold's reason", held.BlockedOn)
	}
	report := func(phase delivery.Phase) {
		t.Helper()
		_, err := w.store.Reports().Record(ctx, w.agent.ID, time.Now(), []delivery.Report{{Stack: w.stack.ID, Object: w.object.ID,
			Sequence: w.object.Sequence, Phase: phase, Health: delivery.HealthHealthy, ObservedAt: time.Now()}})
		must(t, err)
	}
	report(delivery.PhaseApplied)
	s := get(string(w.stack.ID))
	if s.Clusters[0].Applied == nil || s.Clusters[0].BlockedOn != nil || s.Summary["healthy"] != 1 || s.Summary["applied"] != 1 {
		t.Errorf("applied: %+v, want it applied, healthy and not blocked", s)
	}
	w.publish(w.stack)
	w.decide(w.stack, nil, w.agent)
	if s = get(string(w.stack.ID)); s.Clusters[0].Phase != "pending" || s.Clusters[0].Applied == nil || s.Summary["applied"] != 0 {
		t.Errorf("a newer object: %+v, want it pending with the former one applied", s)
	}
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID)})
	w.commit(w.stack, nil, delivery.Removing, w.agent)
	if s = get(string(w.stack.ID)); s.DeletedAt == nil || s.Summary["removing"] != 1 || s.Clusters[0].State != "removing" || s.Clusters[0].Phase != "pending" {
		t.Errorf("deleted: %+v, want deleted_at and one removal that is pending", s)
	}
	rev, _, err := w.store.Assignments().OfAgent(ctx, w.agent.ID)
	must(t, err)
	_, err = w.store.Reports().Acknowledge(ctx, w.agent.ID, delivery.Removal{Stack: w.stack.ID, Revision: rev})
	must(t, err)
	if rec := w.do(asOwner, request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/status"}); rec.Code != http.StatusNotFound {
		t.Errorf("after the last tombstone: %d, want 404", rec.Code)
	}
}

func TestAnAgentThatIsUsedTwiceIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	show := func() *time.Time {
		return decode[struct {
			DuplicateSince *time.Time `json:"duplicate_since"`
		}](t, w.checked(asAdmin, request{method: "GET", path: "/agents/" + string(w.agent.ID)})).DuplicateSince
	}
	first, second := uuid.NewString(), uuid.NewString()
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	for i, boot := range []string{first, second} {
		must(t, w.store.Agents().Beat(t.Context(), []agent.Heartbeat{{Agent: w.agent.ID, Boot: boot, At: at.Add(time.Duration(i) * time.Second)}}))
	}
	if got := show(); got != nil {
		t.Errorf("after a restart: %v, want nothing", got)
	}
	at = at.Add(2 * time.Second)
	must(t, w.store.Agents().Beat(t.Context(), []agent.Heartbeat{{Agent: w.agent.ID, Boot: first, At: at}}))
	if got := show(); got == nil || !got.Equal(at) {
		t.Errorf("two processes in turns: %v, want %s", got, at)
	}
}

func TestAReportIsASignOfLifeBeforeTheFirstHeartbeatIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.ok(asAdmin, request{method: http.MethodPut, path: "/agents/" + string(w.agent.ID), body: `{"status":"ACTIVE"}`})
	_, err := w.store.Reports().Record(t.Context(), w.agent.ID, time.Now(), []delivery.Report{{Stack: w.stack.ID, Object: w.object.ID,
		Sequence: w.object.Sequence, Phase: delivery.PhaseFailed, Health: delivery.HealthDegraded, Message: "it is so", ObservedAt: time.Now()}})
	must(t, err)
	s := decode[status](t, w.checked(asOwner, request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/status"}))
	if c := s.Clusters[0]; c.Phase != "failed" || c.BlockedOn != nil {
		t.Errorf("got %+v, want it failed, not blocked on an agent that has never connected", c)
	}
}

func TestOwnersSeeNoClustersOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID) + "/placement"
	if rec := w.ok(asAdmin, request{method: "GET", path: path}); !strings.Contains(rec.Body.String(), string(w.otherAgent.ID)) {
		t.Errorf("an admin does not see every verdict: %s", rec.Body)
	}
	rec := w.ok(asOwner, request{method: "GET", path: path})
	if strings.Contains(rec.Body.String(), string(w.otherAgent.ID)) || !strings.Contains(rec.Body.String(), string(w.agent.ID)) {
		t.Errorf("the owner must see its own cluster alone: %s", rec.Body)
	}
	if !strings.Contains(rec.Body.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("the trace of the decision is missing: %s", rec.Body)
	}
}

// get calls a route that is not below /api/v1.
func (w *world) get(path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, nil))
	return rec
}

func TestProcessEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for path, want := range map[string]string{
		"/healthz": "OK", "/readyz": "Ready", "/health": `"status":"ok"`, "/metrics": "brokkr_build_info", "/docs/openapi.json": `"openapi":"3.0.3"`,
	} {
		if rec := w.get(path); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %.200s, want 200 with %q", path, rec.Code, rec.Body, want)
		}
	}
	w = newWorld(t, w.api) // the outcome of a check is remembered for a while
	must(t, w.store.Close())
	if rec := w.get("/readyz"); rec.Code != http.StatusServiceUnavailable || rec.Body.String() != "database unavailable" {
		t.Errorf("without its database: %d %q, want 503 database unavailable", rec.Code, rec.Body)
	}
	h := newWorld(t, w.api).handlerOf(memory.New(time.Now), func(d *api.Deps) { d.Channels = away{} })
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", nil))
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"status":"degraded"`) || !strings.Contains(rec.Body.String(), "who is connected is not known") {
		t.Errorf("with a cache that is away: %d %s, want 200, degraded, and what is missing", rec.Code, rec.Body)
	}
}
