// Package reach marks agents that fall silent, and takes the mark from those that are heard again: on transitions only, so
// that a heartbeat costs nothing here. One replica at a time does it, by a lease.
package reach

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler/internal/lease"
)

const every = 5 * time.Second

// Metrics of the sweep; they have no label of an agent.
type Metrics struct {
	unreachable, outage prometheus.Gauge
	transitions         *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		unreachable: prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_unreachable_agents", Help: "Agents that are silent, as the replica that looks for them counts; 0 on the others."}),
		outage:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "brokkr_scheduler_agents_outage", Help: "1 while so many agents fell silent together that it is doubted."}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "brokkr_scheduler_agent_transitions_total", Help: "Agents that fell silent or were heard again."}, []string{"to"}),
	}
	for _, to := range []string{unreachable, reachable} {
		m.transitions.WithLabelValues(to)
	}
	reg.MustRegister(m.unreachable, m.outage, m.transitions)
	return m
}

const (
	unreachable = "unreachable"
	reachable   = "reachable"
)

// Sweep looks for silent agents.
type Sweep struct {
	store   ports.Store
	loop    lease.Loop
	after   time.Duration
	caution cluster.Caution
	now     func() time.Time
	log     *slog.Logger
	metrics *Metrics

	mine    bool // the lease, at the last look
	lease   ports.Lease
	settled time.Time // before it nobody is marked: heartbeats that waited somewhere may still be stored
	outage  cluster.Outage
}

// New returns a sweep that marks agents which were not heard for longer than after, with caution. holder names the replica.
func New(store ports.Store, holder string, after time.Duration, caution cluster.Caution, now func() time.Time, log *slog.Logger, m *Metrics) *Sweep {
	return &Sweep{store: store, after: after, caution: caution, now: now, log: log, metrics: m, loop: lease.Loop{
		Leases: store.Leases(), Name: "scheduler/reachability", Holder: holder, Every: every, Log: log, Fails: "silent agents cannot be looked for; trying again",
	}}
}

// Run looks every five seconds until ctx ends.
func (s *Sweep) Run(ctx context.Context) error {
	return s.loop.Run(ctx, s.Once)
}

// Once looks once, if no other replica does. After a failure, and when it has just become the one that looks, it marks nobody
// for as long as an agent may be silent: what was said meanwhile is not stored yet.
func (s *Sweep) Once(ctx context.Context) error {
	l, mine, err := s.loop.Take(ctx)
	if err != nil || !mine {
		s.leave()
		return err
	}
	if !s.mine {
		s.mine, s.settled, s.outage = true, s.now().Add(s.after), cluster.Outage{}
	}
	s.lease = l
	if err := s.look(ctx); err != nil {
		s.leave()
		return err
	}
	return nil
}

func (s *Sweep) leave() {
	s.mine = false
	s.metrics.unreachable.Set(0)
	s.metrics.outage.Set(0)
}

func (s *Sweep) look(ctx context.Context) error {
	found, err := s.store.Reachability().Silence(ctx, s.after)
	if err != nil {
		return fmt.Errorf("look for silent agents: %w", err)
	}
	back, err := s.mark(ctx, reachable, found.Back, ports.Reachability.Find)
	if err != nil {
		return err
	}
	lost := 0
	if s.now().Before(s.settled) {
		s.outage = cluster.Outage{}
	} else if lost, err = s.lose(ctx, found); err != nil {
		return err
	}
	s.metrics.unreachable.Set(float64(found.Unreachable + lost - back))
	return nil
}

func (s *Sweep) lose(ctx context.Context, found cluster.Silence) (int, error) {
	was := s.outage
	var sure bool
	sure, s.outage = s.caution.Weigh(found, was, s.now())
	switch {
	case was.Since.IsZero() && !s.outage.Since.IsZero():
		s.metrics.outage.Set(1)
		s.log.ErrorContext(ctx, "many agents fell silent at once: the control plane or the way to it may be the cause, so they are not called unreachable yet",
			"silent", len(found.Lost), "agents", found.Watched, "wait", s.caution.Wait.String())
	case !was.Since.IsZero() && s.outage.Since.IsZero():
		s.metrics.outage.Set(0)
		s.log.InfoContext(ctx, "the agents that fell silent at once are heard again", "silent", len(found.Lost))
	}
	if !sure {
		return 0, nil
	}
	return s.mark(ctx, unreachable, found.Lost, ports.Reachability.Lose)
}

// mark changes the agents in one transaction with their events, and returns how many it changed.
func (s *Sweep) mark(ctx context.Context, to string, ids []agent.ID, change func(ports.Reachability, context.Context, []agent.ID, time.Duration) ([]agent.ID, error)) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	var changed []agent.ID
	err := s.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		err := tx.Leases().Check(ctx, s.lease)
		if err != nil {
			return err
		}
		if changed, err = change(tx.Reachability(), ctx, ids, s.after); err != nil {
			return err
		}
		events := make([]event.Event, len(changed))
		at := s.now().UTC()
		for i, a := range changed {
			events[i] = event.Event{Type: event.AgentChanged, Agent: a, At: at, Data: map[string]any{"agent_id": a, "change": to}}
		}
		return tx.Outbox().Append(ctx, events...)
	})
	if err != nil {
		return 0, fmt.Errorf("mark %d agents as %s: %w", len(ids), to, err)
	}
	if len(changed) > 0 {
		s.metrics.transitions.WithLabelValues(to).Add(float64(len(changed)))
		s.log.WarnContext(ctx, "agents are "+to, "agents", len(changed), "first", string(changed[0]))
	}
	return len(changed), nil
}
