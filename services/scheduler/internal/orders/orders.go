// Package orders does with work orders what the passing of time alone does: it ends claims whose agents fell silent, makes
// retries pending when they are due, and ends what nobody takes. One replica at a time does it, by a lease.
package orders

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const (
	every = 2 * time.Second
	batch = 100
)

// Clock advances work orders.
type Clock struct {
	store     ports.Store
	loop      lease.Loop
	unclaimed time.Duration
	now       func() time.Time
}

// New returns a clock that ends orders which no agent has claimed for this long. holder names the replica.
func New(store ports.Store, holder string, unclaimed time.Duration, now func() time.Time, log *slog.Logger) *Clock {
	return &Clock{store: store, unclaimed: unclaimed, now: now, loop: lease.Loop{
		Leases: store.Leases(), Name: "scheduler/work-orders", Holder: holder, Every: every, Log: log, Fails: "work orders cannot be advanced; trying again",
	}}
}

// Run looks every two seconds until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	return c.loop.Run(ctx, c.Once)
}

// Once advances everything that is due, if no other replica does.
func (c *Clock) Once(ctx context.Context) error {
	if _, mine, err := c.loop.Take(ctx); err != nil || !mine {
		return err
	}
	for {
		now := c.now().UTC().Truncate(time.Microsecond)
		due, err := c.store.WorkOrders().Due(ctx, now, now.Add(-c.unclaimed), batch)
		if err != nil {
			return fmt.Errorf("find due work orders: %w", err)
		}
		for _, o := range due {
			if err := c.advance(ctx, o, now); err != nil {
				return fmt.Errorf("advance work order %s: %w", o.ID, err)
			}
		}
		if len(due) < batch {
			return nil
		}
	}
}

// advance does one order, in a transaction of its own. What has changed meanwhile is somebody else's.
func (c *Clock) advance(ctx context.Context, o workorder.Order, now time.Time) error {
	next, entry, due := o.Advance(now, c.unclaimed)
	if !due {
		return nil
	}
	err := c.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if entry != nil {
			return ports.FinishWorkOrder(ctx, tx, o, *entry, uuid.NewString())
		}
		if err := tx.WorkOrders().Update(ctx, next); err != nil {
			return err
		}
		if next.Status == workorder.Pending {
			return tx.Works().Ring(ctx)
		}
		return nil
	})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}
