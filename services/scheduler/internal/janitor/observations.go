package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// roomFor is how far room for observations is made: longer than the time between two rounds, and than a lease.
const roomFor = 2 * time.Hour

// Observations forgets those that are older than keep, and makes room for those to come.
func Observations(o ports.Observations, keep time.Duration) Task {
	return Task{Name: "make room for observations", Step: func(ctx context.Context, now time.Time) (bool, error) {
		_, err := o.Keep(ctx, now.Add(-keep), now.Add(roomFor))
		return false, err
	}}
}
