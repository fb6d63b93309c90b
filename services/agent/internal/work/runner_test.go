package work_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/work"
)

// broker is played by the test.
type broker struct {
	mu        sync.Mutex
	pending   []wire.WorkOrder
	claimed   []wire.WorkOrder
	renewed   map[string]int
	completed map[string]work.Result
	over      map[string]bool // claims that are over
	away      bool
	slow      time.Duration // its clock is behind by that
	polls     int
}

func newBroker() *broker {
	return &broker{renewed: map[string]int{}, completed: map[string]work.Result{}, over: map[string]bool{}}
}

func away() error { return fault.New(fault.Unavailable, "broker_unreachable", "away") }

func (b *broker) PendingWork(_ context.Context, _ agent.ID, kind string) ([]wire.WorkOrder, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.polls++
	if b.away {
		return nil, away()
	}
	var out []wire.WorkOrder
	for _, o := range b.pending {
		if o.WorkType == kind {
			out = append(out, o)
		}
	}
	return out, nil
}

func (b *broker) ClaimedWork(context.Context, agent.ID) ([]wire.WorkOrder, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, away()
	}
	return b.claimed, nil
}

func (b *broker) ClaimWork(_ context.Context, _ agent.ID, order string) (wire.WorkOrder, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.pending {
		if o.ID == order {
			b.pending = append(b.pending[:i:i], b.pending[i+1:]...)
			now := time.Now().Add(-b.slow)
			o.ClaimedAt = &now
			return o, nil
		}
	}
	return wire.WorkOrder{}, fault.New(fault.NotFound, "work_order_not_claimable", "taken")
}

func (b *broker) RenewWork(_ context.Context, order string, _ time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over[order] {
		return fault.New(fault.Forbidden, "work_order_not_claimed_by_agent", "over")
	}
	b.renewed[order]++
	return nil
}

func (b *broker) CompleteWork(_ context.Context, order string, success bool, message string, retryable bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return away()
	}
	b.completed[order] = work.Result{Success: success, Message: message, Retryable: retryable}
	return nil
}

func (b *broker) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *broker) see(t *testing.T, f func() error) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := f(); err != nil {
		t.Error(err)
	}
}

// executor works for as long as the test says, or until it is stopped.
type executor struct {
	undoes time.Duration
	left   []string
	blind  bool
	takes  time.Duration
	mu     sync.Mutex
	at     int
	most   int
	undone []string
	told   []string
	asleep bool // another process acts for the agent
}

func (e *executor) acting(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asleep {
		return fault.New(fault.Conflict, "lease_lost", "another process acts for this agent")
	}
	return nil
}

func (e *executor) Told(_ context.Context, order string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, order)
}

func (e *executor) Do(ctx context.Context, _ wire.WorkOrder) work.Result {
	e.mu.Lock()
	e.at++
	e.most = max(e.most, e.at)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.at--
	}()
	select {
	case <-time.After(e.takes):
		return work.Result{Success: true, Message: "done"}
	case <-ctx.Done():
		return work.Result{Message: "it did not end in time", Retryable: true}
	}
}

func (e *executor) Undo(_ context.Context, order string) {
	time.Sleep(e.undoes)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.undone = append(e.undone, order)
	e.left = slices.DeleteFunc(slices.Clone(e.left), func(l string) bool { return l == order })
}

func (e *executor) Leftovers(context.Context) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blind {
		return nil, away()
	}
	return e.left, nil
}

