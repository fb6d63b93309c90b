package api_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/api"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	unknown := uuid.NewString()
	cases := map[string]struct {
		as     string
		ask    func(w *world) request
		status int
		code   string
		says   string // part of the message
	}{
		"unknown route": {asAdmin, func(*world) request { return request{method: "GET", path: "/nothing"} }, 404, "not_found", ""},
		"unknown route without a credential": {asNobody, func(*world) request { return request{method: "GET", path: "/nothing"} },
			404, "not_found", ""},
		"wrong method":       {asAdmin, func(*world) request { return request{method: "PATCH", path: "/stacks"} }, 405, "method_not_allowed", ""},
		"an id that is none": {asAdmin, func(*world) request { return request{method: "GET", path: "/stacks/x"} }, 400, "invalid_id", `"x"`},
		"not JSON":           {asAdmin, func(*world) request { return request{method: "POST", path: "/stacks", body: "{"} }, 400, "invalid_json", "too early"},
		"wrong type":         {asAdmin, func(*world) request { return request{method: "POST", path: "/stacks", body: `{"name":1}`} }, 400, "invalid_json", "name"},
		"wrong media type": {asAdmin, func(*world) request {
			return request{method: "POST", path: "/stacks", body: `{}`, contentType: "text/plain"}
		}, 415, "unsupported_media_type", "application/json"},
		"too large": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", contentType: "application/yaml", body: strings.Repeat("# x\n", 5<<20)}
		}, 413, "body_too_large", ""},
		"diagnostic that is not there": {asAdmin, func(*world) request { return request{method: "GET", path: "/diagnostics/" + unknown} },
			404, "diagnostic_not_found", ""},
		"empty agent name": {asAdmin, func(*world) request {
			return request{method: "POST", path: "/agents", body: `{"name":" ","cluster_name":"c"}`}
		}, 400, "invalid_agent", "name"},
		"an agent that activates itself": {asSelf, func(w *world) request {
			w.ok(asAdmin, request{method: "PUT", path: "/agents/" + string(w.agent.ID), body: `{"status":"INACTIVE"}`})
			return request{method: "PUT", path: "/agents/" + string(w.agent.ID), body: `{"status":"ACTIVE"}`}
		}, 403, "admin_required", "by an admin"},
		"unknown status": {asAdmin, func(w *world) request {
			return request{method: "PUT", path: "/agents/" + string(w.agent.ID), body: `{"status":"BUSY"}`}
		}, 400, "invalid_agent", "BUSY"},
		"unknown generator of an agent": {asAdmin, func(*world) request {
			return request{method: "POST", path: "/agents", body: `{"name":"n","cluster_name":"c","generator_ids":["` + unknown + `"]}`}
		}, 400, "invalid_generator_id", unknown},
		"agent exists": {asAdmin, func(*world) request {
			return request{method: "POST", path: "/agents", body: `{"name":"a1","cluster_name":"c-a1"}`}
		}, 409, "unique_violation", ""},
		"agent search without cluster": {asAdmin, func(*world) request { return request{method: "GET", path: "/agents/?name=a1"} },
			400, "name_and_cluster_required", ""},
		"agent asks for another name": {asSelf, func(*world) request { return request{method: "GET", path: "/agents/?name=x&cluster_name=y"} },
			404, "agent_not_found", `belongs to agent "a1" in cluster "c-a1"`},
		"label of another agent in the body": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/labels", body: `{"agent_id":"` + unknown + `","label":"x"}`}
		}, 400, "agent_id_mismatch", ""},
		"bad agent label": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/labels", body: `{"label":"a b"}`}
		}, 400, "invalid_label", ""},
		"agent label twice": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/labels", body: `{"label":"prod"}`}
		}, 409, "unique_violation", ""},
		"agent label that is not there": {asAdmin, func(w *world) request {
			return request{method: "DELETE", path: "/agents/" + string(w.agent.ID) + "/labels/none"}
		}, 404, "agent_label_not_found", ""},
		"agent annotation that is not there": {asAdmin, func(w *world) request {
			return request{method: "DELETE", path: "/agents/" + string(w.agent.ID) + "/annotations/none"}
		}, 404, "agent_annotation_not_found", ""},
		"target that is not there": {asOwner, func(w *world) request {
			return request{method: "DELETE", path: "/agents/" + string(w.agent.ID) + "/targets/" + string(w.unpinned.ID)}
		}, 404, "agent_target_not_found", ""},
		"target of another tenant's stack": {asOther, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.otherAgent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`}
		}, 403, "target_generator_mismatch", ""},
		"target on an agent without consent": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.otherAgent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`}
		}, 403, "agent_not_registered", ""},
		"target on an agent whose consent is pending, by an admin": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.pendingAgent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`}
		}, 403, "agent_not_registered", ""},
		"target on an unknown agent, by an admin": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/agents/" + unknown + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`}
		}, 404, "agent_not_found", ""},
		"agents create no targets": {asSelf, func(w *world) request {
			return request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/targets", body: `{"stack_id":"` + string(w.stack.ID) + `"}`}
		}, 403, "target_create_denied", ""},
		"agents list no agents": {asSelf, func(*world) request { return request{method: "GET", path: "/agents"} }, 403, "generator_required", ""},
		"agents list no stacks": {asSelf, func(*world) request { return request{method: "GET", path: "/stacks"} }, 403, "stacks_list_denied", ""},
		"agents make no stacks": {asSelf, func(*world) request { return request{method: "POST", path: "/stacks", body: `{"name":"x"}`} }, 403, "stack_create_denied", ""},
		"stack of another owner": {asOther, func(w *world) request {
			return request{method: "POST", path: "/stacks", body: `{"name":"x","generator_id":"` + string(w.owner.ID) + `"}`}
		}, 403, "stack_generator_mismatch", ""},
		"stack exists":         {asOwner, func(*world) request { return request{method: "POST", path: "/stacks", body: `{"name":"web"}`} }, 409, "unique_violation", ""},
		"stack without a name": {asOwner, func(*world) request { return request{method: "POST", path: "/stacks", body: `{"name":""}`} }, 400, "invalid_stack", ""},
		"stack of nobody": {asAdmin, func(*world) request {
			return request{method: "POST", path: "/stacks", body: `{"name":"x","generator_id":"` + unknown + `"}`}
		}, 404, "generator_not_found", ""},
		"another id in the body": {asOwner, func(w *world) request {
			return request{method: "PUT", path: "/stacks/" + string(w.stack.ID), body: `{"id":"` + unknown + `","name":"x"}`}
		}, 400, "stack_id_mismatch", ""},
		"bad stack label": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/labels", body: `""`}
		}, 400, "invalid_label", ""},
		"stack label twice": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/labels", body: `"tier/web"`}
		}, 409, "unique_violation", ""},
		"stack label that is not there": {asOwner, func(w *world) request {
			return request{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/labels/x"}
		}, 404, "stack_label_not_found", ""},
		"bad stack annotation": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/annotations", body: `{"key":"a b","value":"v"}`}
		}, 400, "invalid_annotation", ""},
		"stack annotation twice": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/annotations", body: `{"key":"team","value":"v"}`}
		}, 409, "unique_violation", ""},
		"stack annotation that is not there": {asOwner, func(w *world) request {
			return request{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/annotations/x"}
		}, 404, "stack_annotation_not_found", ""},
		"content that is not YAML": {asOwner, publishing("a: [", ""), 400, "invalid_deployment_object", "line 1"},
		"manifest without kind":    {asOwner, publishing("apiVersion: v1\nmetadata: {name: x}\n", ""), 400, "invalid_deployment_object", "kind"},
		"manifest twice":           {asOwner, publishing(manifest+"---\n"+manifest, ""), 400, "invalid_deployment_object", "document 2"},
		"empty bundle":             {asOwner, publishing("# nothing\n", ""), 400, "invalid_deployment_object", "no manifests"},
		"marker with a body":       {asOwner, publishing(manifest, "?deletion_marker=true"), 400, "invalid_deployment_object", "must have empty"},
		"marker that is no bool":   {asOwner, publishing(manifest, "?deletion_marker=perhaps"), 400, "invalid_query", "perhaps"},
		"JSON without content": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", body: `{}`}
		}, 400, "invalid_deployment_object", "missing"},
		"generator exists":       {asAdmin, func(*world) request { return request{method: "POST", path: "/generators", body: `{"name":"owner"}`} }, 409, "unique_violation", ""},
		"generator without name": {asAdmin, func(*world) request { return request{method: "POST", path: "/generators", body: `{}`} }, 400, "invalid_generator", ""},
		"unknown policy": {asOwner, func(w *world) request {
			return request{method: "PUT", path: "/generators/" + string(w.owner.ID), body: `{"registration_policy":"maybe"}`}
		}, 400, "invalid_generator", "maybe"},
		"builtin generator deleted": {asAdmin, func(w *world) request {
			return request{method: "DELETE", path: "/generators/" + w.generatorID("__system__")}
		}, 403, "cannot_delete_system_generator", ""},
		"builtin generator renamed": {asAdmin, func(w *world) request {
			return request{method: "PUT", path: "/generators/" + w.generatorID("admin-generator"), body: `{"name":"x"}`}
		}, 422, "builtin_generator", ""},
		"generators register nobody": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/generators/" + string(w.owner.ID) + "/register", body: `{}`}
		}, 403, "forbidden", ""},
		"admin registers nobody": {asAdmin, func(w *world) request {
			return request{method: "POST", path: "/generators/" + string(w.owner.ID) + "/register", body: `{}`}
		}, 400, "missing_agent_id", ""},
		"agent registers another": {asSelf, func(w *world) request {
			return request{method: "POST", path: "/generators/" + string(w.other.ID) + "/register", body: `{"agent_id":"` + string(w.otherAgent.ID) + `"}`}
		}, 403, "agent_pak_mismatch", ""},
		"registered already": {asSelf, func(w *world) request {
			return request{method: "POST", path: "/generators/" + string(w.owner.ID) + "/register", body: `{"agent_id":null}`}
		}, 409, "already_registered", "approved"},
		"state that cannot be set": {asOwner, func(w *world) request {
			return request{method: "PUT", path: "/generators/" + string(w.owner.ID) + "/registered-agents/" + string(w.agent.ID), body: `{"state":"pending"}`}
		}, 400, "invalid_registration", "pending"},
		"no such stack": {asOther, func(w *world) request { return request{method: "GET", path: "/stacks/" + string(w.stack.ID)} }, 404, "stack_not_found", ""},
		"no such object": {asAdmin, func(w *world) request {
			return request{method: "GET", path: "/deployment-objects/" + string(w.stack.ID)}
		}, 404, "deployment_object_not_found", ""},
		"events since when": {asOwner, func(w *world) request {
			return request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/events?since=yesterday"}
		}, 400, "invalid_since", "yesterday"},
		"how many events": {asOwner, func(w *world) request {
			return request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/events?limit=0"}
		}, 400, "invalid_limit", ""},
		"no such chain":       {asAdmin, func(*world) request { return request{method: "GET", path: "/admin/audit-chains/1999-01/entries"} }, 404, "audit_chain_not_found", "1999-01"},
		"no chain at all":     {asAdmin, func(*world) request { return request{method: "GET", path: "/admin/audit-logs/verify?chain=1999-01"} }, 404, "audit_chain_not_found", ""},
		"no such audit entry": {asAdmin, func(w *world) request { return request{method: "GET", path: "/admin/audit-logs/" + string(w.stack.ID)} }, 404, "audit_log_not_found", ""},
		"approval without fingerprint": {asOwner, func(w *world) request {
			return request{method: "POST", path: "/stacks/" + string(w.held.ID) + "/placement/approve", body: `{}`}
		}, 400, "invalid_approval", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			rec := w.do(tc.as, tc.ask(w))
			if rec.Code != tc.status || code(t, rec) != tc.code || !strings.Contains(rec.Body.String(), strings.ReplaceAll(tc.says, `"`, `\"`)) {
				t.Errorf("got %d %s\nwant %d %s, saying %q", rec.Code, rec.Body, tc.status, tc.code, tc.says)
			}
			if got := rec.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q, want application/json", got)
			}
		})
	}
}

