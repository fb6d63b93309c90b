package gateway_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/api/openapi"
	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// request is one call in the words of the contract.
type request struct {
	method, path string // below the root
	body         any
}

// tenants is a gateway with an agent that has a stack of the owner, another agent, and a key of every kind.
type tenants struct {
	*replica
	keys   map[string]string
	agent  subject
	stack  stack.Stack
	object stack.Object
	orders []string // ids of work orders of the agent
}

// successes has one call for every operation of the gateway: about the agent itself, so that it succeeds for everybody
// who may make it. The authorization matrix is made of it. A new group of routes has a file <group>_requests_test.go with
// a map of its own, and a line in requestGroups.
func successes() map[string]func(w *tenants) request {
	out := map[string]func(w *tenants) request{}
	for _, group := range requestGroups() {
		maps.Copy(out, group)
	}
	return out
}

func requestGroups() []map[string]func(w *tenants) request {
	return []map[string]func(w *tenants) request{
		coreRequests(),
		workOrderRequests(),
		telemetryRequests(),
		webhookRequests(),
		diagnosticRequests(),
	}
}

func coreRequests() map[string]func(w *tenants) request {
	at := func(method, path string, body ...any) func(*tenants) request {
		return func(w *tenants) request {
			q := request{method: method, path: strings.ReplaceAll(path, "{agent}", string(w.agent.id))}
			if len(body) > 0 {
				q.body = body[0]
			}
			return q
		}
	}
	type object = map[string]any
	return map[string]func(w *tenants) request{
		"healthz": at("GET", "/healthz"), "readyz": at("GET", "/readyz"), "health": at("GET", "/health"), "metrics": at("GET", "/metrics"),
		"record_heartbeat": at("POST", "/api/v1/agents/{agent}/heartbeat"),
		"get_target_state": at("GET", "/api/v1/agents/{agent}/target-state"),
		"list_events":      at("GET", "/api/v1/agents/{agent}/events"),
		"create_event": func(w *tenants) request {
			return at("POST", "/api/v1/agents/{agent}/events", object{
				"agent_id": w.agent.id, "deployment_object_id": w.object.ID, "event_type": "DEPLOY", "status": "SUCCESS",
			})(w)
		},
		"update_health_status": func(w *tenants) request {
			return at("PATCH", "/api/v1/agents/{agent}/health-status", object{"deployment_objects": []object{
				{"id": w.object.ID, "status": "healthy", "checked_at": time.Now()},
			}})(w)
		},
		"sync_agent": func(w *tenants) request {
			return at("POST", "/api/v1/agents/{agent}/sync", w.agent.start().request(0))(w)
		},
		"get_manifest": func(w *tenants) request { return at("GET", "/api/v1/manifests/"+string(w.object.Checksum))(w) },
	}
}

// configMap is a bundle that can be shown.
func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

// newTenants makes the world of the matrix. Of the credentials those that are not there are nobody's.
func newTenants(w *world) *tenants {
	w.Helper()
	out := &tenants{agent: w.agent("a", agent.Active), stack: w.stack("one"), keys: map[string]string{accesstest.Garbage: "not-a-key"}}
	other, elsewhere := w.agent("b", agent.Active), w.stack("two")
	out.object = w.publish(out.stack.ID, configMap("one"))
	w.assign(out.object, out.agent)
	w.assign(w.publish(elsewhere.ID, configMap("two")), other)
	past := time.Now().Add(-time.Hour)
	keep := func(as string, key pak.PAK) { out.keys[as] = key.Reveal() }
	keep(accesstest.AgentSelf, out.agent.key)
	keep(accesstest.AgentOther, other.key)
	keep(accesstest.GeneratorOwner, w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: out.stack.Generator}))
	keep(accesstest.GeneratorOther, w.credential(tenancy.Credential{Role: tenancy.RoleGenerator, Generator: elsewhere.Generator}))
	keep(accesstest.Viewer, w.credential(tenancy.Credential{Role: tenancy.RoleViewer}))
	keep(accesstest.Operator, w.credential(tenancy.Credential{Role: tenancy.RoleOperator}))
	keep(accesstest.Admin, w.admin())
	keep(accesstest.Expired, w.credential(tenancy.Credential{Role: tenancy.RoleAdmin, ExpiresAt: &past}))
	keep(accesstest.Revoked, w.credential(tenancy.Credential{Role: tenancy.RoleAdmin, RevokedAt: &past}))
	out.replica = w.gateway(options{})
	return out
}

func (w *tenants) call(as string, q request) *httptest.ResponseRecorder {
	var content bytes.Buffer
	if q.body != nil {
		w.w.must(json.NewEncoder(&content).Encode(q.body))
	}
	r := httptest.NewRequestWithContext(w.w.Context(), q.method, q.path, &content)
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key := w.keys[as]; key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	rec := httptest.NewRecorder()
	w.svc.Handler().ServeHTTP(rec, r)
	w.w.marked(r, rec)
	synctest.Wait()
	return rec
}

// TestAuthorizationMatrix calls every operation of the gateway with every kind of credential. What an operation is
// called with is in successes; who may is in the OpenAPI document.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	accesstest.Suite[*tenants, request]{
		Service: accesstest.Gateway, Doc: doc, Requests: successes(), Elsewhere: []string{"openapi", "connect_agent", "watch_stack", "watch_fleet"},
		With: func(t *testing.T, f func(w *tenants)) {
			t.Helper()
			inBubble(t, func(w *world) { f(newTenants(w)) })
		},
		Do: func(w *tenants, as string, q request) *httptest.ResponseRecorder { return w.call(as, q) },
		Others: func(w *tenants) []string {
			return append([]string{string(w.agent.id), string(w.stack.ID), string(w.object.ID), string(w.object.Checksum), string(w.stack.Generator)}, w.orders...)
		},
		Unknown: func(q request, replace *strings.Replacer) request {
			q.path = replace.Replace(q.path)
			if q.body != nil {
				raw, err := json.Marshal(q.body)
				if err != nil {
					t.Error(err)
				}
				q.body = json.RawMessage(replace.Replace(string(raw)))
			}
			return q
		},
		Exceptions: map[string]map[string]accesstest.Outcome{
			// Another's claim: delivery_not_acquired_by_agent.
			"report_delivery_result": {accesstest.AgentOther: accesstest.Denied},
		},
		Calls: func(w *tenants) map[string]int { return accesstest.StoreCalls(w.w, w.tel.Registry) },
	}.Run(t)
}

// TestMatrixWorldIsThere says that what the matrix asks for in vain as another is really there.
func TestMatrixWorldIsThere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		all := newTenants(w)
		rec := all.call(accesstest.AgentSelf, successes()["get_manifest"](all))
		if rec.Code != http.StatusOK || rec.Body.String() != configMap("one") {
			t.Errorf("the agent's own manifest: got %d %s", rec.Code, rec.Body)
		}
		if rec := all.call(accesstest.AgentOther, request{method: http.MethodGet, path: "/api/v1/manifests/" + uuid.NewString()}); rec.Code != http.StatusNotFound {
			t.Errorf("no manifest: got %d %s", rec.Code, rec.Body)
		}
	})
}
