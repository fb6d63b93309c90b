package scheduler_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// gate is a store whose writes wait for each other while it is shut: whoever decides has decided before one of them is stored.
type gate struct {
	ports.Store
	mu     sync.Mutex
	shut   bool
	opened chan struct{}
	waited int // since it was shut
	writes int
}

func (g *gate) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	g.mu.Lock()
	opened := g.opened
	g.writes++
	if g.shut {
		g.waited++
	} else {
		opened = nil
	}
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
	return g.Store.Write(ctx, fn)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.opened, g.waited, g.writes = true, make(chan struct{}), 0, 0
}

// open lets go on who waits, and returns how many these are.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
	close(g.opened)
	return g.waited
}

// crowded is two replicas, and stacks that each of them decides about, one after the other theirs.
func crowded(t *testing.T, n int, needs policy.Document) (*fleet, *gate, []stack.ID) {
	t.Helper()
	f := newFleet(t)
	g := &gate{Store: f.store}
	for range 2 {
		t.Cleanup(f.start(g))
	}
	time.Sleep(30 * time.Second) // they share
	var stacks []stack.ID
	by := map[string]int{}
	for i := 0; len(stacks) < n; i++ {
		s := f.stack(fmt.Sprint("s", i))
		if by[f.of(s)] == (n+1)/2 {
			continue
		}
		by[f.of(s)]++
		stacks = append(stacks, s)
		f.follow(s, needs)
	}
	settle()
	return f, g, stacks
}

func asks(cpu string) policy.Document {
	return policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"small"}}, Requires: &policy.Requirements{CPU: cpu},
		Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}}
}

// on counts the stacks that are assigned to a cluster.
func (f *fleet) stacksOn(a agent.ID) int {
	f.t.Helper()
	_, held, err := f.store.Assignments().OfAgent(f.t.Context(), a)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(held)
}

// The room of a cluster is given once, also by two replicas that decide at the same moment: the second to be stored is decided again.
func TestRoomIsGivenOnceByTwoReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, g, stacks := crowded(t, 2, asks("3"))
		small := f.agent("small", "small")
		f.says(small, cores(4))
		settle()
		g.close()
		for _, s := range stacks {
			f.publish(s, "content")
		}
		synctest.Wait()
		if n := g.open(); n != 2 {
			t.Fatalf("%d replicas had decided, want both", n)
		}
		settle()
		if n := f.stacksOn(small); n != 1 {
			t.Fatalf("%d stacks of three cores each are on the cluster of four, want one", n)
		}
		large := f.agent("large", "small") // who lost goes where there is room
		f.says(large, cores(4))
		settle()
		if n, m := f.stacksOn(small), f.stacksOn(large); n != 1 || m != 1 {
			t.Errorf("%d and %d stacks are on the clusters, want one on each", n, m)
		}
	})
}

// One that leaves and one that comes are as many as were there. The room is given once all the same to somebody who knows of neither.
func TestOneThatLeavesUnnoticedMakesNoRoom(t *testing.T) {
	t.Parallel()
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				var gates [2]*gate
				for i := range gates {
					gates[i] = &gate{Store: f.store}
					t.Cleanup(f.start(gates[i]))
				}
				time.Sleep(30 * time.Second) // they share
				leaving := asks("")
				leaving.Strategy = policy.Strategy{}
				leaving.Clusters = &policy.Selector{Expressions: []policy.Expression{{Key: "label.small", Operator: policy.DoesNotExist}}}
				of := map[string][]stack.ID{}
				for i := 0; len(of) < 2 || len(slices.MinFunc(slices.Collect(maps.Values(of)), fewer)) < 2; i++ {
					s := f.stack(fmt.Sprint("s", i))
					of[f.of(s)] = append(of[f.of(s)], s)
				}
				a := f.agent("a")
				f.says(a, cores(4))
				for i := range 9 { // enough for nobody to take fright at one that is lost
					f.agent(fmt.Sprint("other", i))
				}
				for _, list := range of { // each replica has one that leaves, and one that comes
					f.follow(list[0], leaving)
					f.follow(list[1], asks("3"))
					f.publish(list[0], "content")
					f.publish(list[1], "content")
				}
				settle()
				if n := f.stacksOn(a); n != 2 {
					t.Fatalf("%d stacks are on the cluster at first, want the two that leave it", n)
				}
				for _, g := range gates {
					g.close()
				}
				f.label(a, "small")
				synctest.Wait()
				for _, i := range order {
					if n := gates[i].open(); n != 1 {
						t.Fatalf("replica %d waited with %d writes, want one", i, n)
					}
					synctest.Wait()
				}
				settle()
				came := 0
				for _, list := range of {
					came += len(f.on(list[1]))
					if slices.Contains(f.on(list[0]), a) {
						t.Errorf("%s is where it had to leave", list[0])
					}
				}
				if came != 1 {
					t.Errorf("%d stacks of three cores each came to the cluster of four, want one", came)
				}
			})
		})
	}
}

func fewer(x, y []stack.ID) int { return len(x) - len(y) }

// Where there is room for what the other replica may have decided meanwhile, and where no room is asked for, both are stored at once.
func TestReplicasWithRoomDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	for name, needs := range map[string]policy.Document{"room for both": asks("2"), "no room is asked for": asks("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, g, stacks := crowded(t, 2, needs)
				a := f.agent("a", "small")
				f.says(a, cores(4))
				settle()
				g.close()
				for _, s := range stacks {
					f.publish(s, "content")
				}
				synctest.Wait()
				if n := g.open(); n != 2 {
					t.Fatalf("%d replicas had decided, want both", n)
				}
				synctest.Wait()
				if n := f.stacksOn(a); n != 2 {
					t.Fatalf("%d stacks are on the cluster, want both", n)
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.writes != 2 { // another one is a decision that was made again
					t.Errorf("%d writes, want one of each", g.writes)
				}
			})
		})
	}
}
