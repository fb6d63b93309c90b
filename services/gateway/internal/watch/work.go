package watch

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// hear takes the announcements of work, and of agents that have changed. One that is lost is found by the sweep, or as the
// roster is read again.
func (w *Watcher) hear(ctx context.Context) error {
	for ctx.Err() == nil {
		wakeups, err := w.wakeups.Listen(ctx, ports.WorkGrew, ports.AgentsChanged)
		if err != nil {
			w.log.WarnContext(ctx, "announcements of work and of changed agents cannot be listened to", "error", err.Error())
		} else {
			for news := range wakeups {
				switch {
				case news.Deaf: // a Lost one follows when it is over
					continue
				case news.Channel == ports.AgentsChanged:
					w.roster.Doubt(agent.ID(news.Payload))
					w.refuse(agent.ID(news.Payload))
					continue
				case news.Lost:
					w.hub.Ring("")
					w.listSoon()
				default:
					w.hub.Ring(agent.ID(news.Payload))
				}
				w.countSoon()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
	return nil
}

func (w *Watcher) listSoon() {
	select {
	case w.list <- struct{}{}:
	default:
	}
}

func (w *Watcher) countSoon() {
	select {
	case w.rang <- struct{}{}:
	default:
	}
}

// count asks the store what was announced; what comes during one statement shares the next.
func (w *Watcher) count(ctx context.Context) error {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.rang:
		}
		_, err := w.hub.Count(ctx)
		switch {
		case ctx.Err() != nil: // the answer is nobody's any more
		case err != nil:
			if !failing {
				w.log.WarnContext(ctx, "pending work cannot be counted; trying again every second", "error", err.Error())
			}
			failing = true
			time.AfterFunc(againAfter, w.countSoon)
		default:
			failing = false
		}
	}
}
