package command

import (
	"context"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// behind is why a cluster is not given the newest object.
const (
	behindScheduler = "waiting for the scheduler"
	behindRollout   = "its turn in the rollout has not come"
)

const rolloutCompleted = "completed" // a rollout's state

// followRollout tells how far the rollout of our object is, where clusters still want another one, and reports whether it has
// come as far as the goal asks. That has to be looked at also when every cluster of the status has arrived: one that a first rollout
// has not reached has nothing of the stack, and is not among them. A rollout that ended without having reached all ends the wait: it
// never will.
func (h *healthWait) followRollout(ctx context.Context, s client.StackStatus, arrived bool) (over bool, err error) {
	if !h.rolls(s, arrived) {
		return true, nil
	}
	all, err := h.c.Rollouts(ctx, h.stack.ID)
	if err != nil {
		return h.noAnswer(ctx, err)
	}
	h.unsure = false
	i := slices.IndexFunc(all, func(r client.RolloutSummary) bool { return r.ObjectID == h.object.ID })
	if i < 0 {
		return true, nil
	}
	r := all[i]
	if r.State == rolloutCompleted && h.rollout == "" {
		return true, nil // long ago, or at once
	}
	h.watch.behind = behindRollout
	if line := fmt.Sprintf("%s, wave %s: %s", r.State, waveName(r), orNone(render.Clean(r.Reason))); line != h.rollout {
		h.rollout = line
		h.a.progress("  rollout: %s", line)
	}
	switch {
	case r.State == "aborted" || r.State == "superseded" || r.State == "rolled_back":
		return false, hint(fmt.Errorf("the rollout of stack %s ended %s and reaches no more clusters: %s", h.stack.Name, r.State, orNone(render.Clean(h.because(ctx, r)))),
			"brokkr rollout history %s", h.stack.Name)
	case r.State == rolloutCompleted:
		return true, nil
	case arrived && h.goal == phaseApplied:
		return h.hasAdmittedAll(ctx, r)
	default:
		return false, nil
	}
}

// rolls reports whether the goal rests on the object's rollout. One that waits for another health than good never gets past the
// clusters that a rollout stops at, so it is about those that have the object.
func (h *healthWait) rolls(s client.StackStatus, arrived bool) bool {
	if arrived {
		return h.goal == phaseApplied || h.goal == healthHealthy || h.goal == "health="+healthHealthy
	}
	return slices.ContainsFunc(s.Clusters, func(c client.ClusterStatus) bool {
		return c.State != stateRemoving && c.Wanted.DeploymentObjectID != h.object.ID
	})
}

// hasAdmittedAll reports whether the rollout has given the object to all of its clusters.
func (h *healthWait) hasAdmittedAll(ctx context.Context, r client.RolloutSummary) (bool, error) {
	whole, err := h.c.Rollout(ctx, r.ID)
	if err != nil {
		return h.noAnswer(ctx, err)
	}
	return !slices.ContainsFunc(whole.Clusters, func(c client.RolloutCluster) bool { return !c.Left && c.AdmittedAt == nil }), nil
}

// noAnswer is not over: the next look tells, unless err lasts.
func (h *healthWait) noAnswer(ctx context.Context, err error) (bool, error) {
	if ctx.Err() != nil || !client.IsTemporary(err) {
		return false, err
	}
	h.unsure = true
	return false, nil
}

// because is why a rollout that turned back did: the reason of its end says only that it is over.
func (h *healthWait) because(ctx context.Context, r client.RolloutSummary) string {
	whole, err := h.c.Rollout(ctx, r.ID)
	if err != nil {
		return r.Reason // the history is a courtesy
	}
	for _, t := range slices.Backward(whole.History) {
		if t.To == "failed" || (t.To == "rolling_back" && t.By != nil) {
			return named(whole, t.Reason)
		}
	}
	return r.Reason
}
