package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	transport "github.com/colliery-io/brokkr/services/api/internal/transport/http"
)

func etag(t *testing.T, w *world, path string) string {
	t.Helper()
	tag := w.checked(asAdmin, request{method: "GET", path: path}).Header().Get("ETag")
	if len(tag) < 10 || tag[0] != '"' {
		t.Fatalf("%s: ETag %q", path, tag)
	}
	return tag
}

// Every answer about one thing has an ETag, by which the caller learns that nothing has changed.
func TestNotModified(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	seen := 0
	for path, item := range c.doc.Paths.Map() {
		if item.Get == nil || item.Get.Responses.Value("304") == nil || item.Get.Extensions["x-brokkr-service"] != nil {
			continue // the gateway has a test of its own
		}
		seen++
		t.Run(item.Get.OperationID, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			q := successes()[item.Get.OperationID](w)
			first := w.checked(asAdmin, q)
			tag := first.Header().Get("ETag")
			if tag == "" {
				t.Fatalf("%s has no ETag", path)
			}
			for _, have := range []string{tag, `"other", ` + tag, "W/" + tag, "*"} {
				q.header = map[string]string{"If-None-Match": have}
				rec := w.checked(asAdmin, q)
				if rec.Code != http.StatusNotModified || rec.Body.Len() != 0 || rec.Header().Get("ETag") != tag {
					t.Errorf("If-None-Match %s: got %d with %q and %d bytes, want 304 and no body", have, rec.Code, rec.Header().Get("ETag"), rec.Body.Len())
				}
			}
			q.header = map[string]string{"If-None-Match": `"other"`}
			if rec := w.checked(asAdmin, q); rec.Code != http.StatusOK || rec.Body.String() != first.Body.String() {
				t.Errorf("another tag: got %d %s, want 200 and the same again", rec.Code, rec.Body)
			}
		})
	}
	if seen < 5 {
		t.Errorf("%d operations document a 304, want those about one thing", seen)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	cases := map[string]struct {
		path  func(w *world) string
		body  string
		other string // another change, made in between
	}{
		"stack": {func(w *world) string { return "/stacks/" + string(w.stack.ID) }, `{"name":"renamed"}`, `{"description":"by somebody else"}`},
		"agent": {func(w *world) string { return "/agents/" + string(w.agent.ID) }, `{"status":"ACTIVE"}`, `{"name":"by-somebody-else"}`},
		"policy": {func(w *world) string {
			p := w.policy()
			must(w.t, w.store.Policies().DetachLabel(w.t.Context(), p.ID, "tier/web"))
			_, err := w.store.Policies().Detach(w.t.Context(), w.unpinned.ID)
			must(w.t, err)
			return "/placement-policies/" + string(p.ID)
		}, `{"name":"mine"}`, `{"name":"by-somebody-else"}`},
		"webhook": {func(w *world) string { return successes()["get_webhook"](w).path }, `{"enabled":false}`, `{"name":"by-somebody-else"}`},
		"template": {func(w *world) string {
			return "/templates/" + string(w.newTemplate(&w.owner.ID, "guarded", "x: y").ID)
		}, `{"template_content":"x: mine","parameters_schema":"{}"}`, `{"template_content":"x: theirs","parameters_schema":"{}"}`},
		"generator": {func(w *world) string { return "/generators/" + string(w.owner.ID) }, `{"description":"mine"}`, `{"description":"by somebody else"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			path := tc.path(w)
			change := func(method, match, body string) int {
				q := request{method: method, path: path, body: body, header: map[string]string{"If-Match": match}}
				rec := w.checked(asAdmin, q)
				if rec.Code == http.StatusPreconditionFailed && code(t, rec) != "precondition_failed" {
					t.Errorf("%s: got %s", method, rec.Body)
				}
				return rec.Code
			}
			old := etag(t, w, path)
			w.ok(asAdmin, request{method: "PUT", path: path, body: tc.other})
			before := w.end()
			for _, stale := range []string{old, `"x"`, "W/" + etag(t, w, path), ""} {
				if got := change("PUT", stale, tc.body); got != http.StatusPreconditionFailed {
					t.Errorf("PUT with %q: got %d, want 412", stale, got)
				}
				if got := change("DELETE", stale, ""); got != http.StatusPreconditionFailed {
					t.Errorf("DELETE with %q: got %d, want 412", stale, got)
				}
			}
			if events := w.since(before); len(events) != 0 {
				t.Errorf("refused changes wrote %v", events)
			}
			now := etag(t, w, path)
			beat := time.Now().Add(time.Second)
			must(t, w.store.Agents().Beat(t.Context(), []agent.Heartbeat{{Agent: w.agent.ID, At: beat}}))
			if got := change("PUT", `"x", `+now, tc.body); got != http.StatusOK {
				t.Errorf("PUT with the state of now, after a heartbeat: got %d, want 200", got)
			}
			if got := change("DELETE", "*", ""); got != http.StatusNoContent {
				t.Errorf("DELETE with *: got %d, want 204", got)
			}
		})
	}
}

// What can only be ended or taken back is held against the state that the caller has seen too.
func TestIfMatchOfWhatIsOnlyDeleted(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for name, tc := range map[string]struct {
		get   string
		other func(w *world, path string) // a change, made in between
	}{
		"credential": {"get_credential", func(w *world, path string) {
			w.ok(asAdmin, request{method: "POST", path: path + "/rotate", body: `{"grace_seconds":600}`})
		}},
		"work order": {"get_work_order", func(w *world, path string) {
			o, err := w.store.WorkOrders().Get(w.t.Context(), tenancy.Everything(), workorder.ID(strings.TrimPrefix(path, "/work-orders/")))
			must(w.t, err)
			must(w.t, w.store.WorkOrders().Update(w.t.Context(), o))
		}},
		"join token": {"get_join_token", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			path := successes()[tc.get](w).path
			stale := `"x"`
			if tc.other != nil {
				stale = etag(t, w, path)
				tc.other(w, path)
			}
			old := map[string]string{"If-Match": stale}
			if rec := w.checked(asAdmin, request{method: "DELETE", path: path, header: old}); rec.Code != http.StatusPreconditionFailed || code(t, rec) != "precondition_failed" {
				t.Errorf("with %s: got %d %s, want 412", stale, rec.Code, rec.Body)
			}
			now := map[string]string{"If-Match": etag(t, w, path)}
			if rec := w.checked(asAdmin, request{method: "DELETE", path: path, header: now}); rec.Code != http.StatusNoContent {
				t.Errorf("with the state of now: got %d %s, want 204", rec.Code, rec.Body)
			}
		})
	}
}

// unconditional are the changes that take no If-Match, each with its reason.
func unconditional() map[string]string {
	const (
		element  = "an element of a set that is there or is not: doing it twice, or after somebody else, comes to the same"
		relation = "a relation between two things, which no GET shows by itself"
		word     = "which one policy holds is one word, set whole: no part of another's change is overwritten"
		report   = "what an agent reports of itself, in its own order"
	)
	return map[string]string{
		"agents_remove_label": element, "agents_remove_annotation": element, "agents_put_taint": element, "agents_remove_taint": element,
		"stacks_remove_label": element, "stacks_remove_annotation": element, "templates_remove_label": element, "templates_remove_annotation": element,
		"remove_target": element, "attach_placement_policy_label": element, "detach_placement_policy_label": element,
		"deregister_agent": relation, "update_registered_agent": relation, "remove_registered_agent": relation,
		"attach_placement_policy": word, "detach_placement_policy": word, "end_agent_drain": word, "update_health_status": report,
	}
}

// Each change of one thing is conditional, or says why not; and what it may rest on is what a GET of the same thing answers.
func TestEveryChangeIsConditionalOrSaysWhy(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	routes := map[string]rpc.Info{}
	for _, r := range transport.Routes(nil, "") {
		routes[r.Op] = r.Info
	}
	reasons, seen := unconditional(), 0
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if method != http.MethodPut && method != http.MethodPatch && method != http.MethodDelete {
				continue
			}
			documented := op.Parameters.GetByInAndName("header", "If-Match") != nil
			switch {
			case reasons[op.OperationID] != "":
				delete(reasons, op.OperationID)
				if documented || routes[op.OperationID].IfMatch {
					t.Errorf("%s is said to be unconditional and takes If-Match", op.OperationID)
				}
				continue
			case !documented || op.Responses.Value("412") == nil || !routes[op.OperationID].IfMatch:
				t.Errorf("%s takes no If-Match (documented: %t, route: %t): give it one, or its reason", op.OperationID, documented, routes[op.OperationID].IfMatch)
				continue
			}
			seen++
			if ok := item.Get; ok == nil || ok.Responses.Value("304") == nil || ok.Responses.Value("200").Value.Headers["ETag"] == nil {
				t.Errorf("%s takes If-Match, but GET %s gives no ETag", op.OperationID, path)
			}
		}
	}
	for op := range reasons {
		t.Errorf("%s is said to be unconditional, but is no change of the document", op)
	}
	if seen < 15 {
		t.Errorf("%d conditional changes, want all of them", seen)
	}
}

// Each answer about one thing has an ETag, or says why not.
func TestEveryThingHasAnETag(t *testing.T) {
	t.Parallel()
	const moving = "the newest of what is kept for hours, which grows all the time"
	reasons := map[string]string{
		"list_telemetry_events": moving, "list_telemetry_logs": moving,
		"health": "the state of the process at this moment", "openapi": "the document itself, as it was built in",
		"list_ws_connections": "the live channels of the replica that answers, at this moment",
	}
	for path, item := range loadContract(t).doc.Paths.Map() {
		op := item.Get
		if op == nil {
			continue
		}
		ok := op.Responses.Value("200")
		if ok == nil || ok.Value.Content["application/json"] == nil && ok.Value.Content["application/yaml"] == nil {
			continue
		}
		if text := ok.Value.Content["application/json"]; text != nil && text.Schema.Value.Type.Is("array") {
			continue
		}
		if reasons[op.OperationID] != "" {
			delete(reasons, op.OperationID)
			continue
		}
		if ok.Value.Headers["ETag"] == nil || op.Responses.Value("304") == nil {
			t.Errorf("%s (%s) documents no ETag or no 304", op.OperationID, path)
		}
	}
	for op := range reasons {
		t.Errorf("%s is said to have no ETag, but is no answer about one thing", op)
	}
}

// Each POST takes an Idempotency-Key, or says why not.
func TestEveryPostTakesAnIdempotencyKeyOrSaysWhy(t *testing.T) {
	t.Parallel()
	const agents = "of an agent, which repeats what it has no answer to: done twice it comes to the same, or is refused the second time"
	reasons := map[string]string{
		"verify_pak": "it changes nothing", "plan_placement": "it changes nothing",
		"join_agent":       "an agent that lost the answer joins again with its claim",
		"record_heartbeat": agents, "create_event": agents, "sync_agent": agents, "report_telemetry": agents, "claim_diagnostic": agents,
		"submit_diagnostic_result": agents, "report_delivery_result": agents, "claim_work_order": agents, "renew_work_order": agents, "complete_work_order": agents,
	}
	for _, item := range loadContract(t).doc.Paths.Map() {
		op := item.Post
		if op == nil {
			continue
		}
		takes := op.Parameters.GetByInAndName("header", "Idempotency-Key") != nil
		if takes == (reasons[op.OperationID] != "") {
			t.Errorf("%s takes an Idempotency-Key: %t; reason why not: %q", op.OperationID, takes, reasons[op.OperationID])
		}
		delete(reasons, op.OperationID)
	}
	for op := range reasons {
		t.Errorf("%s is said to take no Idempotency-Key, but is no POST of the document", op)
	}
}

// A condition that a route cannot check is refused, not ignored.
func TestIfMatchElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for _, q := range []request{
		{method: "POST", path: "/stacks", body: `{"name":"new"}`},
		{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/labels/tier%2Fweb"},
	} {
		q.header = map[string]string{"If-Match": `"x"`}
		rec := w.do(asAdmin, q)
		if rec.Code != http.StatusBadRequest || code(t, rec) != "if_match_not_supported" {
			t.Errorf("%s %s: got %d %s, want 400 if_match_not_supported", q.method, q.path, rec.Code, rec.Body)
		}
	}
	if strings.Contains(w.ok(asAdmin, request{method: "GET", path: "/stacks"}).Body.String(), `"new"`) {
		t.Error("the refused call has made something")
	}
}
