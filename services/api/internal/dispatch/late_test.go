package dispatch_test

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api/internal/dispatch"
)

// paused is a store in which the transaction of the event numbered late has drawn its number and stands still until it ends.
type paused struct {
	ports.Store
	late int64
	ends time.Time
}

func (s *paused) Outbox() ports.Outbox { return pausedOutbox{s.Store.Outbox(), s} }

type pausedOutbox struct {
	ports.Outbox
	s *paused
}

// Read passes over the late event as long as its transaction stands still, and remembers the gap for as long as it is told to.
func (o pausedOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gapFor time.Duration, limit int) ([]event.Event, ports.Cursor, error) {
	since, missed := c.Gaps[o.s.late]
	if missed && !now.Before(o.s.ends) {
		events, _, err := o.Outbox.Read(ctx, ports.Cursor{Seq: o.s.late - 1}, now, gapFor, 1)
		next := ports.Cursor{Seq: c.Seq, Gaps: maps.Clone(c.Gaps)}
		delete(next.Gaps, o.s.late)
		return events, next, err
	}
	events, next, err := o.Outbox.Read(ctx, c, now, gapFor, limit)
	for i, e := range events {
		if e.Seq == o.s.late && now.Before(o.s.ends) {
			events, since, missed = append(events[:i:i], events[i+1:]...), now, true
			break
		}
	}
	next.Gaps = maps.Clone(next.Gaps)
	delete(next.Gaps, o.s.late)
	if missed && now.Sub(since) < gapFor {
		if next.Gaps == nil {
			next.Gaps = map[int64]time.Time{}
		}
		next.Gaps[o.s.late] = since
	}
	return events, next, err
}

// A process that stands still in the middle of a transaction, as one does whose machine is moved, loses no event: others are read
// meanwhile, and its own when it has gone on and committed.
func TestAnEventOfAPausedTransactionIsDelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.subscribe("fast")
		store := &paused{Store: w.store, late: 1, ends: time.Now().Add(3 * time.Minute)}
		ctx, cancel := context.WithCancel(t.Context())
		f := &dispatch.Fanout{Store: store, Wakeups: w.store, Holder: "a", Keep: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: w.mets}
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		settled(time.Second)
		w.happen(event.StackCreated, 2)
		queued := func() int { return w.statuses(id)[webhook.Pending] }
		settled(2 * time.Minute)
		if n := queued(); n != 1 {
			t.Errorf("%d of two events are queued while the transaction of the first stands still, want one", n)
		}
		settled(2 * time.Minute)
		if n := queued(); n != 2 {
			t.Errorf("%d events are queued after the transaction has ended, want both", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
