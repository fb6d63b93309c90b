// Package lease runs what one replica of the scheduler at a time does, every so often: it takes the lease, does the work, and
// tries again after a failure. It exists so that this is written once.
package lease

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// rounds is how many rounds a lease outlives its last renewal: a dead replica's work is taken over after so many.
const rounds = 5

// Take takes or renews the lease for ttl; false, if another replica has it.
func Take(ctx context.Context, leases ports.Leases, name, holder string, ttl time.Duration) (ports.Lease, bool, error) {
	l, err := leases.Acquire(ctx, name, holder, ttl)
	switch {
	case fault.Is(err, fault.Conflict):
		return ports.Lease{}, false, nil
	case err != nil:
		return ports.Lease{}, false, fmt.Errorf("acquire lease %s: %w", name, err)
	default:
		return l, true, nil
	}
}

// Loop is work that one replica at a time does.
type Loop struct {
	Leases ports.Leases
	Name   string // of the lease
	Holder string // this replica
	Every  time.Duration
	Log    *slog.Logger
	Fails  string // what the log says of the first failure in a row
}

// Take takes or renews the loop's lease; false, if another replica has it.
func (l Loop) Take(ctx context.Context) (ports.Lease, bool, error) {
	return Take(ctx, l.Leases, l.Name, l.Holder, rounds*l.Every)
}

// Run calls once every so often until ctx ends. once takes the lease itself.
func (l Loop) Run(ctx context.Context, once func(ctx context.Context) error) error {
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := once(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			l.Log.WarnContext(ctx, l.Fails, "error", err.Error())
		}
		failing = err != nil
	}
}
