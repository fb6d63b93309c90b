package cycle

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Shards says for which stacks this replica may decide.
type Shards interface {
	Of(s stack.ID) int
	Lease(shard int) (ports.Lease, bool)
	Gained() <-chan struct{}
}

// Options of the engine; the zero value of a field is its default.
type Options struct {
	Poll       time.Duration // how often the outbox is read without a wakeup; 2 s
	Resync     time.Duration // how often everything is read and decided again, jittered; 5 min
	GapFor     time.Duration // how long a missing outbox sequence is waited for; 30 s
	Share      float64       // removal brake: share of a stack's clusters, and of the fleet's assignments in Window; 0.2
	AtOne      int           // removal brake: fewer removals at once are never held; 5
	FleetFloor int           // removals that Window always admits; 10
	Window     time.Duration // of the fleet's removal brake; 10 min
	// CEL compiles the expressions of policies; nil: what a policy with one reaches is not decided, and the log says so.
	CEL    func(expression string) (placement.Expr, error)
	NewID  func() string       // of rollouts and events, safe for concurrent use; random ones
	Random func(n int64) int64 // below n; the process's
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Poll, 2*time.Second)
	set(&o.Resync, 5*time.Minute)
	set(&o.GapFor, 30*time.Second)
	set(&o.Window, 10*time.Minute)
	if o.Share == 0 {
		o.Share = 0.2
	}
	if o.AtOne == 0 {
		o.AtOne = 5
	}
	if o.FleetFloor == 0 {
		o.FleetFloor = 10
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	return o
}

// Engine decides. Run is its only goroutine; it owns the snapshot.
type Engine struct {
	store   ports.Store
	wake    ports.Wakeups
	signals ports.Signals
	shards  Shards
	now     func() time.Time
	log     *slog.Logger
	tracer  trace.Tracer
	metrics *Metrics
	opt     Options

	world  *world
	torn   bool // the snapshot has only a part of what events told
	cursor ports.Cursor
	dirty  map[stack.ID]cause
	retry  map[stack.ID]int      // failed tries in a row of what is dirty
	passed map[stack.ID]bool     // dirty, and not tried again before something else happens: it has just failed
	window placement.FleetWindow // what all replicas have removed of late
	unsent map[agent.ID]delivery.Revision

	policies map[policy.ID]policy.Policy // as they were last read
	most     cluster.Resources           // that one of them has asked for
	ready    map[policy.ID]ready         // as they were last used
	triggers triggers                    // of these
	peering  map[policy.ID]bool          // of these, those that look at where other stacks are
	variants map[variantKey]variant
	alarms   alarms
	unmet    map[stack.ID]int // clusters that our stacks lack of what their policies want
	observed time.Time        // when our stacks were last counted
	turn     time.Duration
	tellings sync.Pool // of *placement.Telling; what is not used for a while is given back
	next     stack.ID  // where the last turn that was too short ended
}

// cause is what made a stack dirty: the newest event that concerns it.
type cause struct {
	event       event.Type
	traceparent string
}

// New returns an engine.
func New(store ports.Store, wake ports.Wakeups, signals ports.Signals, shards Shards, now func() time.Time, log *slog.Logger, tracer trace.Tracer, m *Metrics, opt Options) *Engine {
	opt = opt.withDefaults()
	return &Engine{store: store, wake: wake, signals: signals, shards: shards, now: now, log: log, tracer: tracer, metrics: m,
		opt: opt, window: opt.window(), dirty: map[stack.ID]cause{}, retry: map[stack.ID]int{}, passed: map[stack.ID]bool{}, unsent: map[agent.ID]delivery.Revision{},
		policies: map[policy.ID]policy.Policy{}, ready: map[policy.ID]ready{}, triggers: newTriggers(), peering: map[policy.ID]bool{}, variants: map[variantKey]variant{}, alarms: alarms{}, unmet: map[stack.ID]int{}, turn: turn}
}

