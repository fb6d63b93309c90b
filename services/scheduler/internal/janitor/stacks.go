package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const stackBatch = 100

// DeletedStacks drops what stacks have kept that were deleted longer ago than keep and that no agent has any more; until then they
// can be restored.
func DeletedStacks(s ports.Stacks, keep time.Duration) Task {
	return Task{Name: "collect deleted stacks", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := s.Collect(ctx, now.Add(-keep), stackBatch)
		return n == stackBatch, err
	}}
}

// CollectedStacks deletes what is left of stacks that were collected longer ago than keep.
func CollectedStacks(s ports.Stacks, keep time.Duration) Task {
	return Task{Name: "purge collected stacks", Step: func(ctx context.Context, now time.Time) (bool, error) {
		return s.Purge(ctx, now.Add(-keep), stackBatch)
	}}
}
