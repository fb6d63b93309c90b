// Package work takes work orders: it claims as many as it has hands, renews what it is at, and tells what became of it.
// Nothing of it can hold up the conversation with the broker or the stacks.
package work

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	hands     = 4                // orders at a time
	lease     = time.Minute      // for which a claim holds
	renewal   = lease / 4        // between renewals
	slowPoll  = 5 * time.Minute  // in case that news of work were lost
	margin    = 2 * time.Second  // before the timeout, for telling that it is one
	firstWait = time.Second      // between tries to tell a result
	longWait  = 30 * time.Second // at most
)

// Broker is what the runner asks of the gateway. Errors are of package fault, or the context's.
type Broker interface {
	PendingWork(ctx context.Context, id agent.ID, kind string) ([]wire.WorkOrder, error)
	ClaimedWork(ctx context.Context, id agent.ID) ([]wire.WorkOrder, error)
	ClaimWork(ctx context.Context, id agent.ID, order string) (wire.WorkOrder, error)
	RenewWork(ctx context.Context, order string, lease time.Duration) error
	CompleteWork(ctx context.Context, order string, success bool, message string, retryable bool) error
}

// Result of an attempt. Message is what a person reads.
type Result struct {
	Success   bool
	Message   string
	Retryable bool
}

// Executor does the work of an order. It ends soon when ctx does, and says then why it has not succeeded. It may be begun anew for
// an order that it has been at before; one that had succeeded says so again. Told is told that the broker knows of the success. Undo
// takes away what an order that is this agent's no more has made, but for what stays after a success. Leftovers are the orders of
// which something is there, those that it is at among them.
type Executor interface {
	Do(ctx context.Context, o wire.WorkOrder) Result
	Told(ctx context.Context, order string)
	Undo(ctx context.Context, order string)
	Leftovers(ctx context.Context) ([]string, error)
}

// Runner takes orders. Use New.
type Runner struct {
	broker   Broker
	agent    agent.ID
	executor Executor
	acting   func(context.Context) error
	log      *slog.Logger
	news     chan struct{}

	mu      sync.Mutex
	mark    int64 // of the work that was told of last
	tidying bool
	undoing string          // the order that is undone
	after   *wire.WorkOrder // that order, claimed meanwhile
	running map[string]bool // orders that are done or undone here
	workers sync.WaitGroup
}

// New returns a runner; nothing is claimed before Run. Acting is nil as long as this process acts for the agent: one that has slept
// while another took over must not undo what that one is at.
func New(b Broker, id agent.ID, e Executor, acting func(context.Context) error, log *slog.Logger) *Runner {
	return &Runner{broker: b, agent: id, executor: e, acting: acting, log: log, news: make(chan struct{}, 1), running: map[string]bool{}}
}

// Pending is told what waits for the agent. It does not block. The same work told of again is no reason to look again: it is of a type
// that this agent does not do, or there is no free hand.
func (r *Runner) Pending(p wire.Pending) {
	r.mu.Lock()
	news := p.WorkOrders > 0 && (p.Mark == 0 || p.Mark != r.mark)
	r.mark = p.Mark
	r.mu.Unlock()
	if news {
		r.look()
	}
}

func (r *Runner) look() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// Run takes orders until ctx ends. What it is at then is not given back: the agent that starts next goes on with it, and if
// none does before the lease is over, the broker gives it to another.
func (r *Runner) Run(ctx context.Context) error {
	defer r.workers.Wait()
	resumed := false
	r.look()
	for {
		resumed = resumed || r.resume(ctx)
		wait := longWait
		if resumed {
			if resumed = r.take(ctx); resumed { // else a claim may stand whose answer was lost
				wait = slowPoll/2 + rand.N(slowPoll) //nolint:gosec // jitter
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.news:
			timer.Stop()
		case <-timer.C:
			if resumed {
				r.tidy(ctx)
			}
		}
	}
}

// resume goes on with what this agent had claimed before it was started.
func (r *Runner) resume(ctx context.Context) bool {
	list, err := r.broker.ClaimedWork(ctx, r.agent)
	if err != nil {
		r.log.DebugContext(ctx, "the orders that were claimed before cannot be listed", "error", err.Error())
		return false
	}
	for _, o := range list {
		r.begin(ctx, o)
	}
	r.tidy(ctx)
	return true
}

// tidy undoes, in the background, what orders have left that this agent neither has claimed nor works on: it was away when it lost
// them, or could not remove it. All that it has claimed is running when it is called.
func (r *Runner) tidy(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tidying {
		return
	}
	r.tidying = true
	r.workers.Go(func() {
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.tidying = false
		}()
		left, err := r.executor.Leftovers(ctx)
		if err != nil {
			r.log.DebugContext(ctx, "what work orders have left cannot be listed; it is looked for again", "error", err.Error())
			return
		}
		for _, order := range left {
			if ctx.Err() != nil {
				return
			}
			r.undo(ctx, order)
		}
	})
}

