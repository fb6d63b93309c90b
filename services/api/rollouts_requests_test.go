package api_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// rollout is that of the owner's stack, in this phase, with the agent in its first wave. The first call stores it.
func (w *world) rollout(phase rollout.Phase) rollout.Rollout {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	if r, _, err := w.store.Rollouts().Get(ctx, tenancy.Everything(), w.rolloutID); err == nil {
		return r
	}
	r := rollout.Rollout{
		ID: w.rolloutID, Stack: w.stack.ID, Object: w.object.ID, Phase: phase, Since: now, CreatedAt: now, BegunAt: &now, Stage: rollout.StageGated, Reason: "because",
		Spec:     rollout.Spec{Waves: []rollout.Wave{{Name: "canary", Soak: policy.Duration(time.Minute), Approval: true}, {Name: "rest"}}, Deadline: policy.Duration(time.Hour)},
		Blockers: []rollout.Blocker{{Kind: rollout.BlockedByApproval, Since: now, Message: "it waits", Release: "approve it"}},
		Members:  []rollout.Member{{Agent: w.agent.ID, State: rollout.MemberHealthy, Since: now, From: w.object.ID, AdmittedAt: &now}},
	}
	_, err := w.store.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: r.Members, Transitions: []rollout.Transition{
		{At: now, From: rollout.PhasePending, To: phase, Reason: "it begins"},
	}})
	must(w.t, err)
	r.Version = 1
	return r
}

func rolloutRequests() map[string]func(w *world) request {
	act := func(phase rollout.Phase, path string) func(w *world) request {
		return func(w *world) request {
			return request{method: http.MethodPost, path: "/rollouts/" + string(w.rollout(phase).ID) + path, body: `{}`}
		}
	}
	return map[string]func(w *world) request{
		"list_rollouts": func(w *world) request {
			w.rollout(rollout.PhaseProgressing)
			return request{method: http.MethodGet, path: "/stacks/" + string(w.stack.ID) + "/rollouts"}
		},
		"get_rollout": func(w *world) request {
			return request{method: http.MethodGet, path: "/rollouts/" + string(w.rollout(rollout.PhaseWaitingApproval).ID)}
		},
		"pause_rollout":    act(rollout.PhaseProgressing, "/pause"),
		"resume_rollout":   act(rollout.PhasePaused, "/resume"),
		"approve_rollout":  act(rollout.PhaseWaitingApproval, "/approve"),
		"abort_rollout":    act(rollout.PhaseProgressing, "/abort"),
		"rollback_rollout": act(rollout.PhaseCompleted, "/rollback"),
		"rollback_stack": func(w *world) request {
			return request{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/rollback", body: fmt.Sprintf(`{"sequence_id":%d}`, w.object.Sequence)}
		},
	}
}
