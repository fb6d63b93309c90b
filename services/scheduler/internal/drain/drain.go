// Package drain takes the drains of clusters on, step by step. One replica at a time does it, by a lease.
package drain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/drain"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const every = 2 * time.Second

// Metrics of drains; those of a replica that does not take them on are 0.
type Metrics struct {
	running  prometheus.Gauge
	stacks   *prometheus.GaugeVec
	released prometheus.Counter
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		running:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_drain_clusters", Help: "Clusters that are drained, or have been and are not in use again."}),
		stacks:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "brokkr_drain_stacks", Help: "Stacks of drains with a budget: waiting for their turn, or moving."}, []string{"state"}),
		released: prometheus.NewCounter(prometheus.CounterOpts{Name: "brokkr_drain_released_total", Help: "Stacks whose turn to leave has come."}),
	}
	m.show(0, 0, 0)
	reg.MustRegister(m.running, m.stacks, m.released)
	return m
}

func (m *Metrics) show(running, waiting, moving int) {
	m.running.Set(float64(running))
	m.stacks.WithLabelValues("waiting").Set(float64(waiting))
	m.stacks.WithLabelValues("moving").Set(float64(moving))
}

// Stepper takes drains on.
type Stepper struct {
	store ports.Store
	loop  lease.Loop
	now   func() time.Time
	log   *slog.Logger
	met   *Metrics
	// settled are released stacks of drains that need not be looked at again, by when they were released.
	settled map[agent.ID]map[stack.ID]time.Time
}

// New returns a stepper. holder names the replica.
func New(store ports.Store, holder string, now func() time.Time, log *slog.Logger, m *Metrics) *Stepper {
	return &Stepper{store: store, now: now, log: log, met: m, settled: map[agent.ID]map[stack.ID]time.Time{}, loop: lease.Loop{
		Leases: store.Leases(), Name: "scheduler/drains", Holder: holder, Every: every, Log: log, Fails: "drains cannot be taken on; trying again",
	}}
}

// Run steps every two seconds until ctx ends. Without drains that costs a lease and one statement.
func (s *Stepper) Run(ctx context.Context) error {
	return s.loop.Run(ctx, s.Once)
}

// Once takes every drain one step on, if no other replica does. One that fails holds up no other.
func (s *Stepper) Once(ctx context.Context) error {
	l, mine, err := s.loop.Take(ctx)
	if err != nil || !mine {
		s.met.show(0, 0, 0)
		return err
	}
	running, err := s.store.Drains().Running(ctx)
	if err != nil {
		return fmt.Errorf("read drains: %w", err)
	}
	for a := range s.settled {
		if _, runs := running[a]; !runs {
			delete(s.settled, a)
		}
	}
	var failed error
	waiting, moving := 0, 0
	for _, a := range slices.Sorted(maps.Keys(running)) {
		d := running[a]
		if d.Budget == 0 {
			continue
		}
		next, err := s.step(ctx, l, a, d)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("drain of agent %s: %w", a, err))
		}
		waiting, moving = waiting+next.Waiting, moving+len(next.Moving)+len(next.Release)
	}
	s.met.show(len(running), waiting, moving)
	return failed
}

// step takes one drain on. It writes only while the lease is still this replica's: two that release at once would overdraw the
// budget.
func (s *Stepper) step(ctx context.Context, l ports.Lease, a agent.ID, d cluster.Drain) (drain.Step, error) {
	in, err := s.input(ctx, a, d)
	if err != nil {
		return drain.Step{}, err
	}
	next := drain.Next(in)
	moving := map[stack.ID]bool{}
	for _, m := range next.Moving {
		moving[m.Stack] = true
	}
	for id, at := range in.Drain.Released {
		if !moving[id] {
			s.settled[a][id] = at
		}
	}
	if len(next.Release) == 0 {
		return next, nil
	}
	at := s.now().UTC()
	err = s.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Leases().Check(ctx, l); err != nil {
			return err
		}
		if err := tx.Drains().Release(ctx, a, next.Release, at); err != nil {
			return err
		}
		events := make([]event.Event, len(next.Release))
		for i, id := range next.Release {
			events[i] = event.Event{Type: event.AgentChanged, Agent: a, Stack: id, At: at, Data: map[string]any{"agent_id": a, "stack_id": id, "change": "drain"}}
		}
		return tx.Outbox().Append(ctx, events...)
	})
	if fault.CodeOf(err) == "drain_not_found" {
		return drain.Step{}, nil // it has just ended
	}
	if err != nil {
		return next, fmt.Errorf("release %d stacks: %w", len(next.Release), err)
	}
	s.log.InfoContext(ctx, "a drain goes on", "agent", a, "released", len(next.Release), "moving", len(next.Moving)+len(next.Release), "waiting", next.Waiting)
	s.met.released.Add(float64(len(next.Release)))
	return next, nil
}

// input reads what a step rests on. What is settled is left out: it does not come back into the budget.
func (s *Stepper) input(ctx context.Context, a agent.ID, d cluster.Drain) (drain.Input, error) {
	in := drain.Input{Agent: a, Drain: d, Elsewhere: map[stack.ID][]delivery.Wanted{}, Unreachable: map[agent.ID]bool{}}
	if s.settled[a] == nil {
		s.settled[a] = map[stack.ID]time.Time{}
	}
	var err error
	if _, in.Here, err = s.store.Assignments().OfAgent(ctx, a); err != nil {
		return in, fmt.Errorf("read what is there: %w", err)
	}
	var others []agent.ID
	open := map[stack.ID]time.Time{}
	here := in.Here[:0:0]
	for _, w := range in.Here {
		if at, done := s.settled[a][w.Stack]; done && at.Equal(d.Released[w.Stack]) {
			continue
		}
		here = append(here, w)
	}
	in.Here = here
	for id, at := range d.Released {
		if was, done := s.settled[a][id]; done && was.Equal(at) {
			continue
		}
		open[id] = at
		places, err := s.store.Assignments().OfStack(ctx, id)
		if err != nil {
			return in, fmt.Errorf("read where stack %s is: %w", id, err)
		}
		in.Elsewhere[id] = places
		for _, w := range places {
			others = append(others, w.Agent)
		}
	}
	in.Drain.Released = open
	if len(others) == 0 {
		return in, nil
	}
	known, err := s.store.Clusters().Known(ctx, tenancy.Everything(), others)
	if err != nil {
		return in, fmt.Errorf("read which clusters can be reached: %w", err)
	}
	for id, k := range known {
		in.Unreachable[id] = k.UnreachableSince != nil
	}
	return in, nil
}
