package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const rolloutBatch = 100

// Rollouts is the task that forgets rollouts which have been over for longer than rollout.Keep and govern nothing.
func Rollouts(r ports.Rollouts) Task {
	return Task{Name: "trim rollouts", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := r.Trim(ctx, now.Add(-rollout.Keep), rolloutBatch)
		return n == rolloutBatch, err
	}}
}
