// Package heart feels whether the cluster's API server answers, beside everything else that the agent does.
package heart

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	usualGap = 10 * time.Second // between probes
	awayGap  = 2 * time.Second  // while the API server does not answer
	remind   = 10 * time.Minute // of an API server that stays away
)

// Heart is safe for concurrent use.
type Heart struct {
	prober cluster.Prober
	log    *slog.Logger

	mu      sync.Mutex
	probed  bool
	latency time.Duration
	err     error
	until   time.Time // when the trouble is said again
	changed []func(reachable bool)
}

// New returns a heart that does not beat before Run.
func New(p cluster.Prober, log *slog.Logger) *Heart { return &Heart{prober: p, log: log} }

// OnChange has f called from Run when the API server begins or ceases to answer, and at the first probe. f must not block.
func (h *Heart) OnChange(f func(reachable bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = append(h.changed, f)
}

// Beat is what the broker is told; it says nothing before the first probe has ended.
func (h *Heart) Beat() wire.Heartbeat {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.probed {
		return wire.Heartbeat{}
	}
	reachable := h.err == nil
	beat := wire.Heartbeat{K8sReachable: &reachable}
	if reachable {
		ms := int32(h.latency.Milliseconds())
		beat.K8sAPILatencyMS = &ms
	}
	return beat
}

var errUnknown = errors.New("the Kubernetes API server has not been asked yet") //nolint:gochecknoglobals // an error value

// Err is why the API server cannot be used; nil if it answers.
func (h *Heart) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.probed {
		return errUnknown
	}
	return h.err
}

// Run probes until ctx ends.
func (h *Heart) Run(ctx context.Context) error {
	for {
		latency, err := h.prober.Probe(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the probe was given up
		}
		h.take(ctx, latency, err)
		gap := usualGap
		if err != nil {
			gap = awayGap
		}
		gap += time.Duration(rand.Int64N(int64(gap)/5)) - gap/10 //nolint:gosec // spreads load, secures nothing
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gap):
		}
	}
}

func (h *Heart) take(ctx context.Context, latency time.Duration, err error) {
	h.mu.Lock()
	first, was := !h.probed, h.err == nil
	h.probed, h.latency, h.err = true, latency, err
	now := time.Now()
	switch {
	case err != nil && (first || was || !now.Before(h.until)):
		h.until = now.Add(remind)
		h.log.WarnContext(ctx, "the Kubernetes API server cannot be used; the agent goes on when it can", "error", err.Error())
	case err == nil && !was:
		h.log.InfoContext(ctx, "the Kubernetes API server answers again")
	}
	var tell []func(bool)
	if first || was != (err == nil) {
		tell = h.changed
	}
	h.mu.Unlock()
	for _, f := range tell {
		f(err == nil)
	}
}
