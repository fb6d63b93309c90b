package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

// never is a time that does not come.
func never() time.Time { return time.Now().Add(100 * 365 * 24 * time.Hour) }

// worker works on one stack. The fields after mu are its mailbox; the others belong to the goroutine of run.
type worker struct {
	e     *Engine
	stack string
	log   *slog.Logger
	stop  context.CancelFunc // set by the engine when it starts

	mu        sync.Mutex
	want      *wire.Stack
	tombstone *wire.Removed
	gone      bool   // the tombstone is executed
	doubt     string // why something may have stayed all the same
	fresh     bool   // want or tombstone is new
	soon      bool   // what failed for want of the API server may be tried again
	dirty     map[cluster.Key]cluster.Change
	interrupt context.CancelFunc // ends the pass in progress
	wake      chan struct{}
	lastState string

	contents   contents
	current    wire.Stack // that is worked on; of a removal, what the inventory knows of it
	inForce    wire.Stack // that was last applied as a whole
	begun      wire.Stack // that was last written to, unless it is in force
	began      time.Time  // of the work on current
	wasHealthy bool       // since then
	attempts   int
	problem    string // the failure of the last pass, if it has been told
	away       bool   // it was that the API server did not answer
	fullAt     time.Time
	healthAt   time.Time
	healthGap  time.Duration
	looked     time.Time            // when contested fields were last thought of
	held       map[cluster.Key]bool // what may have drifted, and is looked at when the worker has rested
	rested     time.Time
	fights     fights
	settled    bool // nothing of another revision than the one in force has been written
	inventory  cluster.Inventory
	remnant    remnant                        // of the stack, as far as this process knows
	targets    map[cluster.Key]cluster.Target // of the desired objects
	seen       map[cluster.Key]state
	leaving    map[cluster.Key]bool // not desired any more, and not gone yet
	notes      notes
	rules      health.Rules // that were last asked for, of ruled
	ruled      []string
}

// What a worker is doing.
const (
	stateWaiting  = "waiting"
	stateApplying = "applying"
	stateApplied  = "applied"
	stateFailing  = "failing"
	stateRemoving = "removing"
	stateRemoved  = "removed"
)

// remnant is whether anything of a stack may be in the cluster.
type remnant int

const (
	remnantUnknown remnant = iota // nobody has looked
	remnantNone                   // there was no inventory when this process first looked, and it has stored none since: nothing was written
	remnantSome
)

// found notes whether there is an inventory. One that is missing where there was one says nothing of what it named.
func (t *remnant) found(inventory bool) {
	switch {
	case inventory:
		*t = remnantSome
	case *t == remnantUnknown:
		*t = remnantNone
	}
}

func newWorker(e *Engine, stack string) *worker {
	w := &worker{
		e: e, stack: stack, log: e.c.Log.With("stack", stack), stop: func() {}, wake: make(chan struct{}, 1),
		dirty: map[cluster.Key]cluster.Change{}, seen: map[cluster.Key]state{}, current: wire.Stack{StackID: stack},
		fullAt: never(), healthAt: never(), looked: time.Now(), fights: newFights(), notes: newNotes(),
		contents: contents{},
	}
	w.setState(stateWaiting)
	return w
}

func (w *worker) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// assign takes an assignment; one that is known already, or older than the tombstone, changes nothing.
func (w *worker) assign(s wire.Stack) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tombstone != nil && s.Revision <= w.tombstone.Revision {
		return
	}
	if w.want != nil && sameWork(*w.want, s) {
		w.want = &s // its revision may be newer
		return
	}
	w.want, w.tombstone, w.gone, w.fresh = &s, nil, false, true
	w.supersede()
}

func sameWork(a, b wire.Stack) bool {
	return a.DeploymentObjectID == b.DeploymentObjectID && a.Checksum == b.Checksum && a.GeneratorID == b.GeneratorID && a.Policy.Equal(b.Policy)
}

