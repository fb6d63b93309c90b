// Package janitor removes what nobody needs any more. One replica at a time does it, by a lease.
package janitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	lease = "scheduler/janitor"
	every = 10 * time.Minute
	batch = 5000
)

// Janitor trims the outbox.
type Janitor struct {
	store  ports.Store
	holder string
	keep   time.Duration
	now    func() time.Time
	log    *slog.Logger
}

// New returns a janitor that keeps events for this long.
func New(store ports.Store, holder string, keep time.Duration, now func() time.Time, log *slog.Logger) *Janitor {
	return &Janitor{store: store, holder: holder, keep: keep, now: now, log: log}
}

// Run tidies up every ten minutes until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := j.Once(ctx); err != nil && ctx.Err() == nil {
			j.log.WarnContext(ctx, "tidying up failed; it is tried again", "error", err.Error())
		}
	}
}

// Once trims in batches until nothing is left to trim, if no other replica does.
func (j *Janitor) Once(ctx context.Context) error {
	for {
		if _, err := j.store.Leases().Acquire(ctx, lease, j.holder, 2*every); err != nil {
			if fault.Is(err, fault.Conflict) {
				return nil
			}
			return err
		}
		n, err := j.store.Outbox().Trim(ctx, j.now().Add(-j.keep), batch)
		if err != nil {
			return err
		}
		if n < batch {
			return nil
		}
	}
}
