// Package watch keeps the hub's knowledge fresh: it takes signals, finds out whether they arrive at all, and compares
// all parked syncs with the store when that is in doubt, and now and then in any case.
package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
	"github.com/colliery-io/brokkr/services/gateway/internal/roster"
)

const (
	probeEvery   = time.Second
	probeLimit   = 500 * time.Millisecond
	deafAfter    = 3 * time.Second // without an echo
	sweepEvery   = 30 * time.Second
	sweepInDoubt = time.Second
	againAfter   = time.Second // to subscribe
)

// Watcher is one replica's listener. It proves that signals arrive by sending some to itself.
type Watcher struct {
	signals ports.Signals
	wakeups ports.Wakeups
	hub     *hub.Hub
	roster  *roster.Roster
	metrics *app.Metrics
	log     *slog.Logger
	now     func() time.Time
	self    agent.ID       // an id of no agent: where the probes go
	refuse  func(agent.ID) // has all that an agent keeps open here find out whether it still takes part
	sweep   chan struct{}
	list    chan struct{} // rings when the roster is to be read again
	rang    chan struct{}

	mu      sync.Mutex
	probe   delivery.Revision // the last one that was sent
	sent    time.Time
	echo    time.Time // when the last one came back
	healthy bool
}

// New returns a watcher; nothing runs yet. Without signals (nil) the store is asked every second.
func New(signals ports.Signals, wakeups ports.Wakeups, h *hub.Hub, r *roster.Roster, refuse func(agent.ID), m *app.Metrics, log *slog.Logger, now func() time.Time) *Watcher {
	return &Watcher{refuse: refuse, list: make(chan struct{}, 1), signals: signals, wakeups: wakeups, hub: h, roster: r, metrics: m, log: log, now: now, self: agent.ID(uuid.NewString()),
		sweep: make(chan struct{}, 1), rang: make(chan struct{}, 1)}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.receive(ctx) })
	g.Go(func() error { return w.probes(ctx) })
	g.Go(func() error { return w.sweeps(ctx) })
	g.Go(func() error { return w.refresh(ctx) })
	g.Go(func() error { return w.hear(ctx) })
	g.Go(func() error { return w.count(ctx) })
	return g.Wait()
}

// Probe reports whether signals arrive, for health.
func (w *Watcher) Probe(context.Context) error {
	if !w.isHealthy() {
		return fault.New(fault.Unavailable, "signals_unavailable", "signals do not arrive; changes are found by asking the database every second")
	}
	return nil
}

func (w *Watcher) receive(ctx context.Context) error {
	if w.signals == nil {
		return nil
	}
	for ctx.Err() == nil {
		batches, err := w.signals.Subscribe(ctx)
		if err != nil {
			w.log.WarnContext(ctx, "signals cannot be subscribed to", "error", err.Error())
		} else {
			for b := range batches {
				w.take(b)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
	return nil
}

func (w *Watcher) take(batch []ports.Signal) {
	if batch == nil {
		w.metrics.Losses.Inc()
		w.hub.Lost()
		w.sweepSoon()
		return
	}
	for _, s := range batch {
		if s.Agent == w.self {
			w.echoed(s.Revision)
		}
	}
	w.hub.Signal(batch)
}

func (w *Watcher) echoed(probe delivery.Revision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.echo = w.now()
	if probe == w.probe {
		w.metrics.SignalLag.Observe(w.echo.Sub(w.sent).Seconds())
	}
	w.judge(true)
}

func (w *Watcher) probes(ctx context.Context) error {
	if w.signals == nil {
		return nil
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		w.mu.Lock()
		w.probe++
		w.sent = w.now()
		s := ports.Signal{Agent: w.self, Revision: w.probe}
		w.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		err := w.signals.Publish(limited, []ports.Signal{s})
		cancel()
		w.mu.Lock()
		if err != nil || w.now().Sub(w.echo) > deafAfter {
			w.judge(false)
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// judge notes whether signals arrive. When they do again, everything between is in doubt. The caller holds the lock: an echo
// that comes while silence is being judged must not be overruled.
func (w *Watcher) judge(healthy bool) {
	if w.healthy == healthy {
		return
	}
	w.healthy = healthy
	if healthy {
		w.metrics.Healthy.Set(1)
		w.log.Info("signals arrive")
		w.hub.Lost()
	} else {
		w.metrics.Healthy.Set(0)
		w.log.Warn("signals do not arrive; the database is asked every second instead")
	}
	w.hub.SetHealthy(healthy)
	w.sweepSoon()
}

func (w *Watcher) isHealthy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.healthy
}

func (w *Watcher) sweepSoon() {
	select {
	case w.sweep <- struct{}{}:
	default:
	}
}

func (w *Watcher) sweeps(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		every := sweepEvery
		if failing || !w.isHealthy() {
			every = sweepInDoubt
		}
		timer := time.NewTimer(every)
		asked := false
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-w.sweep:
			asked = true
		case <-timer.C:
		}
		timer.Stop()
		n, woken, err := w.hub.Sweep(ctx)
		w.countSoon() // what the sweep could not count
		switch {
		case ctx.Err() != nil: // the answer is nobody's any more
		case err != nil:
			w.metrics.Sweeps.WithLabelValues(fault.KindOf(err).String()).Inc()
			if !failing {
				w.log.WarnContext(ctx, "parked syncs cannot be compared with the database; trying again every second", "error", err.Error())
			}
			failing = true
		default:
			failing = false
			w.metrics.Sweeps.WithLabelValues("ok").Inc()
			w.metrics.Missed.Add(float64(woken))
			if woken > 0 && !asked && w.isHealthy() {
				w.log.WarnContext(ctx, "signals were missed", "agents", woken, "parked", n)
			}
		}
	}
	return nil
}

// refresh keeps the roster, so that an agent that was deactivated is told, also if the announcement of that was lost.
func (w *Watcher) refresh(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	failing := false
	for {
		gone, err := w.roster.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the list of agents cannot be read", "error", err.Error())
		}
		failing = err != nil
		for _, a := range gone {
			w.refuse(a)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.list:
		}
	}
}
