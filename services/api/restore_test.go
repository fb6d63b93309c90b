package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api"
)

func TestARestoredStackHasWhatItHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID)
	w.ok(asOwner, request{method: "PUT", path: path + "/placement-policy", body: `{"policy_id":"` + string(w.policy().ID) + `"}`})
	w.ok(asOwner, request{method: "PUT", path: path, body: `{"treatment":{"prune":"orphan"}}`})
	parts := []string{"", "/labels", "/annotations", "/deployment-objects"}
	see := func() map[string]string {
		out := map[string]string{"targets": w.ok(asAdmin, request{method: "GET", path: "/agents/" + string(w.agent.ID) + "/targets"}).Body.String()}
		for _, p := range parts[1:] {
			out[p] = w.ok(asOwner, request{method: "GET", path: path + p}).Body.String()
		}
		s := decode[treated](t, w.ok(asOwner, request{method: "GET", path: path}))
		out["prune"] = s.Treatment.Prune
		sub, err := w.store.Facts().Subjects(t.Context(), []stack.ID{w.stack.ID})
		must(t, err)
		if len(sub) == 1 && sub[0].Policy != nil {
			out["policy"] = string(sub[0].Policy.ID)
		}
		return out
	}
	before := see()
	w.ok(asOwner, request{method: "DELETE", path: path})
	for _, p := range parts {
		if rec := w.do(asOwner, request{method: "GET", path: path + p}); rec.Code != http.StatusNotFound {
			t.Errorf("GET %s of a deleted stack: %d", p, rec.Code)
		}
	}
	rec := w.checked(asOwner, request{method: "POST", path: path + "/restore"})
	if rec.Code != http.StatusOK || rec.Header().Get("ETag") == "" {
		t.Fatalf("restore: %d with ETag %q: %s", rec.Code, rec.Header().Get("ETag"), rec.Body)
	}
	after := see()
	for what, was := range before {
		if after[what] != was {
			t.Errorf("%s: got %s, want %s as before", what, after[what], was)
		}
	}
	if before["policy"] != string(w.policyID) || before["prune"] != "orphan" {
		t.Errorf("the stack had %v: nothing is shown of its policy and treatment", before)
	}
}

func TestWhatCannotBeRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.unpinned.ID)
	restore := func(as, path string, status int, want string) {
		t.Helper()
		if rec := w.checked(as, request{method: "POST", path: path + "/restore"}); rec.Code != status || code(t, rec) != want {
			t.Errorf("restore as %s: got %d %s, want %d %s", as, rec.Code, rec.Body, status, want)
		}
	}
	rec := w.checked(asOwner, request{method: "POST", path: path + "/restore"})
	live := decode[struct {
		Code    string
		Details struct{ State string }
	}](t, rec)
	if rec.Code != http.StatusUnprocessableEntity || live.Code != "stack_not_deleted" || live.Details.State != "live" {
		t.Errorf("restore of a live one: %d %s", rec.Code, rec.Body)
	}
	restore(asOther, path, http.StatusNotFound, "stack_not_found")
	restore(asAdmin, "/stacks/"+uuid.NewString(), http.StatusNotFound, "stack_not_found")

	w.ok(asOwner, request{method: "DELETE", path: path})
	restore(asOther, path, http.StatusNotFound, "stack_not_found")
	restore(asViewer, path, http.StatusForbidden, "operator_required")
	made := decode[struct{ ID string }](t, w.ok(asOwner, request{method: "POST", path: "/stacks", body: `{"name":"unpinned"}`}))
	restore(asOwner, path, http.StatusConflict, "unique_violation")
	w.ok(asOwner, request{method: "PUT", path: "/stacks/" + made.ID, body: `{"name":"another"}`})
	restore(asOperator, path, http.StatusOK, "")

	w.ok(asOwner, request{method: "DELETE", path: path})
	if n, err := w.store.Stacks().Collect(t.Context(), time.Now().Add(time.Minute), 10); err != nil || n != 1 {
		t.Fatalf("collected %d, %v", n, err)
	}
	restore(asOwner, path, http.StatusNotFound, "stack_not_found")

	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID)})
	w.ok(asAdmin, request{method: "DELETE", path: "/generators/" + string(w.owner.ID)})
	restore(asAdmin, "/stacks/"+string(w.stack.ID), http.StatusNotFound, "generator_not_found")
}

