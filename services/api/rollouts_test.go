package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type rolloutAnswer struct {
	State    string `json:"state"`
	Blockers []struct {
		Kind, Release string
	} `json:"blockers"`
	Clusters []struct {
		AgentName string `json:"agent_name"`
		State     string `json:"state"`
		ReturnsTo string `json:"returns_to"`
	} `json:"clusters"`
	History []struct {
		From, To string
		By       *string
	} `json:"history"`
}

func TestActsOnARollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/rollouts/" + string(w.rollout(rollout.PhaseWaitingApproval).ID)
	do := func(rest, body string, want int) rolloutAnswer {
		t.Helper()
		rec := w.checked(asOwner, request{method: "POST", path: path + rest, body: body})
		if rec.Code != want {
			t.Fatalf("%s: %d %s, want %d", rest, rec.Code, rec.Body, want)
		}
		if want != http.StatusOK {
			if got := code(t, rec); got != "rollout_state" && want == http.StatusUnprocessableEntity {
				t.Fatalf("%s: code %s, want rollout_state", rest, got)
			}
			return rolloutAnswer{}
		}
		return decode[rolloutAnswer](t, rec)
	}
	do("/resume", "", http.StatusUnprocessableEntity)
	do("/approve", `{"wave":1}`, http.StatusUnprocessableEntity)
	if rec := w.do(asOwner, request{method: "POST", path: path + "/approve", body: `{"wave":-1}`}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_rollout" {
		t.Fatalf("a wave below 0: %d %s", rec.Code, rec.Body)
	}
	if got := do("/approve", `{"wave":0}`, http.StatusOK); got.State != "progressing" || len(got.History) != 2 || got.History[1].By == nil || *got.History[1].By == "" {
		t.Errorf("approved: %+v, want it progressing, by somebody", got)
	}
	do("/approve", "", http.StatusUnprocessableEntity) // what is no longer waiting
	if got := do("/pause", "", http.StatusOK); got.State != "paused" {
		t.Errorf("paused: %+v", got)
	}
	do("/resume", "", http.StatusOK)
	got := do("/rollback", "", http.StatusOK)
	if got.State != "rolling_back" || len(got.Clusters) != 1 || got.Clusters[0].State != "returning" || got.Clusters[0].ReturnsTo != string(w.object.ID) || got.Clusters[0].AgentName != w.agent.Name {
		t.Errorf("rolled back: %+v", got)
	}
	do("/abort", "", http.StatusUnprocessableEntity)
}

func TestRollbackOfAStackPublishesTheOldContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID) + "/rollback"
	rec := w.checked(asOwner, request{method: "POST", path: path, body: fmt.Sprintf(`{"sequence_id":%d}`, w.object.Sequence)})
	if rec.Code != http.StatusCreated {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	newest, err := w.store.Objects().Newest(t.Context(), w.stack.ID)
	must(t, err)
	if newest.ID == w.object.ID || newest.Sequence <= w.object.Sequence || newest.Checksum != w.object.Checksum {
		t.Errorf("newest = %+v, want a new object with the content of %+v", newest, w.object)
	}
	w.refused(asOwner, request{method: "POST", path: path, body: `{"sequence_id":999999}`}, http.StatusNotFound, "deployment_object_not_found")
	rec = w.do(asOwner, request{method: "POST", path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", body: `{"yaml_content":"","is_deletion_marker":true}`})
	if rec.Code != http.StatusCreated {
		t.Fatalf("marker: %d %s", rec.Code, rec.Body)
	}
	marker := decode[struct {
		SequenceID stack.Sequence `json:"sequence_id"`
	}](t, rec)
	w.refused(asOwner, request{method: "POST", path: path, body: fmt.Sprintf(`{"sequence_id":%d}`, marker.SequenceID)}, http.StatusUnprocessableEntity, "rollback_to_marker")
	w.refused(asOther, request{method: "POST", path: path, body: `{"sequence_id":1}`}, http.StatusNotFound, "stack_not_found")
	w.refused(asOther, request{method: "GET", path: "/rollouts/" + string(w.rollout(rollout.PhasePaused).ID)}, http.StatusNotFound, "rollout_not_found")
	if _, governs, err := w.store.Rollouts().Get(t.Context(), tenancy.Everything(), w.rolloutID); err != nil || !governs {
		t.Errorf("the rollout governs: %v, %v", governs, err)
	}
}
