// Package reconcile keeps a cluster equal to what is assigned to it, one worker for each stack: observe, compare
// (package plan), apply, report. A slow or broken stack delays no other.
package reconcile

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// Content fetches bundles. Errors are of package fault; the content has the checksum that was asked for.
type Content interface {
	Manifest(ctx context.Context, checksum string, size int64) ([]byte, error)
}

// Reports takes what is to be told to the broker; it keeps and repeats it until it has arrived.
type Reports interface {
	// Applied replaces the stack's former report. What is not urgent may wait a moment for something better.
	Applied(r wire.Applied, urgent bool)
	// Removed acknowledges a tombstone.
	Removed(r wire.Removed)
}

// Cluster is what the engine works on.
type Cluster struct {
	Kinds       cluster.Kinds
	Objects     cluster.Objects
	Contents    cluster.Contents
	Inventories cluster.Inventories
	Watches     cluster.Watches
	Tenure      cluster.Tenure
}

// Config of an Engine.
type Config struct {
	Agent     string // id
	Namespace string // the agent's own: never deleted
	Scope     plan.Scope
	Accounts  account.Rules  // as whom stacks may be applied
	Rules     health.Rules   // of the cluster's owner
	Compile   health.Compile // of stacks' own health rules
	Limits    bundle.Limits
	Resync    time.Duration // between full looks at a stack, give or take a tenth
	Cluster   Cluster
	Content   Content
	Reports   Reports
	Metrics   *Metrics
	Tracer    trace.Tracer
	Log       *slog.Logger
}

const (
	parallel   = 6  // requests of one stack at a time
	activeWork = 32 // stacks that are worked on at a time; waiting does not count
)

// Engine is safe for concurrent use.
type Engine struct {
	c      Config
	slots  chan struct{}
	claims claims
	rounds atomic.Int64

	mu      sync.Mutex
	workers map[string]*worker
	base    context.Context // of Run; nil before and after it
	wg      sync.WaitGroup
}

// New returns an engine; nothing is done before Run.
func New(c Config) *Engine {
	return &Engine{c: c, slots: make(chan struct{}, activeWork), workers: map[string]*worker{}, claims: claims{held: map[cluster.Key]string{}}}
}

// Run works until ctx ends; then each worker finishes the request in hand, and Run returns.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.base = ctx
	for _, w := range e.workers {
		e.start(w)
	}
	e.mu.Unlock()
	<-ctx.Done()
	e.mu.Lock()
	e.base = nil
	e.mu.Unlock()
	e.wg.Wait()
	return nil
}

// start runs w; the lock is held.
func (e *Engine) start(w *worker) {
	ctx, cancel := context.WithCancel(e.base)
	w.stop = cancel
	e.wg.Go(func() {
		defer cancel()
		w.run(ctx)
	})
}

// Desired takes a whole target state. Stacks that it does not name go on as they are: only a tombstone removes.
func (e *Engine) Desired(stacks []wire.Stack, removed []wire.Removed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	named := make(map[string]bool, len(stacks)+len(removed))
	for _, s := range stacks {
		named[s.StackID] = true
		e.worker(s.StackID).assign(s)
	}
	for _, r := range removed {
		named[r.StackID] = true
		e.worker(r.StackID).remove(r)
	}
	for id, w := range e.workers {
		if !named[id] && w.isRemoved() {
			w.stop() // the broker has taken note of the removal
			w.setState("")
			delete(e.workers, id)
		}
	}
}

// Forget says that the broker has gone back to an earlier revision, as after its database was restored: what it wants
// from now on is not old, whatever its number.
func (e *Engine) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		w.forget()
	}
}

func (e *Engine) worker(stack string) *worker {
	w, ok := e.workers[stack]
	if !ok {
		w = newWorker(e, stack)
		e.workers[stack] = w
		if e.base != nil {
			e.start(w)
		}
	}
	return w
}

// Changed takes what a watch saw; it does not block.
func (e *Engine) Changed(c cluster.Change) {
	e.mu.Lock()
	w, ok := e.workers[c.Stack]
	e.mu.Unlock()
	if ok {
		w.changed(c)
	}
}

// Reachable says that the API server answers again: what failed because it did not is tried at once.
func (e *Engine) Reachable() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		w.hurry()
	}
}

// Rounds is how often workers have looked for something to do: it stands still while nothing happens.
func (e *Engine) Rounds() int64 { return e.rounds.Load() }

// Stacks counts the stacks by what the agent is doing with them.
func (e *Engine) Stacks() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]int{}
	for _, w := range e.workers {
		out[w.state()]++
	}
	return out
}