// Run decides until ctx ends. A store that is away is waited for; nothing is decided from a snapshot that could not be
// brought up to date.
func (e *Engine) Run(ctx context.Context) error {
	wakeups, err := e.wake.Listen(ctx, ports.OutboxGrew)
	if err != nil {
		return fmt.Errorf("listen for commits: %w", err)
	}
	poll := time.NewTicker(e.opt.Poll)
	defer poll.Stop()
	resync := time.NewTimer(e.jitter(e.opt.Poll)) // until then there are shards, or others have them all
	defer resync.Stop()
	alarm := time.NewTimer(e.opt.Resync)
	defer alarm.Stop()
	in := inbox{wakeups: wakeups, poll: poll.C, alarm: alarm.C, resync: resync.C, gained: e.shards.Gained()}
	more := false
	var rest time.Duration // until what is due is looked at again
	for {
		d, due := e.alarms.next(e.now())
		if d = max(d, rest); due && d > 0 {
			alarm.Reset(d)
			due = false
		}
		got := in.wait(ctx, more || due)
		alarm.Stop()
		if ctx.Err() != nil {
			return nil
		}
		if due || got.any() {
			clear(e.passed)
		}
		if got.polled {
			e.lookAtRollouts()
			e.lapse()
		}
		full := got.resync || got.gained // what others decided about the stacks of new shards meanwhile may not be known
		rest = 0
		if more, err = e.round(ctx, full); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			rest = e.opt.Poll // what is due stays due while the store is away: it is not asked without a pause
			e.metrics.rounds.WithLabelValues("failed").Inc()
			e.log.WarnContext(ctx, "scheduling round failed; it is tried again", "error", err.Error())
			if e.world == nil {
				resync.Reset(e.opt.Poll)
				continue
			}
		} else {
			e.metrics.rounds.WithLabelValues("ok").Inc()
		}
		e.announce(ctx, nil)
		if full {
			resync.Reset(e.jitter(e.opt.Resync))
		}
	}
}

// jitter is d, give or take a tenth: replicas that start together do not read everything at once.
func (e *Engine) jitter(d time.Duration) time.Duration {
	return d*9/10 + time.Duration(e.opt.Random(int64(d)/5+1))
}

// round brings the snapshot up to date and decides for a turn; more says that dirty stacks are left.
func (e *Engine) round(ctx context.Context, full bool) (more bool, err error) {
	if full || e.world == nil || e.torn {
		if err := e.reload(ctx); err != nil {
			e.torn = true // what it was for is looked at as soon as it can be
			return false, err
		}
	}
	if err := e.catchUp(ctx); err != nil { // also with what came while everything was read
		return false, err
	}
	e.rouse()
	e.metrics.snapshot(len(e.world.clusters), len(e.world.subjects), e.world.assigned)
	defer e.tellBlocked()
	more, err = e.decideDirty(ctx)
	e.observe(e.now())
	return more, err
}

// tellBlocked counts the clusters that keep what they have because of overrides, over the stacks of our shards.
func (e *Engine) tellBlocked() {
	n := 0
	for id, clusters := range e.world.blocked {
		if _, ours := e.shards.Lease(e.shards.Of(id)); ours {
			n += clusters
		}
	}
	e.metrics.blocked.Set(float64(n))
}

// reload reads the outbox's end first, so that what commits while the facts are read is seen again as an event.
func (e *Engine) reload(ctx context.Context) error {
	end, err := e.store.Outbox().End(ctx)
	if err != nil {
		return fmt.Errorf("read the end of the outbox: %w", err)
	}
	removed, err := e.removals(ctx) // before the facts: what these count as assigned is then not among them
	if err != nil {
		return err
	}
	w, err := load(ctx, e.store.Facts())
	if err != nil {
		return err
	}
	e.world, e.cursor, e.window = w, end, e.opt.window().With(removed...)
	if err := e.learn(ctx); err != nil {
		e.world = nil
		return err
	}
	e.pledgeAll()
	if err := e.loadRollouts(ctx); err != nil {
		e.world = nil
		return err
	}
	e.torn = false
	clear(e.alarms)
	e.forget()
	for id := range w.subjects {
		if _, ok := e.dirty[id]; !ok {
			e.dirty[id] = cause{event: resync}
		}
	}
	return nil
}

// outboxPage is how many events are read at a time.
const outboxPage = 500

// catchUp applies the events since the last round to the snapshot.
func (e *Engine) catchUp(ctx context.Context) error {
	for {
		events, cursor, err := e.store.Outbox().Read(ctx, e.cursor, e.now(), e.opt.GapFor, outboxPage)
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		if err := e.take(ctx, events); err != nil {
			e.torn = true // the same events would find a part of what they tell known already, and nobody whom it concerns
			return err
		}
		e.cursor = cursor
		if len(events) < outboxPage {
			return nil
		}
	}
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

func (e *Engine) input(id stack.ID, now time.Time) placement.Input {
	return placement.Input{Subject: e.world.subjects[id], Prior: e.world.priors[id], Brake: e.brake(now)}
}
