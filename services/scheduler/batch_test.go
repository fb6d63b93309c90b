package scheduler_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// counted is a store that knows how many decisions were committed together, fails the commits that fail says, and shows them all.
type counted struct {
	ports.Store
	mu    sync.Mutex
	sizes []int
	fail  func(nth, decisions int) error
	see   func([]ports.Commit) // nil: nobody looks
}

func (c *counted) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	return c.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, countedTx{tx, c}) })
}

type countedTx struct {
	ports.Repositories
	c *counted
}

func (t countedTx) Decisions() ports.Decisions {
	return countedDecisions{t.Repositories.Decisions(), t.c}
}

type countedDecisions struct {
	ports.Decisions
	c *counted
}

func (d countedDecisions) Commit(ctx context.Context, commits ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	d.c.mu.Lock()
	if d.c.see != nil {
		d.c.see(commits)
	}
	d.c.sizes = append(d.c.sizes, len(commits))
	n := len(d.c.sizes)
	d.c.mu.Unlock()
	if d.c.fail != nil {
		if err := d.c.fail(n, len(commits)); err != nil {
			return nil, err
		}
	}
	return d.Decisions.Commit(ctx, commits...)
}

func (c *counted) commits() (n, decisions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sizes {
		decisions += s
	}
	return len(c.sizes), decisions
}

// crowd makes stacks, published, each of which goes to one of the agents, to the emptiest.
func (f *fleet) crowd(n int) []stack.ID {
	f.t.Helper()
	out := make([]stack.ID, n)
	for i := range out {
		out[i] = f.stack(fmt.Sprintf("s%03d", i))
		f.follow(out[i], policy.Document{Name: fmt.Sprintf("p%03d", i), Strategy: policy.Strategy{Type: policy.Count, Count: &policy.Range{Min: 1, Max: 1}},
			Prefer: []policy.Preference{{Balance: true}}, Stickiness: &policy.Stickiness{Points: 50}})
		f.publish(out[i], "x")
	}
	return out
}

// wantSpread fails unless each stack is on one agent, decided once, and no agent has more than its share.
func (f *fleet) wantSpread(stacks []stack.ID, agents int) {
	f.t.Helper()
	load := map[agent.ID]int{}
	for _, s := range stacks {
		on := f.on(s)
		if len(on) != 1 {
			f.t.Fatalf("stack %s is on %v, want one agent", s, on)
		}
		load[on[0]]++
		if rec, _, err := f.store.Decisions().Latest(f.t.Context(), s); err != nil || rec.Generation != 1 {
			f.t.Errorf("stack %s is in decision %d (%v), want the first", s, rec.Generation, err)
		}
	}
	for a, n := range load {
		if n > len(stacks)/agents+10 { // a few stacks more or less are the same number of points
			f.t.Errorf("agent %s has %d of %d stacks: %v", a, n, len(stacks), load)
		}
	}
}

func TestDecisionsAreCommittedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		for _, n := range []string{"a", "b", "c"} {
			f.agent(n)
		}
		stacks := f.crowd(300)
		store := &counted{Store: f.store}
		defer f.start(store)()
		settle()
		f.wantSpread(stacks, 3)
		if n, decisions := store.commits(); n > 5 || decisions != 300 {
			t.Errorf("%d decisions in %d commits, want 300 in a few", decisions, n)
		}
	})
}

// What a batch has done to the snapshot is taken back when it is not committed: by a lost race, or by a store that is away.
func TestABatchThatFailsIsDecidedAnew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		most int // decisions that are tried
	}{
		"a lost race":              {fault.New(fault.Conflict, "stale", "agent a is stale"), 2 * 300},
		"a store that is away":     {fault.New(fault.Unavailable, "database_unavailable", "the database is away"), 2 * 300},
		"something that was wrong": {fault.New(fault.Internal, "oops", "it went wrong"), 2 * 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				for _, n := range []string{"a", "b", "c"} {
					f.agent(n)
				}
				stacks := f.crowd(300)
				store := &counted{Store: f.store, fail: func(nth, _ int) error {
					if nth == 2 {
						return c.err
					}
					return nil
				}}
				defer f.start(store)()
				settle()
				f.wantSpread(stacks, 3)
				if _, decisions := store.commits(); decisions <= 300 || decisions > c.most {
					t.Errorf("%d decisions were tried, want more than 300 and at most %d", decisions, c.most)
				}
			})
		})
	}
}

// The removals of one batch use up the window one after the other, like those of single commits.
func TestTheBrakeSeesWhatItsBatchRemoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, _ := f.agent("a", "prod"), f.agent("b", "prod")
		var stacks []stack.ID
		for i := range 15 {
			s := f.stack(fmt.Sprint("s", i), "prod")
			f.publish(s, "x")
			stacks = append(stacks, s)
		}
		store := &counted{Store: f.store}
		defer f.start(store)()
		settle()
		before, _ := store.commits()
		f.unlabel(a, "prod")
		synctest.Wait()
		if n, _ := store.commits(); n != before+1 {
			t.Errorf("the change was decided in %d commits, want one", n-before)
		}
		removed, held := 0, 0
		for _, s := range stacks {
			if f.assignments(s)[a].State == delivery.Removing {
				removed++
			}
			if _, hold, err := f.store.Decisions().Latest(t.Context(), s); err != nil || hold != nil {
				held++
			}
		}
		if removed != 10 || held != 5 { // a fifth of 30 assignments is less than the 10 that every window admits
			t.Errorf("removed %d and held %d, want 10 and 5", removed, held)
		}
	})
}

// What is published while many stacks are looked at again does not wait for them.
func TestWhatIsPublishedGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.agent("a")
		stacks := f.crowd(200)
		stop := f.start(f.store)
		settle()
		stop()
		o := f.publish(stacks[117], "newer")
		var first []ports.Commit
		store := &counted{Store: f.store, see: func(c []ports.Commit) {
			if first == nil {
				first = c
			}
		}}
		defer f.start(store)()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(first) != 1 || first[0].Stack != stacks[117] || first[0].Record.Object != o {
			t.Errorf("the first commit is about %d stacks, want what was published meanwhile, by itself", len(first))
		}
		if n, decisions := store.commits(); n != 1 || decisions != 1 {
			t.Errorf("%d decisions in %d commits, want the one", decisions, n)
		}
	})
}
