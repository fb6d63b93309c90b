package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// Removals are what the fleet's brake counts: what decisions of all replicas have taken away of late.
type Removals interface {
	// Since returns those after the moment, oldest first.
	Since(ctx context.Context, after time.Time) ([]placement.Removal, error)
	// Assigned returns how many assignments the whole fleet has, removals not among them: what the brake admits a share of.
	Assigned(ctx context.Context) (int, error)
	// Add stores removals in the transaction that commits their decisions. Decisions rest on at most so many clusters that were
	// taken away after the moment: if there are more, it is a Conflict (code stale) and nothing is stored; of two that add at one
	// moment the second waits for the first. The stacks must exist (else Refused, foreign_key_violation).
	Add(ctx context.Context, after time.Time, most int, list ...placement.Removal) error
	// Trim deletes at most limit of those before the moment, the oldest first, and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}
