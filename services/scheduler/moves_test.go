package scheduler_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/scheduler"
	"github.com/colliery-io/brokkr/services/scheduler/internal/shard"
)

// cores is what an agent tells of a cluster with so many of them.
func cores(n int64) cluster.Status {
	return cluster.Status{Nodes: 1, ReadyNodes: 1, Allocatable: cluster.Resources{CPU: n * 1000}}
}

// How often a stack has moved, and since when it is where it is, outlives the scheduler: one that starts anew moves it no more
// often, and no sooner, than the one before.
func TestARestartMovesNothingMoreOften(t *testing.T) {
	t.Parallel()
	for name, sticky := range map[string]policy.Stickiness{
		"moves an hour": {MaxMovesPerHour: 1}, "dwell": {MinDwell: policy.Duration(50 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				stop := f.start(f.store)
				settle()
				a, b := f.agent("a"), f.agent("b")
				f.says(a, cores(8))
				f.says(b, cores(4))
				s := f.stack("web")
				f.follow(s, policy.Document{Name: "p", Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}, Stickiness: &sticky,
					Prefer: []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 16}}}})
				f.publish(s, "content")
				settle()
				f.wantOn("at first", s, a)
				time.Sleep(time.Hour)
				f.says(b, cores(12))
				f.wantOn("b is better, and the stack may move", s, b)
				moved := time.Now()
				f.publish(s, "newer content") // is no other stay
				settle()

				stop()
				stop = f.start(f.store)
				defer func() { stop() }()
				settle()
				time.Sleep(10 * time.Minute)
				f.says(a, cores(16))
				f.wantOn("a is better again, and the scheduler was started anew", s, b)
				stop()
				stop = f.start(f.store)
				settle()
				f.wantOn("and once more", s, b)
				time.Sleep(time.Until(moved.Add(49 * time.Minute)))
				f.wantOn("just before", s, b)
				time.Sleep(12 * time.Minute)
				f.wantOn("by itself, when it may move", s, a)
			})
		})
	}
}

// What a scheduler has promised of a cluster's room holds also for the one that is started after it, until the cluster tells.
func TestARestartKeepsPromises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a := f.agent("a")
		f.says(a, cores(4))
		needs := policy.Document{Name: "p", Requires: &policy.Requirements{CPU: "3"}, Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}}
		first := f.stack("first")
		f.follow(first, needs)
		f.publish(first, "content")
		settle()
		f.wantOn("there is room for three cores of four", first, a)
		stop()
		defer f.start(f.store)()
		settle()
		second := f.stack("second")
		f.follow(second, needs)
		f.publish(second, "content")
		settle()
		f.wantOn("three of the four cores are promised", second, []agent.ID{}...)
		f.says(a, cores(8))
		f.wantOn("the cluster has grown", second, a)
	})
}

// A status that comes right after a decision, because something else is news, has not the pods of it yet: what was promised is not
// given again. One that comes when they must be there counts, and whoever waits finds the room by itself when none comes at all.
func TestAPromiseOutlivesAStatusThatCameTooSoon(t *testing.T) {
	t.Parallel()
	for name, tells := range map[string]bool{"it tells later": true, "it tells no more": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				defer f.start(f.store)()
				settle()
				a := f.agent("a")
				status := cores(4)
				f.says(a, status)
				needs := policy.Document{Name: "p", Requires: &policy.Requirements{CPU: "3"}, Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}}
				first, second := f.stack("first"), f.stack("second")
				f.follow(first, needs)
				f.publish(first, "content")
				settle()
				f.wantOn("there is room for three cores of four", first, a)
				placed := time.Now()
				f.follow(second, needs)
				f.publish(second, "content")
				settle()
				status.Facts = map[string]cluster.Fact{"zone": cluster.ParseFact("north")}
				f.says(a, status)
				f.wantOn("a fact is news, the pods are not there yet", second, []agent.ID{}...)
				if tells {
					time.Sleep(placement.Settling)
					status.Facts["zone"] = cluster.ParseFact("south")
					f.says(a, status)
					f.wantOn("the first asks for nothing after all", second, a)
					return
				}
				time.Sleep(time.Until(placed.Add(placement.Lapse - 10*time.Second)))
				synctest.Wait()
				f.wantOn("it may still be missing", second, []agent.ID{}...)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				f.wantOn("the first asks for nothing, or another status would have come", second, a)
			})
		})
	}
}

// of returns who decides about a stack.
func (f *fleet) of(s stack.ID) string {
	f.t.Helper()
	leases, err := f.store.Leases().List(f.t.Context(), "scheduler/shard/")
	if err != nil {
		f.t.Fatal(err)
	}
	k := shard.NewKeeper(f.store.Leases(), "", scheduler.Defaults().Shards, time.Minute, time.Now, slog.New(slog.DiscardHandler))
	return leases[k.Of(s)].Holder
}

