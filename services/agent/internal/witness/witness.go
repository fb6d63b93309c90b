// Package witness tells the broker what happens to a stack's objects in the cluster. It holds up nothing else: what finds
// no room is dropped, counted, and told as a gap.
package witness

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	maxWaiting = 2000 // events
	maxMessage = 4 << 10
	perRequest = 500
	gather     = time.Second // between requests
	firstPause = time.Second // after a failure, doubled each time
	lastPause  = time.Minute
)

// Broker takes what was seen. Errors are faults.
type Broker interface {
	Telemetry(ctx context.Context, id agent.ID, req wire.TelemetryRequest) (wire.TelemetryResponse, error)
}

// Witness is safe for concurrent use. Use New.
type Witness struct {
	events cluster.KubeEvents
	broker Broker
	agent  agent.ID
	boot   string
	count  func(outcome string)
	log    *slog.Logger

	mu      sync.Mutex
	waiting []wire.K8sEvent
	gaps    map[string]*wire.LogGap // by stack
	grew    chan struct{}
}

// Outcomes are what count is called with.
func Outcomes() []string { return []string{"sent", "dropped", "refused"} }

// New returns a witness that sees nothing before Run. boot is of this process, new on each of its starts.
func New(events cluster.KubeEvents, broker Broker, id agent.ID, boot string, count func(outcome string), log *slog.Logger) *Witness {
	return &Witness{events: events, broker: broker, agent: id, boot: boot, count: count, log: log, gaps: map[string]*wire.LogGap{}, grew: make(chan struct{}, 1)}
}

// Run watches and sends until ctx ends.
func (w *Witness) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() {
		w.events.Watch(ctx, w.saw, func(err error) {
			w.log.WarnContext(ctx, "Kubernetes events cannot be watched; it is tried again", "error", err.Error())
		})
	})
	defer watching.Wait()
	w.send(ctx)
	return nil
}

// saw queues an event; it never blocks.
func (w *Witness) saw(e cluster.KubeEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= maxWaiting {
		w.count("dropped")
		g, ok := w.gaps[e.Stack]
		if !ok {
			g = &wire.LogGap{StackID: e.Stack, SinceTS: e.ObservedAt.UTC(), Reason: "buffer_full"}
			w.gaps[e.Stack] = g
		}
		g.DroppedCount++
		return
	}
	if len(e.Message) > maxMessage {
		e.Message = e.Message[:maxMessage]
	}
	w.waiting = append(w.waiting, wire.K8sEvent{
		StackID: e.Stack, ObservedAt: e.ObservedAt.UTC(), Reason: e.Reason, Message: e.Message, EventType: e.Type, Source: orNull(e.Source),
		InvolvedObject: wire.InvolvedObject{APIVersion: orNull(e.APIVersion), Kind: orNull(e.Kind), Namespace: orNull(e.Namespace), Name: orNull(e.Name), UID: orNull(e.UID)},
	})
	select {
	case w.grew <- struct{}{}:
	default:
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// take makes the next request; false if there is nothing to say.
func (w *Witness) take(seq int64) (wire.TelemetryRequest, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	req := wire.TelemetryRequest{BootID: w.boot, Seq: seq}
	n := min(len(w.waiting), perRequest)
	req.Events, w.waiting = w.waiting[:n:n], w.waiting[n:]
	if len(w.waiting) == 0 {
		w.waiting = nil
	}
	for s, g := range w.gaps {
		req.Gaps = append(req.Gaps, *g)
		delete(w.gaps, s)
	}
	return req, len(req.Events)+len(req.Gaps) > 0
}

// send sends one request after the other, each until the broker has it: its number makes it safe to send again.
func (w *Witness) send(ctx context.Context) {
	for seq := int64(1); ; seq++ {
		req, ok := w.take(seq)
		for !ok {
			select {
			case <-ctx.Done():
				return
			case <-w.grew:
			}
			if !rest(ctx, gather) { // others come along
				return
			}
			req, ok = w.take(seq)
		}
		if !w.deliver(ctx, req) {
			return
		}
	}
}

// deliver returns false if ctx ended first.
func (w *Witness) deliver(ctx context.Context, req wire.TelemetryRequest) bool {
	n := len(req.Events)
	for pause, failing := firstPause, false; ; pause = min(2*pause, lastPause) {
		_, err := w.broker.Telemetry(ctx, w.agent, req)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			w.counted("sent", n)
			return true
		case fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound):
			// A broker without telemetry, or one that does not like it: the next may pass.
			w.log.WarnContext(ctx, "the broker does not take what was seen", "events", n, "error", err.Error())
			w.counted("refused", n)
			return rest(ctx, lastPause)
		case !failing:
			failing = true
			w.log.DebugContext(ctx, "what was seen cannot be sent; it is tried again", "events", n, "error", err.Error())
		}
		if !rest(ctx, pause/2+rand.N(pause/2)) { //nolint:gosec // jitter
			return false
		}
	}
}

func (w *Witness) counted(outcome string, n int) {
	for range n {
		w.count(outcome)
	}
}

// rest returns false if ctx ended meanwhile.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
