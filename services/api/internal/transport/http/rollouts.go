package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	rolloutJSON struct {
		ID        rollout.ID     `json:"id"`
		StackID   stack.ID       `json:"stack_id"`
		ObjectID  stack.ObjectID `json:"deployment_object_id"`
		State     rollout.Phase  `json:"state"`
		Reason    string         `json:"reason"`
		Since     time.Time      `json:"since"`
		Wave      int            `json:"wave"`
		Waves     []waveJSON     `json:"waves"`
		Stage     *rollout.Stage `json:"stage"`
		Blockers  []blockerJSON  `json:"blockers"`
		WakeAt    *time.Time     `json:"wake_at"`
		CreatedAt time.Time      `json:"created_at"`
		EndedAt   *time.Time     `json:"ended_at"`
	}
	waveJSON struct {
		Name        string `json:"name"`
		SoakSeconds int64  `json:"soak_seconds"`
		Approval    bool   `json:"approval"`
	}
	blockerJSON struct {
		Kind     rollout.BlockerKind `json:"kind"`
		Since    time.Time           `json:"since"`
		Message  string              `json:"message"`
		Release  string              `json:"release"`
		Until    *time.Time          `json:"until"`
		AgentIDs []agent.ID          `json:"agent_ids"`
		Count    int                 `json:"count"`
	}
	wholeRolloutJSON struct {
		rolloutJSON
		SequenceID stack.Sequence   `json:"sequence_id"`
		Governs    bool             `json:"governs"`
		Clusters   []memberJSON     `json:"clusters"`
		History    []transitionJSON `json:"history"`
	}
	memberJSON struct {
		AgentID     agent.ID            `json:"agent_id"`
		AgentName   string              `json:"agent_name"`
		ClusterName string              `json:"cluster_name"`
		Wave        int                 `json:"wave"`
		State       rollout.MemberState `json:"state"`
		Since       time.Time           `json:"since"`
		AdmittedAt  *time.Time          `json:"admitted_at"`
		ReturnsTo   *stack.ObjectID     `json:"returns_to"`
		Offline     bool                `json:"offline"`
		Left        bool                `json:"left"`
		Joined      bool                `json:"joined"`
		Message     string              `json:"message"`
	}
	transitionJSON struct {
		At     time.Time     `json:"at"`
		From   rollout.Phase `json:"from"`
		To     rollout.Phase `json:"to"`
		Wave   int           `json:"wave"`
		By     *string       `json:"by"`
		Reason string        `json:"reason"`
	}
	rolloutActJSON struct {
		Wave *int `json:"wave"`
	}
	rollbackJSON struct {
		SequenceID stack.Sequence `json:"sequence_id"`
	}
)

func rolloutOf(r rollout.Rollout) rolloutJSON {
	out := rolloutJSON{
		ID: r.ID, StackID: r.Stack, ObjectID: r.Object, State: r.Phase, Reason: r.Reason, Since: r.Since.UTC(), Wave: r.Wave,
		WakeAt: r.WakeAt, CreatedAt: r.CreatedAt.UTC(), EndedAt: r.EndedAt,
		Waves: each(r.Spec.Waves, func(w rollout.Wave) waveJSON {
			return waveJSON{w.Name, int64(time.Duration(w.Soak).Seconds()), w.Approval}
		}),
		Blockers: each(r.Blockers, func(b rollout.Blocker) blockerJSON {
			return blockerJSON{b.Kind, b.Since.UTC(), b.Message, b.Release, b.Until, each(b.Agents, func(a agent.ID) agent.ID { return a }), b.Count}
		}),
	}
	if r.Stage != "" {
		out.Stage = &r.Stage
	}
	return out
}

func wholeRolloutOf(r app.Rollout) wholeRolloutJSON {
	return wholeRolloutJSON{
		rolloutJSON: rolloutOf(r.Rollout), SequenceID: r.Sequence, Governs: r.Governs,
		Clusters: each(r.Members, func(m rollout.Member) memberJSON {
			out := memberJSON{
				AgentID: m.Agent, AgentName: r.Agents[m.Agent].Name, ClusterName: r.Agents[m.Agent].ClusterName, Wave: m.Wave, State: m.State, Since: m.Since.UTC(),
				AdmittedAt: m.AdmittedAt, Offline: m.Offline, Left: m.Gone, Joined: m.Joined, Message: m.Message,
			}
			if o := m.Target(); o != "" {
				out.ReturnsTo = &o
			}
			return out
		}),
		History: each(r.History, func(t rollout.Transition) transitionJSON {
			out := transitionJSON{At: t.At.UTC(), From: t.From, To: t.To, Wave: t.Wave, Reason: t.Reason}
			if t.By != "" {
				out.By = &t.By
			}
			return out
		}),
	}
}

func rolloutRoutes(a *app.App) []rpc.Route {
	one := func(op, path string, do app.RolloutAct) rpc.Route {
		return act(op, "/rollouts/{id}/"+path, operate(GeneratorOwner), idAndMaybe[rollout.ID, rolloutActJSON], func(ctx context.Context, r of[rollout.ID, rolloutActJSON]) (wholeRolloutJSON, error) {
			wave := -1
			if r.body.Wave != nil {
				if wave = *r.body.Wave; wave < 0 {
					return wholeRolloutJSON{}, fault.New(fault.Invalid, "invalid_rollout", "wave must be 0 or more")
				}
			}
			out, err := a.ActOnRollout(ctx, who(ctx), r.id, do, wave)
			return wholeRolloutOf(out), err
		})
	}
	return []rpc.Route{
		list("list_rollouts", "/stacks/{id}/rollouts", view(GeneratorOwner), app.RolloutList(), justID[stack.ID], rpc.Short(app.RolloutList(), func(ctx context.Context, s stack.ID) ([]rollout.Rollout, error) {
			return a.ListRollouts(ctx, who(ctx), s)
		}), rolloutOf),
		get("get_rollout", "/rollouts/{id}", view(GeneratorOwner), justID[rollout.ID], func(ctx context.Context, id rollout.ID) (wholeRolloutJSON, error) {
			out, err := a.GetRollout(ctx, who(ctx), id)
			return wholeRolloutOf(out), err
		}),
		one("pause_rollout", "pause", app.PauseRollout()),
		one("resume_rollout", "resume", app.ResumeRollout()),
		one("approve_rollout", "approve", app.ApproveRollout()),
		one("abort_rollout", "abort", app.AbortRollout()),
		one("rollback_rollout", "rollback", app.UndoRollout()),
		post("rollback_stack", "/stacks/{id}/rollback", operate(GeneratorOwner), idAnd[stack.ID, rollbackJSON], func(ctx context.Context, r of[stack.ID, rollbackJSON]) (objectJSON, error) {
			out, err := a.RollbackStack(ctx, who(ctx), r.id, r.body.SequenceID)
			return objectOf(out), err
		}),
	}
}
