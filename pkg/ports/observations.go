package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Observations are what agents see of their stacks' lives: kept for hours, in bulk.
type Observations interface {
	// Add stores parcels, all or none, as taken at the moment at, and returns a receipt for each. A parcel whose number its
	// process has used or passed is repeated; what belongs to a stack that is not assigned to its agent is dropped. Two
	// numbered parcels of one process in one call are Invalid.
	Add(ctx context.Context, at time.Time, parcels []observation.Parcel) ([]observation.Receipt, error)
	// Events returns the events of a stack that scope owns; of others, and of unknown ones, there are none.
	Events(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (observation.Events, error)
	// Logs is Events for lines of logs and the gaps in them.
	Logs(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (observation.Logs, error)
	// Keep forgets what was taken before a moment (up to an hour of it may stay) and makes room for what will be taken until
	// another one. It reports how many shelves of one hour it dropped; an adapter without shelves counts none.
	Keep(ctx context.Context, before, until time.Time) (dropped int, err error)
}
