package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/gateway/internal/target"
)

// Modes of a target state.
const (
	ModeFull        = "full"
	ModeIncremental = "incremental"
)

// Desired is one deployment object of a target state. Removal: it is a tombstone, without content.
type Desired struct {
	stack.Object
	Content stack.Checksum // of what the agent is to have; empty of a removal
	Masked  bool           // it is shown without what Secrets hold
	Removal bool
}

// What of target states may wait for its turn, and how long one may be on its way to whoever asked.
const (
	deliveriesEach     = 2 // of one agent at a time, and as many wait
	deliveriesPatience = 10 * time.Second
	deliveriesAgain    = 2 * time.Second // after which whoever was refused may try again
	deliveryWithin     = 5 * time.Minute
)

// Deliveries returns the turns of target states that are written with their contents, so many at a time.
func Deliveries(all int, count func(turn.Outcome)) *turn.Turns {
	return turn.New(turn.Limits{All: all, Each: deliveriesEach, Waiting: deliveriesEach, Patience: deliveriesPatience}, count)
}

// TargetState returns what the agent is to have, newest first; Content has the contents. In incremental mode it leaves out what the
// agent has reported applied with success. A removal is shown as its last object until it is acknowledged.
func (g *Gateway) TargetState(ctx context.Context, p tenancy.Principal, agentID, mode string) ([]Desired, error) {
	a, err := g.worker(ctx, p, agentID)
	if err != nil {
		return nil, err
	}
	var state target.State
	switch mode {
	case "", ModeFull:
		state, err = g.fullState(ctx, a)
	case ModeIncremental:
		state, err = g.openState(ctx, a)
	default:
		return nil, fault.Newf(fault.Invalid, "invalid_mode", "mode %q is not %s or %s", mode, ModeFull, ModeIncremental)
	}
	if err != nil {
		return nil, err
	}
	if p.IsAgent(a) {
		if err := g.tell(ctx, a, state); err != nil {
			return nil, err
		}
	}
	return g.desired(ctx, state, !p.IsAgent(a)) // an admin may see what is there, but not what Secrets hold
}

// BeginDelivery waits until contents may be written for p, and returns for how long they may be, and what ends that: Limited
// (too_many_target_states) if too many of p's wait already, or there was no turn for long.
func (g *Gateway) BeginDelivery(ctx context.Context, p tenancy.Principal) (within context.Context, end func(), err error) {
	whose := string(p.Agent)
	if whose == "" {
		whose = string(p.Credential)
	}
	done, err := g.Deliveries.Take(ctx, whose)
	if errors.Is(err, turn.ErrNone) {
		f := fault.New(fault.Limited, "too_many_target_states", "too many target states are on their way to agents; wait as long as Retry-After says")
		f.RetryAfter = deliveriesAgain
		return nil, nil, f
	}
	if err != nil {
		return nil, nil, err
	}
	within, cancel := context.WithTimeout(ctx, deliveryWithin)
	return within, func() { cancel(); done() }, nil
}

