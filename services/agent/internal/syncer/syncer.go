// Package syncer is the agent's one conversation with the broker: heartbeat, reports and the target state in one
// request at a time, parked at the gateway while there is no news. Nothing that is done in the cluster can hold it up.
package syncer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
)

// Broker is what the syncer asks of the gateway.
type Broker interface {
	Sync(ctx context.Context, id agent.ID, req wire.SyncRequest) (wire.SyncResponse, error)
}

// Target takes the target state. Set must not block.
type Target interface {
	Set(stacks []wire.Stack, removed []wire.Removed)
}

// Heart says how the cluster is.
type Heart interface{ Beat() wire.Heartbeat }

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	refusedWait  = 15 * time.Second
	gather       = 10 * time.Millisecond // reports that come together are told together
	farewell     = 3 * time.Second
)

// Syncer runs the conversation.
type Syncer struct {
	broker Broker
	id     agent.ID
	boot   string
	wait   int // seconds to park, until the broker says otherwise
	box    *report.Box
	target Target
	heart  Heart
	log    *slog.Logger
	count  func(outcome string)

	seq      int64
	revision int64
	trouble  string // the last failure that was logged, so that one outage is one line
}

// New returns a syncer. boot is a UUID that is new on each start; count is told the outcome of each sync.
func New(b Broker, id agent.ID, boot string, wait int, box *report.Box, t Target, h Heart, log *slog.Logger, count func(string)) *Syncer {
	return &Syncer{broker: b, id: id, boot: boot, wait: min(wait, wire.MaxWaitSeconds), box: box, target: t, heart: h, log: log, count: count}
}

// Run syncs until ctx ends; then it tells the broker what it has not been told yet, for a few seconds at most.
func (s *Syncer) Run(ctx context.Context) error {
	backoff := firstBackoff
	for ctx.Err() == nil {
		err := s.once(ctx)
		if err == nil {
			backoff = firstBackoff
			continue
		}
		if ctx.Err() != nil {
			break
		}
		delay := backoff/2 + time.Duration(rand.Int64N(int64(backoff))) //nolint:gosec // spreads load, secures nothing
		if f, ok := fault.As(err); ok {
			switch f.Kind {
			case fault.Unauthenticated, fault.Forbidden:
				delay = refusedWait
			case fault.Limited, fault.Unavailable:
				delay = max(delay, f.RetryAfter)
			case fault.Internal, fault.Invalid, fault.NotFound, fault.Conflict, fault.Refused:
			}
		}
		backoff = min(2*backoff, maxBackoff)
		s.count(fault.KindOf(err).String())
		if text := err.Error(); text != s.trouble {
			s.trouble = text
			s.log.WarnContext(ctx, "sync failed; the cluster keeps its last desired state", "error", text, "code", fault.CodeOf(err))
		}
		sleep(ctx, delay)
	}
	if !s.box.Empty() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if err := s.exchange(last, 0); err != nil {
			s.log.WarnContext(last, "the last reports could not be told; they are repeated after the next start", "error", err.Error())
		}
	}
	return nil
}

// once makes one exchange, parked unless there is something to tell; news cuts the parking short.
func (s *Syncer) once(ctx context.Context) error {
	parked, cut := context.WithCancel(ctx)
	defer cut()
	done := make(chan error, 1)
	go func() { done <- s.exchange(parked, s.wait) }()
	select {
	case err := <-done:
		return err
	case <-s.box.News():
		sleep(ctx, gather)
		cut()
		// The answer may be lost with it: the next request still has the old revision, so it is given again.
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

func (s *Syncer) exchange(ctx context.Context, wait int) error {
	batch := s.box.Take()
	if len(batch.Applied)+len(batch.Removed) > 0 {
		wait = 0 // what is told is acknowledged at once, not after the parking
	}
	s.seq++
	res, err := s.broker.Sync(ctx, s.id, wire.SyncRequest{
		BootID: s.boot, Seq: s.seq, Revision: s.revision, WaitSeconds: wait, Heartbeat: s.heart.Beat(),
		Applied: batch.Applied, Removed: batch.Removed,
	})
	if err != nil {
		return err
	}
	if s.trouble != "" {
		s.log.InfoContext(ctx, "the broker answers again")
		s.trouble = ""
	}
	s.box.Acknowledge(batch)
	if res.Next.WaitSeconds > 0 {
		s.wait = min(res.Next.WaitSeconds, wire.MaxWaitSeconds)
	}
	if res.Stacks == nil {
		s.count("unchanged")
		return nil
	}
	s.count("changed")
	s.revision = res.Revision
	s.target.Set(*res.Stacks, res.Removed)
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
