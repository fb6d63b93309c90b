// Package witness tells the broker what happens to a stack's objects in the cluster. It holds up nothing else: what finds
// no room is dropped, counted, and told as a gap.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
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
	maxLines   = 5000
	maxBytes   = 4 << 20 // of lines
	perRequest = 500
	perBytes   = 256 << 10 // of lines; at least one
	gather     = time.Second
	gapSpan    = 10 * time.Second // what is above a container's rate in this time is one gap
	firstPause = time.Second      // after a failure, doubled each time
	lastPause  = time.Minute
)

// Broker takes what was seen. Errors are faults.
type Broker interface {
	Telemetry(ctx context.Context, id agent.ID, req wire.TelemetryRequest) (wire.TelemetryResponse, error)
}

// Config of a Witness.
type Config struct {
	Events cluster.KubeEvents
	Logs   cluster.PodLogs // nil: no logs
	Tails  int             // containers that are followed at a time; above 0 with Logs
	Broker Broker
	Agent  agent.ID
	Boot   string // of this process, new on each of its starts
	// Count and CountLine are called for each event and each line, with one of Outcomes and LineOutcomes; they must not block.
	Count, CountLine func(outcome string)
	Log              *slog.Logger
}

// Witness is safe for concurrent use. Use New.
type Witness struct {
	events    cluster.KubeEvents
	tails     *tails // nil: no logs
	broker    Broker
	agent     agent.ID
	boot      string
	count     func(outcome string)
	countLine func(outcome string)
	log       *slog.Logger

	mu       sync.Mutex
	waiting  []wire.K8sEvent
	lines    []wire.PodLogLine
	bytes    int // of lines
	gaps     map[gapKey]*gap
	troubles map[string]error // by what cannot be seen
	grew     chan struct{}
}

type gapKey struct{ stack, reason string }

// gap is told when it is due, as one.
type gap struct {
	wire.LogGap
	due time.Time
}

// Outcomes are what Count is called with.
func Outcomes() []string { return []string{"sent", "dropped", "refused"} }

// LineOutcomes are what CountLine is called with.
func LineOutcomes() []string { return []string{"sent", "dropped", "rate_limited", "refused"} }

// New returns a witness that sees nothing before Run.
func New(c Config) *Witness {
	w := &Witness{
		events: c.Events, broker: c.Broker, agent: c.Agent, boot: c.Boot, count: c.Count, countLine: c.CountLine, log: c.Log,
		gaps: map[gapKey]*gap{}, troubles: map[string]error{}, grew: make(chan struct{}, 1),
	}
	if c.Logs != nil {
		w.tails = &tails{w: w, source: c.Logs, slots: make(chan struct{}, c.Tails), pods: map[string]*tailed{}, off: map[string]bool{}}
	}
	return w
}

// Run watches and sends until ctx ends.
func (w *Witness) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() {
		w.events.Watch(ctx, w.saw, func(err error) { w.trouble(ctx, "Kubernetes events", err) })
	})
	if w.tails != nil {
		watching.Go(func() { w.tails.run(ctx) })
	}
	defer watching.Wait()
	w.send(ctx)
	return nil
}

// Assigned says which stacks are the agent's, which of these have opted in for all of their pods, and which have been taken from
// it, whose logs are not followed any more. It does not block.
func (w *Witness) Assigned(stacks, told, removed []string) {
	if w.tails != nil {
		w.tails.assigned(stacks, told, removed)
	}
}

// Err is what cannot be seen at the moment, and why; nil if there is no such thing.
func (w *Witness) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []error
	for _, what := range slices.Sorted(maps.Keys(w.troubles)) {
		all = append(all, fmt.Errorf("%s: %w", what, w.troubles[what]))
	}
	return errors.Join(all...)
}