// What a cluster was promised for is promised no longer when another replica has moved the stack away, also to those that only
// heard of it.
func TestAMoveByAnotherReplicaFreesThePromise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sharing(t)
		a, b := f.agent("a", "first", "second"), f.agent("b", "first")
		f.says(a, cores(4))
		needs := func(label, cpu string) policy.Document {
			return policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{label}}, Requires: &policy.Requirements{CPU: cpu},
				Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}}
		}
		first := f.stack("first")
		second := f.stack("second")
		for i := 0; f.of(second) == f.of(first); i++ {
			second = f.stack(fmt.Sprint("second", i))
		}
		f.follow(first, needs("first", "3"))
		f.publish(first, "content")
		settle()
		f.wantOn("only one has told what it has", first, a)
		f.follow(second, needs("second", "3"))
		f.publish(second, "content")
		settle()
		f.wantOn("three of the four cores are promised", second, []agent.ID{}...)
		f.says(b, cores(4))
		f.unlabel(a, "first")
		settle()
		f.wantOn("it had to leave", first, b)
		f.wantOn("there is room again", second, a)
	})
}

// Room that was promised and is given up, because the stack moved away by a decision of the same replica, is found at once by who
// waits for it, though the cluster's agent says nothing.
func TestAMoveFreesItsPromiseAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		settle()
		a, b := f.agent("a", "first", "second"), f.agent("b", "first")
		f.says(a, cores(4))
		needs := func(label string) policy.Document {
			return policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{label}}, Requires: &policy.Requirements{CPU: "3"},
				Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}}
		}
		first, second := f.stack("first"), f.stack("second")
		f.follow(first, needs("first"))
		f.publish(first, "content")
		settle()
		f.follow(second, needs("second"))
		f.publish(second, "content")
		settle()
		f.wantOn("three of the four cores are promised", second, []agent.ID{}...)
		f.says(b, cores(4))
		f.unlabel(a, "first")
		synctest.Wait()
		f.wantOn("it had to leave", first, b)
		f.wantOn("there is room again", second, a)
	})
}

// A stack that has all that it wants does not move because another one's move has freed room: its own move would free room for the
// other one, and the two would never come to rest.
func TestMovesDoNotChaseEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		settle()
		for _, name := range []string{"a", "b", "c"} {
			f.says(f.agent(name, "any"), cores(8))
		}
		document := policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"any"}}, Requires: &policy.Requirements{CPU: "4"},
			Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}, Prefer: []policy.Preference{{Property: "available.cpu", Range: &[2]float64{0, 8}}}}
		first, second := f.stack("first"), f.stack("second")
		for _, s := range []stack.ID{first, second} {
			f.follow(s, document)
			f.publish(s, "content")
			settle()
		}
		decisions := func() (n int64) {
			for _, s := range []stack.ID{first, second} {
				rec, _, err := f.store.Decisions().Latest(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				n += rec.Generation
			}
			return n
		}
		before := decisions()
		f.publish(first, "other content")
		settle()
		// the new content may move the first; nothing more follows from that
		if n := decisions() - before; n == 0 || n > 2 {
			t.Errorf("%d decisions were stored about two stacks of which one was published, want 2 at most", n)
		}
	})
}

// How many stacks a cluster has, as decisions count it, is also what another replica has put there.
func TestLoadIsWhatAllReplicasHaveDecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		defer f.start(f.store)()
		time.Sleep(30 * time.Second) // they share
		clusters := map[string]agent.ID{"a": f.agent("a", "a", "any"), "b": f.agent("b", "b", "any")}
		here := f.stack("here")
		n := 0
		by := func(ours bool) stack.ID {
			for {
				n++
				if s := f.stack(fmt.Sprint("s", n)); (f.of(s) == f.of(here)) == ours {
					return s
				}
			}
		}
		put := func(s stack.ID, label string) {
			f.follow(s, policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{label}}, Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}},
				Prefer: []policy.Preference{{Balance: true}}})
			f.publish(s, "content")
			synctest.Wait()
		}
		for range 2 { // whichever cluster a tie would go to
			for full, other := range map[string]string{"a": "b", "b": "a"} {
				load := map[agent.ID]int{}
				for _, c := range clusters {
					_, held, err := f.store.Assignments().OfAgent(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					load[c] = len(held)
				}
				for range load[clusters[other]] - load[clusters[full]] + 1 {
					put(by(false), full)
				}
				s := by(true)
				put(s, "any")
				f.wantOn("the other replica has put more on "+full, s, clusters[other])
			}
		}
	})
}
