// Package target reads agents' target states: from the cache at exactly the revision that is asked for, else from the store.
package target

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
)

// State is an agent's target state at one revision, by sequence descending, tombstones included, without statuses.
type State struct {
	Revision delivery.Revision
	Wanted   []delivery.Wanted
}

// waitingPuts may lie before the cache; more are dropped, because a cache may forget.
const waitingPuts = 1024

// Result of asking the cache, for metrics.
type Result string

// The results.
const (
	Hit    Result = "hit"
	Miss   Result = "miss"
	Failed Result = "failed"
)

// Reader is safe for concurrent use. Run must be running for the cache to be filled.
type Reader struct {
	assignments ports.Assignments
	cache       *guarded
	hub         *hub.Hub
	log         *slog.Logger
	count       func(Result)
	puts        chan put
	kept        kept
}

type put struct {
	agent    agent.ID
	revision delivery.Revision
	encoded  []byte
}

// New returns a reader; count is told the outcome of each question to the cache.
func New(assignments ports.Assignments, cache ports.TargetCache, h *hub.Hub, log *slog.Logger, now func() time.Time, count func(Result)) *Reader {
	return &Reader{
		assignments: assignments, cache: &guarded{cache: cache, now: now}, hub: h, log: log, count: count,
		puts: make(chan put, waitingPuts), kept: kept{now: now, states: map[agent.ID]keptState{}},
	}
}

// At returns the target state at the revision, from the cache if it is there, else the newest one from the store.
func (r *Reader) At(ctx context.Context, a agent.ID, revision delivery.Revision) (State, error) {
	encoded, err := r.cache.get(ctx, a, revision)
	if err != nil {
		r.count(Failed)
		r.log.WarnContext(ctx, "the cache of target states fails; it is left alone for a while", "error", err.Error())
		return r.Newest(ctx, a)
	}
	if encoded != nil {
		s, err := decode(encoded, a)
		if err == nil && s.Revision == revision {
			r.count(Hit)
			return s, nil
		}
	}
	r.count(Miss)
	return r.Newest(ctx, a)
}

// Newest returns the target state from the store and fills the cache with it.
func (r *Reader) Newest(ctx context.Context, a agent.ID) (State, error) {
	reading := r.hub.Begin()
	s, err := r.read(ctx, a)
	if err != nil {
		return State{}, fmt.Errorf("read the assignments of agent %s: %w", a, err)
	}
	r.hub.Observe(reading, a, s.Revision)
	encoded, err := encode(s)
	if err != nil {
		return State{}, err
	}
	select {
	case r.puts <- put{a, s.Revision, encoded}:
	default:
	}
	return s, nil
}

// read reads what is newer than what was read a moment ago, if there is such a state, else everything.
func (r *Reader) read(ctx context.Context, a agent.ID) (State, error) {
	if old, ok := r.kept.get(a); ok {
		now, newer, all, err := r.assignments.Since(ctx, a, old.Revision)
		if err != nil {
			return State{}, err
		}
		if s := old.with(now, newer); now >= old.Revision && delivery.TallyOf(s.Wanted) == all {
			r.kept.renew(a, s)
			return s, nil
		}
		r.kept.drop(a) // an assignment has gone, or the store is another one than it was
	}
	revision, wanted, err := r.assignments.OfAgent(ctx, a)
	if err != nil {
		return State{}, err
	}
	s := State{Revision: revision, Wanted: wanted}.bare()
	r.kept.put(a, s)
	return s, nil
}

// Run fills the cache until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-r.puts:
			if err := r.cache.put(ctx, p.agent, p.revision, p.encoded); err != nil {
				r.log.WarnContext(ctx, "the cache of target states fails; it is left alone for a while", "error", err.Error())
			}
		}
	}
}

// Probe reports the cache's failure, for health.
func (r *Reader) Probe(context.Context) error {
	if r.cache.failing() {
		return fault.New(fault.Unavailable, "cache_unavailable", "the cache of target states failed when it was last asked; the store answers instead")
	}
	return nil
}

// format is what the cache holds. Gateways of several versions may share one cache: a number that is not ours is a miss.
const format = 2

type cached struct {
	Format   int               `json:"f"`
	Revision delivery.Revision `json:"r"`
	Wanted   []line            `json:"w"`
}

type line struct {
	Agent       agent.ID            `json:"a"`
	Stack       stack.ID            `json:"s"`
	Object      stack.ObjectID      `json:"o"`
	State       delivery.State      `json:"st"`
	Revision    delivery.Revision   `json:"r"`
	Reason      string              `json:"why,omitempty"`
	Traceparent string              `json:"tp,omitempty"`
	Since       time.Time           `json:"t"`
	StackName   string              `json:"n"`
	Generator   tenancy.GeneratorID `json:"g"`
	Sequence    stack.Sequence      `json:"q"`
	Checksum    stack.Checksum      `json:"c"`
	Size        int64               `json:"z"`
	Marker      bool                `json:"m,omitempty"`
	Treatment   stack.Treatment     `json:"tr,omitzero"`
}

func encode(s State) ([]byte, error) {
	c := cached{Format: format, Revision: s.Revision, Wanted: make([]line, len(s.Wanted))}
	for i, w := range s.Wanted {
		c.Wanted[i] = line{
			Agent: w.Agent, Stack: w.Stack, Object: w.Object, State: w.State, Revision: w.Revision, Reason: w.Reason,
			Traceparent: w.Traceparent, Since: w.Since, StackName: w.StackName, Generator: w.Generator, Sequence: w.Sequence,
			Checksum: w.Checksum, Size: w.Size, Marker: w.Marker, Treatment: w.Treatment,
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a target state: %w", err)
	}
	return b, nil
}

func decode(b []byte, a agent.ID) (State, error) {
	var c cached
	if err := json.Unmarshal(b, &c); err != nil {
		return State{}, fmt.Errorf("decode a cached target state: %w", err)
	}
	if c.Format != format {
		return State{}, fmt.Errorf("a cached target state has format %d, not %d", c.Format, format)
	}
	s := State{Revision: c.Revision, Wanted: make([]delivery.Wanted, len(c.Wanted))}
	for i, l := range c.Wanted {
		if l.Agent != a {
			return State{}, fmt.Errorf("a cached target state of agent %s has a line of agent %s", a, l.Agent)
		}
		s.Wanted[i] = delivery.Wanted{
			Assignment: delivery.Assignment{
				Agent: l.Agent, Stack: l.Stack, Object: l.Object, State: l.State, Revision: l.Revision, Reason: l.Reason,
				Traceparent: l.Traceparent, Since: l.Since, Treatment: l.Treatment,
			},
			StackName: l.StackName, Generator: l.Generator, Sequence: l.Sequence, Checksum: l.Checksum, Size: l.Size, Marker: l.Marker,
		}
	}
	return s, nil
}
