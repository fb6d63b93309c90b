// Package dispatch delivers webhooks: one replica turns events into deliveries (Fanout), all replicas make the calls
// (Dispatcher).
package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	// Reader names the lease and the cursor of the fan-out.
	Reader = "webhooks/fanout"

	leaseTTL   = 15 * time.Second
	renewEvery = leaseTTL / 3
	sweepEvery = 10 * time.Minute
	batch      = 500  // events of one step, at most
	most       = 5000 // deliveries of one step, unless one event alone has more
	sweepBatch = 1000

	// gapFor is how long a slower transaction's event is waited for, which holds nobody else up. An event that comes later still would
	// be passed over for good, so it is far longer than a transaction can be: statements end after half a minute, idle ones after one.
	gapFor = 10 * time.Minute
)

// Fanout reads the outbox and queues a delivery for each event and subscription that fit. Of all replicas one does, by a
// lease; its cursor is stored in the transaction that queues, so that no event is passed over and none is queued twice.
type Fanout struct {
	Store   ports.Store
	Wakeups ports.Wakeups
	Holder  string // names the replica
	Keep    time.Duration
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *Metrics

	lease  ports.Lease
	safe   time.Time // the lease is ours until then, by our own clock
	cursor ports.Cursor
	swept  time.Time
	size   int       // events of the next step, so that its transaction ends long before the lease
	rung   time.Time // until when deliveries that became due for agents have been announced

	queueing trouble
}

// Run works until ctx ends, then gives the lease up.
func (f *Fanout) Run(ctx context.Context) error {
	wakeups, err := f.Wakeups.Listen(ctx, ports.OutboxGrew)
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	f.round(ctx, true)
	for {
		select {
		case <-ctx.Done():
			return f.release(context.WithoutCancel(ctx))
		case <-tick.C:
			f.round(ctx, true)
		case _, ok := <-wakeups:
			if !ok {
				wakeups = nil // ctx ends
				continue
			}
			f.round(ctx, false)
		}
	}
}

func (f *Fanout) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := f.Store.Leases().Release(ctx, Reader, f.Holder); err != nil {
		f.Log.WarnContext(ctx, "the lease of the webhooks' fan-out could not be released; it ends by itself", "error", err.Error())
	}
	return nil
}

// round does everything that is to do, if the lease is ours. On a wakeup others do not ask for it.
func (f *Fanout) round(ctx context.Context, renew bool) {
	if !renew && !f.Now().Before(f.safe) {
		return
	}
	err := f.work(ctx, renew)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.safe = time.Time{} // the lease or the cursor may be another's: begin anew
	}
	f.queueing.note(ctx, f.Log, f.Now(), "queueing webhooks", err)
}