// Content returns what d has to be read; of a removal nothing.
func (g *Gateway) Content(ctx context.Context, d Desired) (io.Reader, error) {
	if d.Removal {
		return bytes.NewReader(nil), nil
	}
	b, err := g.Bundles.Get(ctx, d.Content)
	if err != nil {
		return nil, err
	}
	if !d.Masked {
		return b.Open()
	}
	plain, err := b.Plain()
	if err == nil {
		plain, err = bundle.Redact(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("show object %s: %w", d.ID, err)
	}
	return bytes.NewReader(plain), nil
}

func (g *Gateway) fullState(ctx context.Context, a agent.ID) (target.State, error) {
	known, trusted := g.Hub.Known(a)
	if !trusted {
		var err error
		if known, err = g.Hub.Confirm(ctx, a); err != nil {
			return target.State{}, err
		}
	}
	return g.Targets.At(ctx, a, known)
}

// openState is the full state without what has been applied.
func (g *Gateway) openState(ctx context.Context, a agent.ID) (target.State, error) {
	revision, wanted, err := g.Store.Assignments().OfAgent(ctx, a)
	if err != nil {
		return target.State{}, fmt.Errorf("read the assignments of agent %s: %w", a, err)
	}
	open := target.State{Revision: revision}
	for _, w := range wanted {
		applied := w.State == delivery.Assigned && w.Status != nil && w.Status.Object == w.Object && w.Status.Phase == delivery.PhaseApplied
		if !applied {
			open.Wanted = append(open.Wanted, w)
		}
	}
	return open, nil
}

func (g *Gateway) desired(ctx context.Context, state target.State, masked bool) ([]Desired, error) {
	out := make([]Desired, 0, len(state.Wanted))
	for _, w := range state.Wanted {
		o, err := g.object(ctx, w.Object)
		if fault.Is(err, fault.NotFound) && w.State == delivery.Removing {
			// the object may be gone with its deleted stack; its removal stays wanted
			o, err = stack.Object{ID: w.Object, Stack: w.Stack, Sequence: w.Sequence, SubmittedAt: w.Since, CreatedAt: w.Since, UpdatedAt: w.Since}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read deployment object %s: %w", w.Object, err)
		}
		d := Desired{Object: o, Masked: masked, Removal: w.State == delivery.Removing || w.Marker}
		if !d.Removal {
			d.Content = w.Checksum
		}
		out = append(out, d)
	}
	return out, nil
}

// objectCache remembers deployment objects, which never change.
type objectCache struct {
	mu    sync.Mutex
	known map[stack.ObjectID]stack.Object
}

const maxObjects = 10_000

func (g *Gateway) object(ctx context.Context, o stack.ObjectID) (stack.Object, error) {
	c := &g.objects
	c.mu.Lock()
	found, ok := c.known[o]
	c.mu.Unlock()
	if ok {
		return found, nil
	}
	found, err := g.Store.Objects().Get(ctx, tenancy.Everything(), o)
	if err != nil {
		return stack.Object{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxObjects {
		clear(c.known)
	}
	c.known[o] = found
	return found, nil
}

// told remembers which removals this replica has marked as told.
type told struct {
	mu sync.Mutex
	at map[toldKey]struct{}
}

type toldKey struct {
	agent    agent.ID
	stack    stack.ID
	revision delivery.Revision
}

const maxTold = 100_000

// tell marks the removals of state as known to the agent, durably, before it is answered: only then does a later
// success speak of the removal and not of the deployment before it.
func (g *Gateway) tell(ctx context.Context, a agent.ID, state target.State) error {
	now := g.Now().UTC()
	var reports []delivery.Report
	var keys []toldKey
	at := now
	g.told.mu.Lock()
	for _, w := range state.Wanted {
		k := toldKey{agent: a, stack: w.Stack, revision: w.Revision}
		if _, done := g.told.at[k]; done || w.State != delivery.Removing {
			continue
		}
		keys = append(keys, k)
		at = later(at, w.Since) // another machine's clock may be ahead of ours
		reports = append(reports, delivery.Report{
			Stack: w.Stack, Object: w.Object, Sequence: w.Sequence, Phase: delivery.PhaseRemoving, Health: delivery.HealthUnknown, ObservedAt: now,
		})
	}
	g.told.mu.Unlock()
	if len(reports) == 0 {
		return nil
	}
	if _, err := g.Store.Reports().Record(ctx, a, at, reports); err != nil {
		return fmt.Errorf("note that agent %s knows of %d removals: %w", a, len(reports), err)
	}
	g.told.mu.Lock()
	defer g.told.mu.Unlock()
	if len(g.told.at)+len(keys) > maxTold {
		clear(g.told.at)
	}
	for _, k := range keys {
		g.told.at[k] = struct{}{}
	}
	return nil
}

// hasBeenTold reports whether the agent has fetched this removal, or reported itself that it is at it.
func hasBeenTold(w delivery.Wanted) bool {
	return w.Status != nil && w.Status.Phase == delivery.PhaseRemoving && !w.Status.ReportedAt.Before(w.Since)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
