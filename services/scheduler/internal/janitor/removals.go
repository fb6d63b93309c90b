package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const removalBatch = 5000

// Removals is the task that forgets what the fleet's brake counts no longer, whose window is that long. Twice as much is kept,
// because the clocks of replicas differ.
func Removals(r ports.Removals, window time.Duration) Task {
	return Task{Name: "trim removals", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := r.Trim(ctx, now.Add(-2*window), removalBatch)
		return n == removalBatch, err
	}}
}
