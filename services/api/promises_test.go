package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// told returns the names of what a webhook is told of an event, sorted, and the data.
func told(t *testing.T, e event.Event) (names []string, data map[string]any) {
	t.Helper()
	text, err := webhook.Body(e)
	must(t, err)
	var body struct {
		Data map[string]any `json:"data"`
	}
	must(t, json.Unmarshal([]byte(text), &body))
	return slices.Sorted(maps.Keys(body.Data)), body.Data
}

// What webhooks are told of what happens here is what was published.
func TestEventsTellWhatWasPublished(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	words := strings.Fields
	for op, want := range map[string]map[event.Type][]string{
		"create_agent": {event.AgentRegistered: words("agent_id cluster_name created_at name status")},
		"join_agent":   {event.AgentRegistered: words("agent_id cluster_name created_at name status")},
		"delete_agent": {event.AgentDeregistered: words("agent_id deleted_at")},
		"create_stack": {event.StackCreated: words("created_at description name stack_id")},
		"delete_stack": {
			event.StackDeleted: words("deleted_at stack_id"), event.DeploymentDeleted: words("deleted_at deployment_object_id stack_id"),
		},
		"restore_stack":            {event.StackRestored: words("name restored_at stack_id")},
		"create_deployment_object": {event.DeploymentCreated: words("created_at deployment_object_id sequence_id stack_id")},
		"instantiate_template":     {event.DeploymentCreated: words("created_at deployment_object_id sequence_id stack_id")},
		"create_work_order":        {event.WorkOrderCreated: words("created_at status work_order_id work_type")},
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := successes()[op](w)
			before := w.end()
			w.ok(asAdmin, q)
			got := map[event.Type][]string{}
			for _, e := range w.since(before) {
				got[e.Type], _ = told(t, e)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Published clients change a thing by sending all of it back, as they have read it.
func TestPutTakesWhatGetAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for _, path := range []string{"/agents/" + string(w.agent.ID), "/generators/" + string(w.owner.ID), "/stacks/" + string(w.stack.ID)} {
		was := answer[map[string]any](w, asAdmin, http.MethodGet, path, "")
		whole, err := json.Marshal(was)
		must(t, err)
		is := answer[map[string]any](w, asAdmin, http.MethodPut, path, string(whole))
		delete(was, "updated_at")
		delete(is, "updated_at")
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s (-read +written):\n%s", path, diff)
		}
	}
	got := answer[map[string]any](w, asAdmin, http.MethodPut, "/agents/"+string(w.agent.ID), `{"status":"ACTIVE"}`)
	if got["status"] != "ACTIVE" || got["name"] != w.agent.Name || got["cluster_name"] != w.agent.ClusterName {
		t.Errorf("a part alone: got %v, want the agent active, and nothing else changed", got)
	}
}

func TestANewAgentIsInactiveAndRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	made := answer[struct {
		Agent struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"agent"`
	}](w, asAdmin, http.MethodPost, "/agents", `{"name":"new","cluster_name":"c","generator_ids":["`+string(w.owner.ID)+`"]}`)
	if made.Agent.Status != "INACTIVE" {
		t.Errorf("its status is %s, want INACTIVE", made.Agent.Status)
	}
	got := map[string]string{}
	for _, r := range answer[[]struct {
		GeneratorID string `json:"generator_id"`
		State       string `json:"state"`
	}](w, asAdmin, http.MethodGet, "/agents/"+made.Agent.ID+"/registrations", "") {
		got[r.GeneratorID] = r.State
	}
	if diff := cmp.Diff(map[string]string{string(w.owner.ID): "approved", w.generatorID(tenancy.SystemGenerator): "approved"}, got); diff != "" {
		t.Errorf("registrations (-want +got):\n%s", diff)
	}
}

// The system's generator is none of the tenants: it is not listed among them, and lists no agents of its own.
func TestTheSystemGeneratorIsNoTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	var names []string
	for _, p := range answer[[]struct{ Name string }](w, asAdmin, http.MethodGet, "/paks", "") {
		names = append(names, p.Name)
	}
	if want := []string{tenancy.AdminGenerator, "other", "owner"}; !slices.Equal(names, want) {
		t.Errorf("PAKs: got %v, want %v", names, want)
	}
	w.keep(tenancy.Credential{Name: "system", Role: tenancy.RoleGenerator, Generator: tenancy.GeneratorID(w.generatorID(tenancy.SystemGenerator)), CreatedAt: time.Now()})
	w.refused("system", request{method: http.MethodGet, path: "/agents"}, http.StatusForbidden, "system_generator_not_a_tenant")
	var mine []string
	for _, a := range answer[[]struct{ Name string }](w, asOwner, http.MethodGet, "/agents", "") {
		mine = append(mine, a.Name)
	}
	if !slices.Equal(mine, []string{w.agent.Name}) {
		t.Errorf("the owner's agents: got %v, want the one that is registered with it", mine)
	}
}

// A key may stand alone or behind the scheme, in whatever case.
func TestHowKeysAreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	key := w.keys[asOwner]
	for header, want := range map[string]int{
		key: 200, "Bearer " + key: 200, "bearer " + key: 200, "BEARER " + key: 200,
		"": 401, "Basic " + key: 401, "Bearer": 401, "Bearer brokkr_BRaaaaaa_" + strings.Repeat("1", 32): 401, key[:len(key)-1] + "_x": 401, "Bearer x": 401,
	} {
		r := w.build(asNobody, request{method: http.MethodPost, path: "/auth/pak"})
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != want || want == http.StatusUnauthorized && rec.Body.Len() != 0 {
			t.Errorf("%.12q: got %d %s, want %d, and no body of a refusal", header, rec.Code, rec.Body, want)
		}
	}
}

func TestWhoIsDeletedIsLetInNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.ok(asAdmin, request{method: http.MethodDelete, path: "/agents/" + string(w.agent.ID)})
	w.refused(asAdmin, request{method: http.MethodGet, path: "/agents/" + string(w.agent.ID)}, http.StatusNotFound, "agent_not_found")
	w.ok(asOwner, request{method: http.MethodDelete, path: "/generators/" + string(w.owner.ID)})
	w.refused(asAdmin, request{method: http.MethodGet, path: "/generators/" + string(w.owner.ID)}, http.StatusNotFound, "generator_not_found")
	w.refused(asAdmin, request{method: http.MethodGet, path: "/stacks/" + string(w.stack.ID)}, http.StatusNotFound, "stack_not_found")
	for _, as := range []string{asSelf, asOwner} {
		if got := w.whoami(as); got != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", as, got)
		}
	}
}

// What ends consent is not there twice, and takes the targets with it.
func TestDeregistrationTakesTheTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	end := request{method: http.MethodDelete, path: "/generators/" + string(w.owner.ID) + "/register", body: `{"agent_id":null}`}
	if rec := w.checked(asSelf, end); rec.Code != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", rec.Code, rec.Body)
	}
	if left := answer[[]any](w, asSelf, http.MethodGet, "/agents/"+string(w.agent.ID)+"/targets", ""); len(left) != 0 {
		t.Errorf("targets: got %v, want none", left)
	}
	w.refused(asSelf, end, http.StatusNotFound, "registration_not_found")
	w.refused(asOwner, request{method: http.MethodPut, path: "/generators/" + string(w.owner.ID) + "/registered-agents/" + string(w.agent.ID), body: `{"state":"approved"}`},
		http.StatusNotFound, "registration_not_found")
	w.refused(asOwner, request{method: http.MethodPost, path: "/agents/" + string(w.agent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`},
		http.StatusForbidden, "agent_not_registered")
}