// What an order has left that this agent has not claimed goes, soon after the start and whenever it is found; what is claimed goes on.
func TestWhatLostOrdersLeftIsRemoved(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Hour, undoes: 10 * time.Second, left: []string{"lost", "order-0"}}
	b.claimed = orders(1, 7200)
	running(t, b, e, func(r *work.Runner) {
		b.mu.Lock()
		b.pending = []wire.WorkOrder{{ID: "lost", WorkType: "custom", ClaimTimeoutSeconds: 7200}} // it comes back while it is undone
		b.mu.Unlock()
		r.Pending(wire.Pending{WorkOrders: 1, Mark: 1})
		time.Sleep(5 * time.Second)
		e.mu.Lock()
		if e.at != 1 {
			t.Errorf("%d orders at work, want the claimed one alone while the other is undone", e.at)
		}
		e.mu.Unlock()
		time.Sleep(10 * time.Minute)
		e.mu.Lock()
		if !slices.Equal(e.undone, []string{"lost"}) || e.at != 2 {
			t.Errorf("undone %v, %d at work; want the lost one undone and then done", e.undone, e.at)
		}
		e.left, e.blind = []string{"late"}, true
		e.mu.Unlock()
		time.Sleep(10 * time.Minute)
		e.mu.Lock()
		e.blind = false
		e.mu.Unlock()
		time.Sleep(10 * time.Minute)
		e.mu.Lock()
		defer e.mu.Unlock()
		if !slices.Equal(e.undone, []string{"lost", "late"}) {
			t.Errorf("undone %v, want the late one too", e.undone)
		}
	})
}

// Work that this agent cannot do is told of with each sync; it does not ask each time.
func TestWorkOfAnotherTypeIsNoReasonToAsk(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Second}
	b.pending = []wire.WorkOrder{{ID: "other", WorkType: "of another make"}}
	running(t, b, e, func(r *work.Runner) {
		polls := func() int {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.polls
		}
		before := polls()
		for range 100 {
			r.Pending(wire.Pending{WorkOrders: 1, Mark: 7})
			time.Sleep(time.Second)
		}
		if n := polls() - before; n > 4 {
			t.Errorf("asked %d times for the same work", n)
		}
		b.mu.Lock()
		b.pending = append(b.pending, orders(1, 60)...)
		b.mu.Unlock()
		r.Pending(wire.Pending{WorkOrders: 2, Mark: 8})
		time.Sleep(2 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.completed) != 1 {
			t.Errorf("completed %v, want the new order at once", b.completed)
		}
	})
}

func orders(n int, timeout int64) []wire.WorkOrder {
	var out []wire.WorkOrder
	for i := range n {
		out = append(out, wire.WorkOrder{ID: fmt.Sprintf("order-%d", i), WorkType: "custom", ClaimTimeoutSeconds: timeout})
	}
	return out
}

// running runs a runner in virtual time until the test ends.
func running(t *testing.T, b *broker, e *executor, test func(r *work.Runner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		r := work.New(b, "agent", e, e.acting, slog.New(slog.DiscardHandler))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = r.Run(ctx)
		}()
		synctest.Wait()
		test(r)
		stop()
		<-done
	})
}

func TestABacklogIsWorkedOffAFewAtATime(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Minute}
	b.pending = orders(10, 3600)
	running(t, b, e, func(*work.Runner) {
		time.Sleep(4 * time.Minute)
		b.see(t, func() error {
			if len(b.completed) != 10 || e.most != 4 {
				return fmt.Errorf("%d done, %d at a time; want 10, 4 at a time", len(b.completed), e.most)
			}
			if r := b.completed["order-3"]; !r.Success || r.Message != "done" || b.renewed["order-3"] < 4 {
				return fmt.Errorf("got %+v after %d renewals, want a success with a renewal each 15 s", r, b.renewed["order-3"])
			}
			return nil
		})
	})
}

func TestNewsOfWorkIsActedOnAtOnce(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Second}
	running(t, b, e, func(r *work.Runner) {
		time.Sleep(time.Minute)
		b.set(func() { b.pending = orders(1, 3600) })
		r.Pending(wire.Pending{WorkOrders: 1})
		time.Sleep(2 * time.Second)
		b.see(t, func() error {
			if len(b.completed) != 1 {
				return fmt.Errorf("%d done, want the one", len(b.completed))
			}
			return nil
		})
	})
}

