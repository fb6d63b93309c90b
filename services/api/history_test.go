package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What had been decided at a time is told as it was decided then.
func TestPlacementOfATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.held.ID) + "/placement"
	type record struct {
		Generation int       `json:"generation"`
		DecidedAt  time.Time `json:"decided_at"`
		Cause      string    `json:"cause"`
		Hold       *struct{} `json:"hold"`
		Changes    []struct {
			AgentID string `json:"agent_id"`
			State   string `json:"state"`
		} `json:"changes"`
	}
	all := answer[[]record](w, asOwner, "GET", path+"/history", "")
	if len(all) != 2 || all[0].Generation != 2 || all[0].Hold == nil || all[1].Generation != 1 || all[1].Hold != nil || all[1].Cause != "deployment.created" {
		t.Fatalf("history: got %+v, want the held decision and the one before", all)
	}
	at := func(t time.Time) string { return "?at=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }
	first := answer[record](w, asOwner, "GET", path+at(all[1].DecidedAt), "")
	if first.Generation != 1 || first.Hold != nil {
		t.Errorf("at the first decision: got %+v", first)
	}
	if now := answer[record](w, asOwner, "GET", path+at(time.Now().Add(time.Hour)), ""); now.Generation != 2 || now.Hold == nil {
		t.Errorf("at a later time: got %+v", now)
	}
	if until := answer[[]record](w, asViewer, "GET", path+"/history"+at(all[1].DecidedAt), ""); len(until) != 1 || until[0].Generation != 1 {
		t.Errorf("history until the first: got %+v", until)
	}
	w.refused(asOwner, request{method: "GET", path: path + at(all[1].DecidedAt.Add(-time.Hour))}, http.StatusNotFound, "decision_not_found")
	for _, p := range []string{path, path + "/history"} {
		if rec := w.do(asOwner, request{method: "GET", path: p + "?at=noon"}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_query" {
			t.Errorf("%s?at=noon: got %d %s, want 400 invalid_query", p, rec.Code, rec.Body)
		}
	}
	// An owner is not told of clusters that it does not see.
	rec := w.ok(asOwner, request{method: "GET", path: path + at(all[1].DecidedAt)})
	if strings.Contains(rec.Body.String(), string(w.otherAgent.ID)) {
		t.Errorf("the owner is told of another's agent: %s", rec.Body)
	}
}

func TestWhatIsOnACluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	p := w.policy()
	type placed struct {
		StackName string  `json:"stack_name"`
		State     string  `json:"state"`
		Reason    string  `json:"reason"`
		BlockedOn *string `json:"blocked_on"`
		Policy    *struct {
			PolicyID string `json:"policy_id"`
		} `json:"policy"`
	}
	for _, as := range []string{asSelf, asAdmin, asViewer} {
		got := answer[[]placed](w, as, "GET", "/agents/"+string(w.agent.ID)+"/placement", "")
		if len(got) != 2 || got[0].StackName != "held" || got[1].StackName != "web" || got[1].State != "assigned" || got[1].Reason != "target" {
			t.Fatalf("as %s: got %+v, want held and web", as, got)
		}
		if got[0].BlockedOn == nil || !strings.Contains(*got[0].BlockedOn, "too many removals") {
			t.Errorf("as %s: held is blocked on %v", as, got[0].BlockedOn)
		}
		if got[1].Policy == nil || got[1].Policy.PolicyID != string(p.ID) {
			t.Errorf("as %s: policy of web: %+v", as, got[1].Policy)
		}
	}
}