func (f *Fanout) work(ctx context.Context, renew bool) error {
	if renew {
		mine, err := f.acquire(ctx)
		if err != nil || !mine {
			return err
		}
	}
	for f.Now().Before(f.safe) {
		more, err := f.step(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if renew {
		if err := f.ring(ctx); err != nil {
			return err
		}
	}
	return f.sweep(ctx)
}

// ring announces what has become due for agents by itself; parked agents ask for nothing.
func (f *Fanout) ring(ctx context.Context) error {
	until, err := f.Store.Deliveries().RingDue(ctx, f.rung)
	if err != nil {
		return fmt.Errorf("ring for agents: %w", err)
	}
	f.rung = until
	return nil
}

// hold renews the lease unless it is fresh, so that a step of the largest size ends before it does; false if it is another's.
func (f *Fanout) hold(ctx context.Context) (bool, error) {
	if f.safe.Sub(f.Now()) > leaseTTL*3/4 {
		return true, nil
	}
	return f.acquire(ctx)
}

// acquire takes or renews the lease; with a new one comes the stored cursor.
func (f *Fanout) acquire(ctx context.Context) (bool, error) {
	asked := f.Now()
	l, err := f.Store.Leases().Acquire(ctx, Reader, f.Holder, leaseTTL)
	if fault.Is(err, fault.Conflict) {
		f.safe = time.Time{}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take the lease: %w", err)
	}
	if l.Epoch != f.lease.Epoch || f.safe.IsZero() {
		if f.cursor, err = f.Store.Cursors().Load(ctx, Reader); err != nil {
			return false, err
		}
	}
	f.lease, f.safe = l, asked.Add(leaseTTL*9/10)
	if f.size == 0 {
		f.size = batch
	}
	return true, nil
}

// step queues for the next events and reports whether more may wait. However many subscriptions there are, its transaction is
// short, and begins with most of the lease ahead: one that outlives the lease is in vain.
func (f *Fanout) step(ctx context.Context) (bool, error) {
	size := f.size
	events, next, err := f.Store.Outbox().Read(ctx, f.cursor, f.Now(), gapFor, size)
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	if len(events) == 0 && next.Seq == f.cursor.Seq && len(next.Gaps) == len(f.cursor.Gaps) {
		return false, nil
	}
	deliveries, err := f.match(ctx, events)
	if err != nil {
		return false, err
	}
	switch n := len(deliveries); {
	case n > most && len(events) > 1:
		f.size = max(1, len(events)*most/n)
		return true, nil // fewer of the same
	case n < most/4:
		f.size = min(2*size, batch)
	}
	epoch := f.lease.Epoch
	if mine, err := f.hold(ctx); err != nil || !mine {
		return false, err
	}
	if f.lease.Epoch != epoch {
		return true, nil // another had it meanwhile: the cursor is where that one left it
	}
	var queued int
	err = f.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if queued, err = tx.Deliveries().Enqueue(ctx, deliveries); err != nil {
			return err
		}
		return tx.Cursors().Store(ctx, f.lease, next)
	})
	if err != nil {
		return false, fmt.Errorf("queue deliveries: %w", err)
	}
	f.cursor = next
	f.Metrics.queued.Add(float64(queued))
	return len(events) == size, nil
}

// match returns the deliveries of events. The subscriptions are read once for all of them, and only if one can fit.
func (f *Fanout) match(ctx context.Context, events []event.Event) ([]webhook.Delivery, error) {
	public := map[event.Type]bool{}
	for _, t := range webhook.EventTypes() {
		public[t] = true
	}
	var subscriptions []webhook.Subscription
	var out []webhook.Delivery
	for _, e := range events {
		if !public[e.Type] {
			continue
		}
		if subscriptions == nil {
			var err error
			if subscriptions, err = f.Store.Webhooks().List(ctx); err != nil {
				return nil, fmt.Errorf("read subscriptions: %w", err)
			}
			if len(subscriptions) == 0 {
				return nil, nil
			}
		}
		var body string
		for _, s := range subscriptions {
			if !s.Matches(e) {
				continue
			}
			if body == "" {
				var err error
				if body, err = webhook.Body(e); err != nil {
					return nil, err
				}
			}
			out = append(out, webhook.Delivery{
				ID: webhook.DeliveryID(uuid.NewString()), Subscription: s.ID, EventType: e.Type, EventID: e.ID, Payload: body,
			})
		}
	}
	return out, nil
}

// sweep removes what is older than Keep and buries what was lost, now and then.
func (f *Fanout) sweep(ctx context.Context) error {
	if f.Now().Sub(f.swept) < sweepEvery {
		return nil
	}
	for {
		buried, trimmed, err := f.Store.Deliveries().Sweep(ctx, f.Now().Add(-f.Keep), sweepBatch)
		if err != nil {
			return fmt.Errorf("sweep deliveries: %w", err)
		}
		f.Metrics.settled.WithLabelValues(string(webhook.Dead)).Add(float64(buried))
		if buried < sweepBatch && trimmed < sweepBatch {
			break
		}
	}
	f.swept = f.Now()
	return nil
}