func TestWhatDoesNotEndIsStoppedAtItsTimeout(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Hour}
	b.pending = orders(1, 60)
	running(t, b, e, func(*work.Runner) {
		time.Sleep(59 * time.Second)
		b.see(t, func() error {
			if r, ok := b.completed["order-0"]; !ok || r.Success || !r.Retryable {
				return fmt.Errorf("got %+v, want a failure before the claim is over", r)
			}
			return nil
		})
	})
}

func TestAClaimThatIsOverIsUndoneAndNotTold(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Hour}
	b.pending = orders(1, 3600)
	running(t, b, e, func(*work.Runner) {
		b.set(func() { b.over["order-0"] = true })
		time.Sleep(20 * time.Second)
		b.see(t, func() error {
			if len(b.completed) != 0 || len(e.undone) != 1 {
				return fmt.Errorf("told %v, undone %v; want it undone and not told", b.completed, e.undone)
			}
			return nil
		})
	})
}

func TestARestartedAgentGoesOn(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: 10 * time.Second}
	b.claimed = orders(1, 3600)
	b.away = true
	running(t, b, e, func(*work.Runner) {
		time.Sleep(40 * time.Second)
		b.set(func() { b.away = false })
		time.Sleep(45 * time.Second)
		b.see(t, func() error {
			if r := b.completed["order-0"]; !r.Success {
				return fmt.Errorf("got %+v, want what was claimed before to be done", r)
			}
			return nil
		})
	})
}

func TestAnAgentThatEndsTellsNothing(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Hour}
	b.pending = orders(1, 3600)
	running(t, b, e, func(*work.Runner) { time.Sleep(time.Minute) })
	b.see(t, func() error {
		if len(b.completed) != 0 || len(e.undone) != 0 {
			return fmt.Errorf("told %v, undone %v; want the next process to go on", b.completed, e.undone)
		}
		return nil
	})
}

// What has run to its end is there until the broker has the result: an agent that ends in between can tell it again.
func TestASuccessIsTidiedUpWhenTheBrokerHasIt(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: 10 * time.Second}
	b.pending = orders(1, 3600)
	running(t, b, e, func(*work.Runner) {
		b.set(func() { b.away = true })
		time.Sleep(2 * time.Minute)
		b.see(t, func() error {
			if len(e.told) != 0 {
				return fmt.Errorf("tidied up %v, of which the broker has not heard", e.told)
			}
			return nil
		})
		b.set(func() { b.away = false })
		time.Sleep(time.Minute)
		b.see(t, func() error {
			if !b.completed["order-0"].Success || !slices.Equal(e.told, []string{"order-0"}) {
				return fmt.Errorf("completed %v, tidied up %v", b.completed, e.told)
			}
			return nil
		})
	})
}

// A process that slept while another took over leaves alone what looks left to it: the other one may be at it.
func TestAProcessThatActsNoMoreUndoesNothing(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: time.Hour, left: []string{"theirs"}, asleep: true}
	b.pending = orders(1, 3600)
	running(t, b, e, func(*work.Runner) {
		time.Sleep(time.Minute)
		b.set(func() { b.over["order-0"] = true })
		time.Sleep(20 * time.Minute)
		b.see(t, func() error {
			if len(e.undone) != 0 || len(b.completed) != 0 {
				return fmt.Errorf("undone %v, completed %v; want nothing", e.undone, b.completed)
			}
			return nil
		})
	})
}

// A clock that is ahead of the broker's costs no order its time.
func TestADeadlineCountsFromWhenTheAgentAsked(t *testing.T) {
	t.Parallel()
	b, e := newBroker(), &executor{takes: 30 * time.Second}
	b.slow = 2 * time.Hour
	b.pending = orders(1, 3600)
	running(t, b, e, func(*work.Runner) {
		time.Sleep(time.Minute)
		b.see(t, func() error {
			if r := b.completed["order-0"]; !r.Success {
				return fmt.Errorf("got %+v, want it done", r)
			}
			return nil
		})
	})
}
