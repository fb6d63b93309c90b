// Package channels tells everybody which agents have a live channel to this replica.
package channels

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	lookEvery = time.Second     // how soon a channel that was opened or closed is told of
	sayEvery  = 5 * time.Second // that this replica is still there, when nothing has changed
	holdsFor  = 15 * time.Second
	limit     = 5 * time.Second // of one announcement
)

// Announcer is run by Run.
type Announcer struct {
	port    ports.Channels
	now     func() time.Time
	log     *slog.Logger
	sources []func() map[agent.ID]time.Time
	replica string

	told  map[agent.ID]time.Time
	at    time.Time // when something was said last; zero: say all of it
	doubt bool      // what others know may be another thing than was told
}

// New returns an announcer of what the sources have: since when agents are connected.
func New(port ports.Channels, now func() time.Time, log *slog.Logger, sources ...func() map[agent.ID]time.Time) *Announcer {
	return &Announcer{port: port, now: now, log: log, sources: sources, replica: uuid.NewString(), doubt: true}
}

// Run announces until ctx ends, and then withdraws all.
func (a *Announcer) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			after, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			defer cancel()
			if err := a.port.Withdraw(after, a.replica); err != nil {
				a.log.WarnContext(after, "the agents' channels are not withdrawn; they are forgotten by themselves", "after", holdsFor.String(), "error", err.Error())
			}
			return nil
		case <-tick.C:
		}
		err := a.announce(ctx)
		switch {
		case err != nil && ctx.Err() == nil && !failing:
			failing = true
			a.log.WarnContext(ctx, "the agents' channels are not announced; the fleet view shows them as not connected", "error", err.Error())
		case err == nil && failing:
			failing = false
			a.log.InfoContext(ctx, "the agents' channels are announced again")
		}
	}
}

// announce says what has changed since it was last said.
func (a *Announcer) announce(ctx context.Context) error {
	have := a.have()
	n := ports.Announcement{For: holdsFor, Whole: a.doubt, Opened: map[agent.ID]time.Time{}}
	for id, since := range have {
		if told, ok := a.told[id]; a.doubt || !ok || !told.Equal(since) {
			n.Opened[id] = since
		}
	}
	for id := range a.told {
		if _, still := have[id]; !still && !a.doubt {
			n.Closed = append(n.Closed, id)
		}
	}
	now := a.now()
	if !a.doubt && len(n.Opened)+len(n.Closed) == 0 && now.Sub(a.at) < sayEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	known, err := a.port.Announce(ctx, a.replica, n)
	if err != nil {
		a.doubt = true
		return err
	}
	a.told, a.at, a.doubt = have, now, known != len(have)
	return nil
}

// have returns since when agents are connected here, by whatever.
func (a *Announcer) have() map[agent.ID]time.Time {
	out := map[agent.ID]time.Time{}
	for _, source := range a.sources {
		for id, since := range source() {
			if at, ok := out[id]; !ok || since.Before(at) {
				out[id] = since
			}
		}
	}
	return out
}
