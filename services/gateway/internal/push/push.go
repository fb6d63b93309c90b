// Package push tells agents that are connected by WebSocket what has changed for them, so that they need not wait for their
// next poll. It only saves time: whatever is missed here the poll finds.
package push

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

const (
	againAfter = time.Second
	recent     = time.Minute // an assignment that changed before is no news
	nobodys    = "00000000-0000-0000-0000-000000000000"
)

// Pusher listens to the signals of schedulers. It pushes whatever changes an agent's target state, by target, label or
// decision alike.
type Pusher struct {
	signals ports.Signals
	store   ports.Store
	sockets *sockets.Registry
	now     func() time.Time
	log     *slog.Logger
	pushed  map[agent.ID]delivery.Revision
}

// New returns a pusher. Without signals (nil) it pushes nothing.
func New(signals ports.Signals, store ports.Store, registry *sockets.Registry, now func() time.Time, log *slog.Logger) *Pusher {
	return &Pusher{signals: signals, store: store, sockets: registry, now: now, log: log, pushed: map[agent.ID]delivery.Revision{}}
}

// Run pushes until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	for p.signals != nil && ctx.Err() == nil {
		batches, err := p.signals.Subscribe(ctx)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(againAfter):
			}
			continue
		}
		for b := range batches {
			p.tell(ctx, b)
		}
	}
	<-ctx.Done()
	return nil
}

func (p *Pusher) tell(ctx context.Context, batch []ports.Signal) {
	for _, s := range batch {
		if !p.sockets.Has(s.Agent) || p.pushed[s.Agent] >= s.Revision {
			continue
		}
		if err := p.changes(ctx, s.Agent); err != nil && ctx.Err() == nil {
			p.log.DebugContext(ctx, "a change could not be pushed; the agent finds it by itself", "agent", string(s.Agent), "error", err.Error())
		}
	}
	if len(p.pushed) > 2*p.sockets.Count()+1000 {
		here := p.sockets.Agents()
		for a := range p.pushed {
			if !slices.Contains(here, a) {
				delete(p.pushed, a)
			}
		}
	}
}

// changes pushes what has changed for an agent since the last time.
func (p *Pusher) changes(ctx context.Context, a agent.ID) error {
	revision, wanted, err := p.store.Assignments().OfAgent(ctx, a)
	if err != nil {
		return err
	}
	last, told := p.pushed[a]
	for _, w := range wanted {
		if told && w.Revision <= last || !told && p.now().Sub(w.Since) > recent {
			continue
		}
		f, err := p.frame(ctx, a, w)
		if err != nil {
			return err
		}
		p.sockets.Push(a, f)
	}
	p.pushed[a] = revision
	return nil
}

// frame is stack_changed for what is assigned, and target_changed for what goes: its stack may be gone.
func (p *Pusher) frame(ctx context.Context, a agent.ID, w delivery.Wanted) ([]byte, error) {
	if w.State == delivery.Assigned {
		s, err := p.store.Stacks().Get(ctx, tenancy.Everything(), w.Stack)
		if err == nil {
			return json.Marshal(wire.FrameOf[wire.StackFrame]{Type: wire.FrameStackChanged, Body: stackFrame(s)})
		}
		if !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return json.Marshal(wire.FrameOf[wire.TargetFrame]{Type: wire.FrameTargetChanged, Body: wire.TargetFrame{ID: nobodys, AgentID: string(a), StackID: string(w.Stack)}})
}

func stackFrame(s stack.Stack) wire.StackFrame {
	return wire.StackFrame{
		ID: string(s.ID), CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), DeletedAt: s.DeletedAt, Name: s.Name, Description: s.Description,
		GeneratorID: string(s.Generator),
	}
}