func sameTreatment(a, b *wire.Policy) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// remove takes a tombstone. One that has been executed is acknowledged again.
func (w *worker) remove(r wire.Removed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want != nil && w.want.Revision > r.Revision {
		return // assigned again since
	}
	if w.tombstone != nil {
		if r.Revision < w.tombstone.Revision {
			r.Revision, r.Policy, r.GeneratorID = w.tombstone.Revision, w.tombstone.Policy, w.tombstone.GeneratorID
		}
		if r.Policy == nil { // told by a gateway that knows no treatment: what was said before holds
			r.Policy, r.GeneratorID = w.tombstone.Policy, w.tombstone.GeneratorID
		}
		again := !w.gone && !sameTreatment(w.tombstone.Policy, r.Policy)
		if w.tombstone = &r; w.gone {
			w.e.c.Reports.Removed(acknowledged(r, w.doubt))
		}
		if again { // what is not gone yet goes as it is said now
			w.fresh = true
			w.supersede()
		}
		return
	}
	w.want, w.tombstone, w.fresh = nil, &r, true
	w.supersede()
}

// supersede ends a pass for what is not wanted any more. The lock is held.
func (w *worker) supersede() {
	if w.interrupt != nil {
		w.interrupt()
	}
	w.ring()
}

// forget drops the numbers of revisions: the broker has gone back to earlier ones.
func (w *worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want != nil {
		want := *w.want
		want.Revision = 0
		w.want = &want
	}
	if w.tombstone != nil {
		w.tombstone.Revision = 0
	}
}

func (w *worker) changed(c cluster.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirty[c.Key] = c
	w.ring()
}

func (w *worker) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.soon = true
	w.ring()
}

func (w *worker) isRemoved() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// isCurrent reports whether what is worked on is in force.
func (w *worker) isCurrent() bool { return w.settled && sameWork(w.current, w.inForce) }

func (w *worker) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastState
}

func (w *worker) setState(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastState != "" {
		w.e.c.Metrics.stacks.WithLabelValues(w.lastState).Dec()
	}
	if s != "" {
		w.e.c.Metrics.stacks.WithLabelValues(s).Inc()
	}
	w.lastState = s
}

// task is what there is to do now.
type task struct {
	want      *wire.Stack
	tombstone *wire.Removed
	fresh     bool
	dirty     map[cluster.Key]cluster.Change
}

// take empties the mailbox, and returns a context that ends when its content is superseded.
func (w *worker) take(ctx context.Context) (context.Context, task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := task{want: w.want, fresh: w.fresh, dirty: w.dirty}
	if w.tombstone != nil && !w.gone {
		r := *w.tombstone
		t.tombstone = &r
	}
	if w.soon && w.away {
		w.fullAt = time.Now()
	}
	w.fresh, w.soon, w.dirty = false, false, map[cluster.Key]cluster.Change{}
	pass, cancel := context.WithCancel(ctx)
	w.interrupt = cancel
	return pass, t
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.e.rounds.Add(1)
		pass, t := w.take(ctx)
		if t.fresh {
			w.attempts, w.fullAt = 0, time.Now()
		}
		due := !time.Now().Before(w.fullAt)
		switch {
		case t.tombstone != nil && due:
			w.after(pass, delivery.PhaseRemoving, protect(func() error { return w.removeAll(pass, *t.tombstone) }))
		case t.want != nil && due:
			err := protect(func() error { return w.applyAll(pass, *t.want, t.fresh, true) })
			w.after(pass, delivery.PhaseApplying, err)
			if err != nil {
				w.finish(pass, *t.want)
			}
			if err != nil && w.settled {
				w.giveBack(t.dirty) // another revision is in force still
			}
		case t.want != nil && w.settled:
			// Also while a newer revision cannot be fetched, or is refused: until something of it is written, the cluster is
			// kept as it was.
			err := protect(func() error { return w.look(pass, w.inForce, t.dirty) })
			switch {
			case err != nil && w.isCurrent():
				planned := w.fullAt
				w.after(pass, delivery.PhaseApplying, err)
				w.fullAt = earlier(w.fullAt, planned) // looks that fail again and again must not put the full pass off
			case err != nil:
				w.log.DebugContext(pass, "look failed; the next try of the newer revision is also one of this", "error", err.Error())
			}
		}
		w.endPass()
		w.sleep(ctx, t.want != nil && w.settled)
	}
}

