package world

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/colliery-io/brokkr/pkg/client"
)

// Rollout returns the newest rollout of the stack.
func (g Generator) Rollout(ctx context.Context, stack string) (client.Rollout, error) {
	var all []client.RolloutSummary
	if _, err := g.Try(ctx, http.MethodGet, "/stacks/"+stack+"/rollouts", nil, http.StatusOK, &all); err != nil {
		return client.Rollout{}, err
	}
	if len(all) == 0 {
		return client.Rollout{}, fmt.Errorf("stack %s has no rollout", stack)
	}
	var r client.Rollout
	_, err := g.Try(ctx, http.MethodGet, "/rollouts/"+all[0].ID, nil, http.StatusOK, &r)
	return r, err
}

// WaitRollout waits until the rollout of the object is in this state.
func (g Generator) WaitRollout(t testing.TB, o Object, state string) client.Rollout {
	t.Helper()
	var r client.Rollout
	Eventually(t, Patience, fmt.Sprintf("rollout of object %d %s", o.SequenceID, state), func() error {
		var err error
		if r, err = g.Rollout(t.Context(), o.StackID); err != nil {
			return err
		}
		if r.ObjectID != o.ID || r.State != state {
			return fmt.Errorf("the rollout of object %d is %s (%s), wave %d, clusters %+v", r.SequenceID, r.State, r.Reason, r.Wave, r.Clusters)
		}
		return nil
	})
	return r
}
