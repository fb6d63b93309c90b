package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const workOrdersAtOnce = 1000

// WorkOrderLog is the task that forgets work orders which were finished longer ago than keep.
func WorkOrderLog(log ports.WorkOrderLog, keep time.Duration) Task {
	return Task{Name: "trim the work order log", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := log.Trim(ctx, now.Add(-keep), workOrdersAtOnce)
		return n == workOrdersAtOnce, err
	}}
}
