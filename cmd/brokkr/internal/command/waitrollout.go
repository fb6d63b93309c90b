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

// followRollout tells how far the rollout of our object is, where clusters still want another one. One that ended without
// having reached them ends the wait: it will never reach them.
func (h *healthWait) followRollout(ctx context.Context, s client.StackStatus) error {
	if !slices.ContainsFunc(s.Clusters, func(c client.ClusterStatus) bool {
		return c.State != stateRemoving && c.Wanted.DeploymentObjectID != h.object.ID
	}) {
		return nil
	}
	all, err := h.c.Rollouts(ctx, h.stack.ID)
	if err != nil {
		if ctx.Err() != nil || !client.IsTemporary(err) {
			return err
		}
		return nil // the next look tells
	}
	i := slices.IndexFunc(all, func(r client.RolloutSummary) bool { return r.ObjectID == h.object.ID })
	if i < 0 {
		return nil
	}
	r := all[i]
	h.watch.behind = behindRollout
	if line := fmt.Sprintf("%s, wave %s: %s", r.State, waveName(r), orNone(render.Clean(r.Reason))); line != h.rollout {
		h.rollout = line
		h.a.progress("  rollout: %s", line)
	}
	switch r.State {
	case "aborted", "superseded", "rolled_back":
		return hint(fmt.Errorf("the rollout of stack %s ended %s and reaches no more clusters: %s", h.stack.Name, r.State, orNone(render.Clean(h.because(ctx, r)))),
			"brokkr rollout history %s", h.stack.Name)
	default:
		return nil
	}
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