// An agent reads the labels, annotations and objects of a stack that is one of its targets, before anything is decided about it, and
// nothing of others; what it may not do with any stack is the same for all of them.
func TestAgentsReadTheStacksOfTheirTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	o := w.publish(w.unpinned)
	path := "/stacks/" + string(w.unpinned.ID)
	reads := map[string]string{path + "/labels": "stack_not_found", path + "/annotations": "stack_not_found", "/deployment-objects/" + string(o.ID): "deployment_object_not_found"}
	for read, code := range reads {
		w.refused(asSelf, request{method: http.MethodGet, path: read}, http.StatusNotFound, code)
	}
	w.ok(asOwner, request{method: http.MethodPost, path: "/agents/" + string(w.agent.ID) + "/targets", body: `{"stack_id":"` + string(w.unpinned.ID) + `"}`})
	for read, code := range reads {
		if rec := w.checked(asSelf, request{method: http.MethodGet, path: read}); rec.Code != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", read, rec.Code, rec.Body)
		}
		w.refused(asOtherAgent, request{method: http.MethodGet, path: read}, http.StatusNotFound, code)
	}
	rec := w.checked(asSelf, request{method: http.MethodGet, path: "/deployment-objects/" + string(o.ID), header: map[string]string{"Accept": "application/yaml"}})
	if rec.Code != http.StatusOK || rec.Body.String() != manifest {
		t.Errorf("as YAML: got %d %s, want the manifest", rec.Code, rec.Body)
	}
	for _, q := range []request{
		{method: http.MethodGet, path: path}, {method: http.MethodGet, path: path + "/deployment-objects"}, {method: http.MethodDelete, path: path},
		{method: http.MethodPost, path: path + "/labels", body: `"x"`},
	} {
		w.refused(asSelf, q, http.StatusForbidden, "stack_not_accessible")
	}
}