// Who approves what does not wait is told what is the case, in words and in the details.
func TestRefusedApprovalsSayWhatIsTheCase(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for name, tc := range map[string]struct {
		of          func(w *world) stack.Stack
		fingerprint string
		says        string
		details     map[string]any // beside the number of the decision
	}{
		"nothing":             {func(w *world) stack.Stack { return w.stack }, "f1", "holds nothing back", map[string]any{"state": "decided"}},
		"before any decision": {func(w *world) stack.Stack { return w.unpinned }, "f1", "nothing has been decided", map[string]any{"state": "undecided"}},
		"something else":      {func(w *world) stack.Stack { return w.held }, "f2", "another decision waits, since", map[string]any{"state": "held", "fingerprint": "f1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			s := tc.of(w)
			if tc.details["state"] != "undecided" {
				latest, _, err := w.store.Decisions().Latest(t.Context(), s.ID)
				must(t, err)
				tc.details["generation"] = float64(latest.Generation)
			}
			rec := w.checked(asOwner, request{method: "POST", path: "/stacks/" + string(s.ID) + "/placement/approve", body: `{"fingerprint":"` + tc.fingerprint + `"}`})
			got := decode[struct {
				Code    string         `json:"code"`
				Message string         `json:"message"`
				Details map[string]any `json:"details"`
			}](t, rec)
			if rec.Code != http.StatusUnprocessableEntity || got.Code != "nothing_to_approve" || !strings.Contains(got.Message, tc.says) {
				t.Errorf("got %d %s, want 422 nothing_to_approve saying %q", rec.Code, rec.Body, tc.says)
			}
			if diff := cmp.Diff(tc.details, got.Details); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
		})
	}
}

