package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
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
	do := func(rest, body string) rolloutAnswer {
		t.Helper()
		return answer[rolloutAnswer](w, asOwner, "POST", path+rest, body)
	}
	refused := func(rest, body string, details map[string]any) {
		t.Helper()
		got := w.refused(asOwner, request{method: "POST", path: path + rest, body: body}, http.StatusUnprocessableEntity, "rollout_state")
		if diff := cmp.Diff(details, got); diff != "" {
			t.Errorf("%s %s: details (-want +got):\n%s", rest, body, diff)
		}
	}
	refused("/resume", "", map[string]any{"state": "waiting_approval"})
	refused("/approve", `{"wave":1}`, map[string]any{"state": "waiting_approval", "wave": 0.0}) // the one that waits
	if rec := w.do(asOwner, request{method: "POST", path: path + "/approve", body: `{"wave":-1}`}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_rollout" {
		t.Fatalf("a wave below 0: %d %s", rec.Code, rec.Body)
	}
	if got := do("/approve", `{"wave":0}`); got.State != "progressing" || len(got.History) != 2 || got.History[1].By == nil || *got.History[1].By == "" {
		t.Errorf("approved: %+v, want it progressing, by somebody", got)
	}
	refused("/approve", "", map[string]any{"state": "progressing"}) // what is no longer waiting
	if got := do("/pause", ""); got.State != "paused" {
		t.Errorf("paused: %+v", got)
	}
	refused("/pause", "", map[string]any{"state": "paused"})
	do("/resume", "")
	got := do("/rollback", "")
	if got.State != "rolling_back" || len(got.Clusters) != 1 || got.Clusters[0].State != "returning" || got.Clusters[0].ReturnsTo != string(w.object.ID) || got.Clusters[0].AgentName != w.agent.Name {
		t.Errorf("rolled back: %+v", got)
	}
	refused("/abort", "", map[string]any{"state": "rolling_back"})
	refused("/rollback", "", map[string]any{"state": "rolling_back"})
}

// What is over is undone only while nothing newer says what the clusters have.
func TestUndoOfARolloutThatGovernsNoLonger(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for name, tc := range map[string]struct {
		phase rollout.Phase
		newer bool // there is a newer rollout; else the newer object went everywhere at once
	}{
		"completed": {rollout.PhaseCompleted, true}, "aborted": {rollout.PhaseAborted, true}, "without a newer rollout": {rollout.PhaseCompleted, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			old := w.rollout(tc.phase)
			path := "/rollouts/" + string(old.ID)
			_, err := w.store.Rollouts().Save(t.Context(), ports.RolloutWrite{Rollout: old})
			must(t, err)
			newer := old.Clone()
			newer.ID, newer.Object, newer.Phase, newer.Version = rollout.ID(uuid.NewString()), w.publish(w.stack).ID, rollout.PhaseCompleted, 0
			says := "without a rollout"
			if tc.newer {
				_, err = w.store.Rollouts().Save(t.Context(), ports.RolloutWrite{Rollout: newer, Governs: true, Members: newer.Members})
				must(t, err)
				says = "the newer rollout " + string(newer.ID) + " governs it"
			}
			before, entries := w.end(), len(w.entries())
			rec := w.checked(asOwner, request{method: "POST", path: path + "/rollback"})
			got := decode[struct {
				Code    string         `json:"code"`
				Message string         `json:"message"`
				Details map[string]any `json:"details"`
			}](t, rec)
			if rec.Code != http.StatusUnprocessableEntity || got.Code != "rollout_state" || !strings.Contains(got.Message, says) {
				t.Errorf("got %d %s, want 422 rollout_state saying %q", rec.Code, rec.Body, says)
			}
			if diff := cmp.Diff(map[string]any{"state": string(tc.phase)}, got.Details); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
			if after := answer[rolloutAnswer](w, asOwner, "GET", path, ""); after.State != string(tc.phase) || len(after.History) != 1 || len(after.Clusters) != 1 || after.Clusters[0].State != "healthy" {
				t.Errorf("after the refusal: %+v, want it as it was", after)
			}
			if events := w.since(before); len(events) != 0 || len(w.entries()) != entries {
				t.Errorf("the refused call has written %+v and %d entries of the audit log", events, len(w.entries())-entries)
			}
			if tc.newer {
				if after := answer[rolloutAnswer](w, asOwner, "POST", "/rollouts/"+string(newer.ID)+"/rollback", ""); after.State != "rolling_back" {
					t.Errorf("the one that governs: %+v, want it on its way back", after)
				}
			}
		})
	}
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
