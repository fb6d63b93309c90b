package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
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
		if item.Get == nil || item.Get.Responses.Value("304") == nil {
			continue
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
