package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// ahead is for how many months room is made before they begin.
const ahead = 3

// Audit makes room for the entries of the coming months and drops months that ended longer than keep ago, each whole.
func Audit(log ports.AuditLog, keeper ports.AuditKeeper, keep time.Duration) Task {
	return Task{Name: "keep the audit log", Step: func(ctx context.Context, now time.Time) (bool, error) {
		p := audit.PeriodOf(now)
		for range ahead + 1 {
			if err := keeper.Prepare(ctx, p); err != nil {
				return false, err
			}
			p = p.Next()
		}
		chains, err := log.Chains(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range chains {
			if c.DroppedAt == nil && c.Period.Next().Start().Before(now.Add(-keep)) {
				if err := keeper.Drop(ctx, c.Period, now); err != nil {
					return false, err
				}
			}
		}
		return false, nil
	}}
}
