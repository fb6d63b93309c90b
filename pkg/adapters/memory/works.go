package memory

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type works struct{ s session }

// Pending implements ports.Works. Each kind of work adds to the agent's count.
func (r works) Pending(ctx context.Context, ids []agent.ID, now time.Time) (map[agent.ID]ports.Pending, error) {
	now = micro(now)
	return read(ctx, r.s, func(s *state) (map[agent.ID]ports.Pending, error) {
		out := map[agent.ID]ports.Pending{}
		for _, id := range ids {
			var p ports.Pending
			for _, add := range kindsOfWork() {
				add(s, id, now, &p)
			}
			if p.Any() {
				out[id] = p
			}
		}
		return out, nil
	})
}

// kindOfWork adds to p what the agent could take at now: how many, and (by newest) since when.
type kindOfWork func(s *state, a agent.ID, now time.Time, p *ports.Pending)

func kindsOfWork() []kindOfWork {
	return []kindOfWork{(*state).pendingWorkOrders, (*state).pendingWebhooks, (*state).pendingDiagnostics}
}

// newest moves the mark of p to since if that is later.
func newest(p *ports.Pending, since time.Time) { p.Mark = max(p.Mark, since.UnixMicro()) }

// Ring implements ports.Works.
func (r works) Ring(ctx context.Context, ids ...agent.ID) error {
	return r.s.update(ctx, func(ch *change) error {
		if len(ids) == 0 || len(ids) > ports.RingAtMost {
			ids = []agent.ID{""}
		}
		for _, id := range ids {
			ch.announce(ports.Wakeup{Channel: ports.WorkGrew, Payload: string(id)})
		}
		return nil
	})
}