// undo undoes one order that is not running; meanwhile it is not begun.
func (r *Runner) undo(ctx context.Context, order string) {
	r.mu.Lock()
	busy := r.running[order]
	if !busy {
		r.running[order], r.undoing, r.after = true, order, nil
	}
	r.mu.Unlock()
	if busy {
		return
	}
	r.takeAway(ctx, order)
	r.mu.Lock()
	delete(r.running, order)
	next := r.after
	r.undoing, r.after = "", nil
	r.mu.Unlock()
	if next != nil {
		r.begin(ctx, *next)
	}
	r.look()
}

// takeAway undoes an order, unless another process acts for the agent by now: then that one does, when it finds it.
func (r *Runner) takeAway(ctx context.Context, order string) {
	if err := r.acting(ctx); err != nil {
		r.log.WarnContext(ctx, "what a work order has left is not removed by this process", "order", order, "error", err.Error())
		return
	}
	r.log.InfoContext(ctx, "what a work order has left is removed", "order", order)
	r.executor.Undo(context.WithoutCancel(ctx), order)
}

// take claims orders while there are hands; false if the broker could not be asked.
func (r *Runner) take(ctx context.Context) bool {
	for _, kind := range []string{workorder.TypeCustom, workorder.TypeBuild} {
		if r.free() == 0 {
			return true
		}
		list, err := r.broker.PendingWork(ctx, r.agent, kind)
		if err != nil {
			r.log.DebugContext(ctx, "pending work orders cannot be listed", "error", err.Error())
			return false
		}
		for _, o := range list {
			if r.free() == 0 || ctx.Err() != nil {
				return true
			}
			if r.isRunning(o.ID) {
				continue // its last attempt is not over here yet
			}
			asked := time.Now()
			claimed, err := r.broker.ClaimWork(ctx, r.agent, o.ID)
			switch {
			case fault.Is(err, fault.NotFound): // another agent was faster
			case err != nil:
				r.log.WarnContext(ctx, "a work order cannot be claimed", "order", o.ID, "error", err.Error())
				return false
			default:
				claimed.ClaimedAt = &asked // by the clock that its deadline is watched by, and no later than the broker's own
				r.begin(ctx, claimed)
			}
		}
	}
	return true
}

func (r *Runner) isRunning(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[id]
}

func (r *Runner) free() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(hands-len(r.running), 0)
}

func (r *Runner) begin(ctx context.Context, o wire.WorkOrder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[o.ID] {
		if r.undoing == o.ID {
			r.after = &o // it begins when that is over
		}
		return
	}
	r.running[o.ID] = true
	r.workers.Go(func() {
		r.work(ctx, o)
		r.mu.Lock()
		delete(r.running, o.ID)
		r.mu.Unlock()
		r.look() // there is a free hand
	})
}

// work does one order, within its timeout and as long as the claim holds.
func (r *Runner) work(ctx context.Context, o wire.WorkOrder) {
	log := r.log.With("order", o.ID, "type", o.WorkType)
	log.InfoContext(ctx, "work order begun", "retry", o.RetryCount)
	deadline := time.Now().Add(time.Duration(o.ClaimTimeoutSeconds) * time.Second)
	if o.ClaimedAt != nil {
		deadline = o.ClaimedAt.Add(time.Duration(o.ClaimTimeoutSeconds) * time.Second)
	}
	doing, stop := context.WithDeadline(ctx, deadline.Add(-margin))
	defer stop()
	lost := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { r.renew(doing, stop, o.ID, lost) })
	result := r.executor.Do(doing, o)
	stop()
	renewing.Wait()
	select {
	case <-lost:
		log.WarnContext(ctx, "the claim is over: the order was taken back, or given to another agent")
		r.takeAway(ctx, o.ID)
		return
	default:
	}
	if ctx.Err() != nil {
		return // the agent that starts next goes on
	}
	log.InfoContext(ctx, "work order done", "success", result.Success, "message", result.Message)
	if r.tell(ctx, log, o, result, deadline) && result.Success {
		r.executor.Told(context.WithoutCancel(ctx), o.ID)
	}
}

// renew keeps the claim until ctx ends; it closes lost, and stops the work, if the claim is over.
func (r *Runner) renew(ctx context.Context, stop func(), order string, lost chan<- struct{}) {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		err := r.broker.RenewWork(ctx, order, lease)
		if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.NotFound) {
			close(lost)
			stop()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell tells the result until the broker has it, or the claim is over in any case. It reports whether the broker has it: if not, the
// order may be claimed anew, and its success is told then; what it has left is found among the leftovers if not.
func (r *Runner) tell(ctx context.Context, log *slog.Logger, o wire.WorkOrder, result Result, deadline time.Time) bool {
	wait := firstWait
	for {
		err := r.broker.CompleteWork(ctx, o.ID, result.Success, result.Message, result.Retryable)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case fault.Is(err, fault.Forbidden), fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
			log.WarnContext(ctx, "the result of a work order is not taken", "error", err.Error())
			return false
		case time.Now().After(deadline.Add(lease)):
			log.WarnContext(ctx, "the result of a work order could not be told in time", "error", err.Error())
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
			wait = min(2*wait, longWait)
		}
	}
}