// Labels are bare JSON strings, in the body and in the answer's field.
func TestLabelsAreSentAsBareStrings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for path, of := range map[string]string{"/stacks/" + string(w.stack.ID): "stack_id", "/templates/" + string(w.template.ID): "template_id"} {
		got := answer[map[string]any](w, asOwner, http.MethodPost, path+"/labels", `"env:prod"`)
		if got["label"] != "env:prod" || got[of] != path[strings.LastIndex(path, "/")+1:] || got["id"] == "" {
			t.Errorf("%s: got %v", path, got)
		}
		w.refused(asOwner, request{method: http.MethodPost, path: path + "/labels", body: `"env:prod"`}, http.StatusConflict, "unique_violation")
		w.ok(asOwner, request{method: http.MethodDelete, path: path + "/labels/env:prod"})
		if rec := w.do(asOwner, request{method: http.MethodPost, path: path + "/labels", body: `{"label":"env:prod"}`}); rec.Code != http.StatusBadRequest {
			t.Errorf("%s, an object: got %d %s, want 400", path, rec.Code, rec.Body)
		}
	}
}

// What is not told of an entry of the audit log is left out where clients expect that, and null elsewhere.
func TestAuditEntriesLeaveOutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	must(t, w.store.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		return tx.AuditLog().Append(ctx, audit.Did(audit.StackCreated, string(w.stack.ID), nil, w.stack).
			Complete(audit.ID(uuid.NewString()), time.Now(), audit.Actor{Type: audit.System}, audit.Source{}))
	}))
	got := answer[struct {
		Logs []map[string]any `json:"logs"`
	}](w, asAdmin, http.MethodGet, "/admin/audit-logs?actor_type=system&resource_id="+string(w.stack.ID)+"&limit=1", "")
	if len(got.Logs) != 1 {
		t.Fatalf("got %d entries, want the one of the system", len(got.Logs))
	}
	e := got.Logs[0]
	for _, name := range []string{"ip_address", "user_agent"} {
		if v, there := e[name]; there {
			t.Errorf("%s is %v, want it left out", name, v)
		}
	}
	for _, name := range []string{"actor_id", "details"} {
		if v, there := e[name]; !there || v != nil {
			t.Errorf("%s is %v (there: %t), want null", name, v, there)
		}
	}
}

// Who makes what is there already is told which constraint says so, by whichever store.
func TestDuplicatesNameTheirConstraint(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for kind, open := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, c, api.Config{}, open(t))
			for _, q := range []request{
				{method: http.MethodPost, path: "/agents", body: `{"name":"` + w.agent.Name + `","cluster_name":"` + w.agent.ClusterName + `"}`},
				{method: http.MethodPost, path: "/generators", body: `{"name":"owner"}`},
				{method: http.MethodPost, path: "/stacks", body: `{"name":"web","generator_id":"` + string(w.owner.ID) + `"}`},
				{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/labels", body: `"tier/web"`},
				{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/annotations", body: `{"key":"team","value":"y"}`},
				{method: http.MethodPost, path: "/agents/" + string(w.agent.ID) + "/labels", body: `{"label":"prod"}`},
				{method: http.MethodPost, path: "/agents/" + string(w.agent.ID) + "/annotations", body: `{"key":"region","value":"us"}`},
				{method: http.MethodPost, path: "/agents/" + string(w.agent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`},
				{method: http.MethodPost, path: "/templates/" + string(w.template.ID) + "/labels", body: `"tier/web"`},
				{method: http.MethodPost, path: "/templates/" + string(w.template.ID) + "/annotations", body: `{"key":"team","value":"y"}`},
			} {
				details := w.refused(asAdmin, q, http.StatusConflict, "unique_violation")
				if name, _ := details["constraint"].(string); name == "" {
					t.Errorf("%s: details are %v, want the constraint", q.path, details)
				}
			}
		})
	}
}