// Who deletes stacks finds them again, page by page, and until when; what is another's, live or gone is not in the list.
func TestDeletedStacksAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	store, ok := w.store.(*memory.Store)
	if !ok {
		t.Fatalf("the world's store is a %T", w.store)
	}
	w.handler = w.handlerOf(store, func(d *api.Deps) { d.KeepDeletedStacks = 48 * time.Hour })
	type deleted struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		DeletedAt time.Time `json:"deleted_at"`
		Until     time.Time `json:"restorable_until"`
	}
	see := func(as, query string) ([]deleted, http.Header) {
		t.Helper()
		rec := w.checked(as, request{method: "GET", path: "/deleted-stacks" + query})
		if rec.Code != http.StatusOK {
			t.Fatalf("list as %s: %d %s", as, rec.Code, rec.Body)
		}
		return decode[[]deleted](t, rec), rec.Header()
	}
	if got, _ := see(asOwner, ""); len(got) != 0 {
		t.Fatalf("before any deletion: %+v", got)
	}
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID)})
	w.ok(asAdmin, request{method: "DELETE", path: "/stacks/" + string(w.unpinned.ID)})
	first, head := see(asOwner, "?limit=1&sort=deleted_at")
	if len(first) != 1 || first[0].ID != string(w.stack.ID) || head.Get("X-Total-Count") != "2" || head.Get("Link") == "" {
		t.Errorf("first page: %+v, %v; want the first of two, and where the next is", first, head)
	}
	if d := first[0]; d.Name != w.stack.Name || time.Since(d.DeletedAt) > time.Minute || !d.Until.Equal(d.DeletedAt.Add(48*time.Hour)) {
		t.Errorf("%+v, want it deleted now and restorable for two days", d)
	}
	for as, want := range map[string]int{asAdmin: 2, asViewer: 2, asOperator: 2, asOwner: 2, asOther: 0} {
		if got, _ := see(as, ""); len(got) != want {
			t.Errorf("list as %s: %d, want %d", as, len(got), want)
		}
	}
	if got, _ := see(asOwner, "?name=unpinned"); len(got) != 1 || got[0].ID != string(w.unpinned.ID) {
		t.Errorf("by name: %+v", got)
	}
	w.ok(asOwner, request{method: "POST", path: "/stacks/" + string(w.unpinned.ID) + "/restore"})
	if _, err := w.store.Stacks().Collect(t.Context(), time.Now().Add(time.Minute), 10); err != nil {
		t.Fatal(err)
	}
	if got, _ := see(asAdmin, ""); len(got) != 1 || got[0].ID != string(w.stack.ID) {
		t.Errorf("after a restoration, with a cluster that has the other one: %+v", got)
	}
}

// A second request with the same key restores nothing a second time.
func TestARestorationIsDoneOnceForAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.unpinned.ID)
	w.ok(asOwner, request{method: "DELETE", path: path})
	q := request{method: "POST", path: path + "/restore", header: map[string]string{"Idempotency-Key": "once"}}
	first := w.ok(asOwner, q)
	w.ok(asOwner, request{method: "DELETE", path: path})
	again := w.ok(asOwner, q)
	if again.Header().Get("Idempotency-Replayed") != "true" || again.Body.String() != first.Body.String() {
		t.Errorf("again: %v %s, want the first answer", again.Header(), again.Body)
	}
	if _, err := w.store.Stacks().Deleted(t.Context(), tenancy.Everything(), w.unpinned.ID); err != nil {
		t.Errorf("the stack that was deleted since is live: %v", err)
	}
}
