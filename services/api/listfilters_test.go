package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func TestFiltersOfLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	names := func(path string) []string {
		out := []string{}
		for _, v := range decode[[]struct{ Name string }](t, w.checked(asAdmin, request{method: "GET", path: path})) {
			out = append(out, v.Name)
		}
		return out
	}
	owner := string(w.owner.ID)
	usable, _ := w.storedJoinToken()
	spent, _ := w.storedJoinToken()
	must(t, w.store.JoinTokens().Revoke(t.Context(), spent.ID, time.Now()))
	for path, want := range map[string][]string{
		"/stacks?name=web":                                    {"web"},
		"/stacks?q=PIN":                                       {"unpinned"},
		"/stacks?label=tier/web&limit=2":                      {"held", "unpinned"},
		"/stacks?label=none":                                  {},
		"/stacks?annotation=team%3Dx&sort=-name":              {"web", "unpinned", "held"},
		"/stacks?generator_id=" + string(w.other.ID):          {},
		"/stacks?pak_id=" + owner + "&q=web":                  {"web"},
		"/agents?generator_id=" + owner:                       {"a1"},
		"/agents?pak_id=" + owner:                             {"a1"},
		"/agents?status=INACTIVE&cluster_name=c-a3":           {"a3"},
		"/agents?label=prod&annotation=region%3Deu&sort=name": {"a1", "a2", "a3", "a4"},
		"/generators?q=OWN":                                   {"owner"},
		"/templates?label=tier/web&annotation=team%3Dx":       {"web"},
		"/templates?label=none":                               {},
		"/agents/" + string(w.agent.ID) + "/stacks?label=tier/web&annotation=team%3Dx": {"held", "web"},
		"/agents/" + string(w.agent.ID) + "/stacks?q=el":                               {"held"},
		"/agents/" + string(w.agent.ID) + "/stacks?label=none":                         {},
		"/join-tokens?state=usable":                                                    {usable.Name},
	} {
		if diff := cmp.Diff(want, names(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{"/agents?status=asleep", "/agents?generator_id=x", "/stacks?annotation=novalue", "/generators?label=x", "/join-tokens?state=gone", "/stacks/" + string(w.stack.ID) + "/rollouts?state=x"} {
		if rec := w.do(asAdmin, request{method: "GET", path: path}); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", path, rec.Code, rec.Body)
		}
	}
	rec := w.do(asOther, request{method: "GET", path: "/stacks?generator_id=" + owner})
	if got := strings.TrimSpace(rec.Body.String()); rec.Code != http.StatusOK || got != "[]" {
		t.Errorf("another tenant's stacks by filter: got %d %s, want none", rec.Code, got)
	}
}

// A generator is not told to whom else a cluster has consented: another's id as a filter answers like one that nobody has.
func TestFiltersTellNoConsentToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	must(t, w.store.Registrations().Insert(t.Context(), tenancy.Registration{ID: tenancy.RegistrationID(uuid.NewString()),
		Agent: w.agent.ID, Generator: w.other.ID, State: tenancy.RegistrationApproved, RegisteredAt: time.Now()}))
	for _, filter := range []string{"generator_id=", "pak_id="} {
		for id, want := range map[string]string{string(w.owner.ID): string(w.agent.ID), string(w.other.ID): "", uuid.NewString(): ""} {
			rec := w.checked(asOwner, request{method: "GET", path: "/agents?limit=10&" + filter + id})
			got := strings.TrimSpace(rec.Body.String())
			if rec.Code != http.StatusOK || (want == "") != (got == "[]") || !strings.Contains(got, want) || rec.Header().Get("X-Total-Count") != map[bool]string{true: "0", false: "1"}[want == ""] {
				t.Errorf("%s%s: got %d %s, total %s, want %q", filter, id, rec.Code, got, rec.Header().Get("X-Total-Count"), want)
			}
		}
	}
}

func TestRolloutsByState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.rollout(rollout.PhaseProgressing)
	path := "/stacks/" + string(w.stack.ID) + "/rollouts?state="
	for state, want := range map[string]int{"progressing": 1, "completed": 0} {
		if got := decode[[]json.RawMessage](t, w.ok(asOwner, request{method: "GET", path: path + state})); len(got) != want {
			t.Errorf("%s: %d rollouts, want %d", state, len(got), want)
		}
	}
}

// A cursor goes on with the query that it was given for, and with no other.
func TestCursorBelongsToItsQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	next := nextLink(t, w.ok(asAdmin, request{method: "GET", path: "/stacks?limit=1"}))
	u, err := url.Parse(next)
	must(t, err)
	for _, other := range []string{"&sort=-name", "&sort=created_at", "&q=w", "&label=tier/web", "&name=web"} {
		rec := w.do(asAdmin, request{method: "GET", path: "/stacks?cursor=" + u.Query().Get("cursor") + other})
		if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_query" {
			t.Errorf("with %s: got %d %s, want 400 invalid_query", other, rec.Code, rec.Body)
		}
	}
}