// finish brings to its end the revision that want superseded in the middle, if nothing of want could be written: its bundle
// is refused, or cannot be fetched since the broker is away. Else a part of each would stay, which nobody corrects. What that
// revision does not have stays until the newest is known, which may have it.
func (w *worker) finish(pass context.Context, want wire.Stack) {
	if w.settled || pass.Err() != nil || w.begun.StackID == "" || sameWork(w.begun, want) {
		return
	}
	problem, state := w.problem, w.state()
	err := protect(func() error { return w.applyAll(pass, w.begun, false, false) })
	w.problem = problem // it is want's, and has been told
	w.setState(state)
	if err != nil {
		w.log.DebugContext(pass, "the revision that was superseded in the middle could not be finished; the next try of the newer revision is also one of this", "error", err.Error())
	}
}

// giveBack puts changes that were not looked at into the mailbox again.
func (w *worker) giveBack(dirty map[cluster.Key]cluster.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, c := range dirty {
		if _, newer := w.dirty[k]; !newer {
			w.dirty[k] = c
		}
		w.ring()
	}
}

func (w *worker) endPass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupt()
	w.interrupt = nil
}

// sleep waits for news or for the next thing to do; what there is to look at counts only if the next round looks.
func (w *worker) sleep(ctx context.Context, looks bool) {
	next := w.fullAt
	if looks {
		next = earlier(earlier(next, w.healthAt), w.fights.next())
		if len(w.held) > 0 {
			next = earlier(next, w.rested)
		}
	}
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-timer.C:
	}
}

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	awayRetry  = 15 * time.Second // while the API server or the broker is away
)

// after plans the next full pass: a resync after a success, a retry after a failure.
func (w *worker) after(pass context.Context, phase delivery.Phase, err error) {
	var wait *waiting
	switch {
	case pass.Err() != nil: // superseded, or the agent stops: run sees which
		w.fullAt = time.Now()
	case err == nil:
		w.attempts, w.away = 0, false
		w.fullAt = time.Now().Add(jitter(w.e.c.Resync, 10))
		if phase == delivery.PhaseRemoving {
			w.fullAt = never()
		}
	case errors.As(err, &wait):
		w.fullAt, w.problem = time.Now().Add(wait.retry), err.Error()
		w.tell(phase, delivery.HealthProgressing, err.Error(), now)
	default:
		w.attempts++
		w.away = fault.Is(err, fault.Unavailable)
		delay := min(firstRetry<<min(w.attempts-1, 20), lastRetry)
		if w.away {
			delay = min(delay, awayRetry)
		}
		if f, ok := fault.As(err); ok && f.RetryAfter > delay {
			delay = f.RetryAfter
		}
		delay = jitter(delay, 20)
		w.fullAt = time.Now().Add(delay)
		w.failed(pass, phase, err, delay)
	}
}

// jitter returns d, give or take percent of it.
func jitter(d time.Duration, percent int) time.Duration {
	span := int64(d) * int64(percent) / 100
	if span <= 0 {
		return d
	}
	return d - time.Duration(span) + time.Duration(rand.Int64N(2*span+1)) //nolint:gosec // spreads load, guards nothing
}

// enter waits for a slot among the active stacks; leave gives it back.
func (w *worker) enter(ctx context.Context) error {
	select {
	case w.e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *worker) leave() { <-w.e.slots }

// pause waits without holding a slot.
func (w *worker) pause(ctx context.Context, d time.Duration) error {
	w.leave()
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	// The slot is taken back in any case: the caller gives it back when its pass ends.
	w.e.slots <- struct{}{}
	return err
}
