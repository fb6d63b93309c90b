package push

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/pkg/workorderjson"
	"github.com/colliery-io/brokkr/services/gateway/internal/bundle"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

const (
	ordersAsked = 50
	ordersEach  = 5       // that an agent is told of at a time; it polls when it hears of one
	largestPush = 1 << 20 // bytes of manifests; larger orders are left to the poll
	gatherRings = 50 * time.Millisecond
)

// Orders pushes the work orders that agents may claim to those of them that are connected by WebSocket.
type Orders struct {
	Wakeups ports.Wakeups
	Works   ports.Works
	Store   ports.WorkOrders
	Bundles *bundle.Cache
	Sockets *sockets.Registry
	Now     func() time.Time
	Log     *slog.Logger

	told map[agent.ID]int64 // the mark of the newest work that was looked at
}

// Run pushes until ctx ends.
func (p *Orders) Run(ctx context.Context) error {
	p.told = map[agent.ID]int64{}
	for ctx.Err() == nil {
		wakeups, err := p.Wakeups.Listen(ctx, ports.WorkGrew)
		if err == nil {
			p.hear(ctx, wakeups)
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
	return nil
}

func (p *Orders) hear(ctx context.Context, wakeups <-chan ports.Wakeup) {
	for news := range wakeups {
		if news.Deaf {
			continue
		}
		rung := map[agent.ID]bool{agent.ID(news.Payload): true}
		for more := time.After(gatherRings); more != nil; { // what comes together is asked for together
			select {
			case <-more:
				more = nil
			case n, ok := <-wakeups:
				if !ok {
					return
				}
				rung[agent.ID(n.Payload)] = true
			}
		}
		if err := p.tell(ctx, rung); err != nil && ctx.Err() == nil {
			p.Log.DebugContext(ctx, "work orders could not be pushed; agents find them by themselves", "error", err.Error())
		}
	}
}

// tell pushes what is new for the agents that are connected here, of those that were rung for ("" is everybody).
func (p *Orders) tell(ctx context.Context, rung map[agent.ID]bool) error {
	here := slices.DeleteFunc(p.Sockets.Agents(), func(a agent.ID) bool { return !rung[""] && !rung[a] })
	if len(here) == 0 {
		return nil
	}
	pending, err := p.Works.Pending(ctx, here, p.Now())
	if err != nil {
		return err
	}
	for a, w := range pending {
		last := p.told[a]
		if w.WorkOrders == 0 || w.Mark <= last {
			continue
		}
		if err := p.orders(ctx, a, last); err != nil {
			return err
		}
		p.told[a] = w.Mark
	}
	if len(p.told) > 2*p.Sockets.Count()+1000 {
		for a := range p.told {
			if !p.Sockets.Has(a) {
				delete(p.told, a)
			}
		}
	}
	return nil
}

func (p *Orders) orders(ctx context.Context, a agent.ID, last int64) error {
	list, err := p.Store.Claimable(ctx, a, "", ordersAsked)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(o workorder.Order) bool { return o.AvailableAt.UnixMicro() <= last || o.Size > largestPush })
	for _, o := range list[:min(len(list), ordersEach)] {
		f, err := p.frame(ctx, o)
		if err != nil {
			return err
		}
		p.Sockets.Push(a, f)
	}
	return nil
}

func (p *Orders) frame(ctx context.Context, o workorder.Order) ([]byte, error) {
	b, err := p.Bundles.Get(ctx, o.Checksum)
	if err != nil {
		return nil, err
	}
	content, err := b.Plain()
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire.FrameOf[wire.WorkOrder]{Type: wire.FrameWorkOrder, Body: workorderjson.Order(o, content)})
}