// trouble keeps in mind, and writes down once, that something cannot be seen; or, with nil, that it can be seen.
func (w *Witness) trouble(ctx context.Context, what string, err error) {
	w.mu.Lock()
	_, had := w.troubles[what]
	if err != nil {
		w.troubles[what] = err
	} else {
		delete(w.troubles, what)
	}
	w.mu.Unlock()
	switch {
	case err != nil && !had:
		w.log.WarnContext(ctx, "something cannot be seen in the cluster; it is tried again", "what", what, "error", err.Error())
	case err == nil && had:
		w.log.InfoContext(ctx, "it can be seen again", "what", what)
	}
}

// saw queues an event; it never blocks.
func (w *Witness) saw(e cluster.KubeEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= maxWaiting {
		w.count("dropped")
		w.missing(e.Stack, "buffer_full", e.ObservedAt, 1)
		return
	}
	if len(e.Message) > maxMessage {
		e.Message = e.Message[:maxMessage]
	}
	w.waiting = append(w.waiting, wire.K8sEvent{
		StackID: e.Stack, ObservedAt: e.ObservedAt.UTC(), Reason: e.Reason, Message: e.Message, EventType: e.Type, Source: orNull(e.Source),
		InvolvedObject: wire.InvolvedObject{APIVersion: orNull(e.APIVersion), Kind: orNull(e.Kind), Namespace: orNull(e.Namespace), Name: orNull(e.Name), UID: orNull(e.UID)},
	})
	w.ring()
}

// line queues a line; it never blocks.
func (w *Witness) line(l wire.PodLogLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) >= maxLines || w.bytes+len(l.Line) > maxBytes {
		w.countLine("dropped")
		w.missing(l.StackID, "buffer_full", l.TS, 1)
		return
	}
	w.lines = append(w.lines, l)
	w.bytes += len(l.Line)
	w.ring()
}

// gap notes that something is missing; n 0: nobody knows how much.
func (w *Witness) gap(stack, reason string, since time.Time, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing(stack, reason, since, n)
}

// missing is gap with the lock held.
func (w *Witness) missing(stack, reason string, since time.Time, n int64) {
	k := gapKey{stack: stack, reason: reason}
	g, ok := w.gaps[k]
	if !ok {
		g = &gap{LogGap: wire.LogGap{StackID: stack, SinceTS: since.UTC(), Reason: reason}, due: time.Now()}
		w.gaps[k] = g
		if reason == "rate_limit" {
			g.due = g.due.Add(gapSpan)
			time.AfterFunc(gapSpan, w.ring)
		}
		w.ring()
	}
	g.DroppedCount += n
}

// ring has what waits be sent.
func (w *Witness) ring() {
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
	n, size := 0, 0
	for n < len(w.lines) && n < perRequest && (n == 0 || size+len(w.lines[n].Line) <= perBytes) {
		size += len(w.lines[n].Line)
		n++
	}
	req.Lines, w.lines = w.lines[:n:n], w.lines[n:]
	w.bytes -= size
	if len(w.lines) == 0 {
		w.lines = nil
	}
	now := time.Now()
	for k, g := range w.gaps {
		if !g.due.After(now) {
			req.Gaps = append(req.Gaps, g.LogGap)
			delete(w.gaps, k)
		}
	}
	return req, len(req.Events)+len(req.Lines)+len(req.Gaps) > 0
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
	events, lines := len(req.Events), len(req.Lines)
	for pause, failing := firstPause, false; ; pause = min(2*pause, lastPause) {
		_, err := w.broker.Telemetry(ctx, w.agent, req)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			counted(w.count, "sent", events)
			counted(w.countLine, "sent", lines)
			return true
		case fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound):
			// A broker without telemetry, or one that does not like it: the next may pass.
			w.log.WarnContext(ctx, "the broker does not take what was seen", "events", events, "lines", lines, "error", err.Error())
			counted(w.count, "refused", events)
			counted(w.countLine, "refused", lines)
			return rest(ctx, lastPause)
		case !failing:
			failing = true
			w.log.DebugContext(ctx, "what was seen cannot be sent; it is tried again", "events", events, "lines", lines, "error", err.Error())
		}
		if !rest(ctx, pause/2+rand.N(pause/2)) { //nolint:gosec // jitter
			return false
		}
	}
}

func counted(count func(string), outcome string, n int) {
	for range n {
		count(outcome)
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