// publishing sends content as YAML to the owner's stack.
func publishing(content, query string) func(w *world) request {
	return func(w *world) request {
		return request{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/deployment-objects" + query, body: content, contentType: "application/yaml"}
	}
}

func (w *world) generatorID(name string) string {
	w.t.Helper()
	g, err := w.store.Generators().ByName(w.t.Context(), name)
	must(w.t, err)
	return string(g.ID)
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	must(t, w.store.Close())
	rec := w.do(asAdmin, request{method: "GET", path: "/stacks"})
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 with Retry-After: %s", rec.Code, rec.Header().Get("Retry-After"), rec.Body)
	}
}

func TestPresetHashesAreHashes(t *testing.T) {
	t.Parallel()
	_, err := api.EnsureAdmin(t.Context(), memory.New(time.Now), time.Now, rand.Reader, "not a hash")
	if fault.CodeOf(err) != "invalid_pak_hash" {
		t.Errorf("got %v, want invalid_pak_hash", err)
	}
}

// What passes by itself says when: every 429 and 503 of the document has its Retry-After.
func TestEveryAnswerThatPassesSaysWhenToAskAgain(t *testing.T) {
	t.Parallel()
	seen := 0
	for path, item := range loadContract(t).doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, status := range []string{"429", "503"} {
				if a := op.Responses.Value(status); a != nil {
					seen++
					if a.Value.Headers["Retry-After"] == nil {
						t.Errorf("%s %s: a %s without Retry-After", method, path, status)
					}
				}
			}
		}
	}
	if seen < 200 {
		t.Errorf("%d answers, want those of all operations", seen)
	}
}
