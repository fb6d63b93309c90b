package cycle

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// slow is a store whose first write is over only when it has been decided about further stacks meanwhile; first is what that write
// comes to.
type slow struct {
	ports.Store
	decided  *atomic.Int64
	first    error
	writes   int
	beside   bool
	onStored map[stack.ID][]int64 // generations that the decisions rested on
}

func (s *slow) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	if s.writes++; s.writes == 1 {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !s.beside; time.Sleep(time.Millisecond) {
			s.beside = s.decided.Load() > batchDecisions+batchDecisions/2 // these are not all of the first batch
		}
		if s.first != nil {
			return s.first
		}
	}
	return fn(ctx, slowTx{s: s})
}

type slowTx struct {
	ports.Repositories
	s *slow
}

func (t slowTx) Decisions() ports.Decisions { return slowDecisions{s: t.s} }
func (slowTx) Outbox() ports.Outbox         { return deafOutbox{} }

type slowDecisions struct {
	ports.Decisions
	s *slow
}

func (d slowDecisions) Commit(_ context.Context, commits ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	for _, c := range commits {
		d.s.onStored[c.Stack] = append(d.s.onStored[c.Stack], c.Generation)
	}
	return nil, nil
}

// While decisions are committed, the next ones are made; if the commit fails, those are undone with the failed ones, and all are
// made again, each once.
func TestDecidingGoesOnWhileDecisionsAreCommitted(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]error{"stored": nil, "not stored": fault.New(fault.Internal, "oops", "it cannot be stored")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const stacks = 3 * batchDecisions
			var decided atomic.Int64
			e := empty()
			e.turn = time.Minute
			e.now = func() time.Time { decided.Add(1); return time.Now() }
			store := &slow{decided: &decided, first: first, onStored: map[stack.ID][]int64{}}
			e.store = store
			for i := range stacks {
				id := stack.ID(fmt.Sprint(i))
				e.world.subjects[id] = placement.Subject{Stack: id, Generation: 1, Hold: &placement.Hold{}} // what is held is so no longer
				e.dirty[id] = cause{event: resync}
			}
			if more, err := e.decideDirty(t.Context()); more || err != nil {
				t.Fatalf("more %v, error %v; want neither", more, err)
			}
			if !store.beside {
				t.Error("nothing was decided while the first decisions were committed")
			}
			if len(e.dirty) != 0 || len(store.onStored) != stacks {
				t.Errorf("%d of %d stored, %d dirty", len(store.onStored), stacks, len(e.dirty))
			}
			var made dto.Metric
			if err := e.metrics.decide.Write(&made); err != nil {
				t.Fatal(err)
			}
			if n := made.GetHistogram().GetSampleCount(); first != nil && n < stacks+batchDecisions+batchDecisions/2 {
				t.Errorf("decided %d times about %d stacks; want again about all that was decided before the first could not be stored", n, stacks)
			}
			for id, g := range store.onStored {
				if len(g) != 1 || g[0] != 1 || e.world.subjects[id].Generation != 2 {
					t.Errorf("stack %s: stored on the generations %v, now %d; want once on 1, now 2", id, g, e.world.subjects[id].Generation)
				}
			}
		})
	}
}

// What is taken back leaves nothing in the snapshot: neither where stacks are, nor what clusters have and were promised, nor what
// was removed.
func TestTakingBackLeavesNothing(t *testing.T) {
	t.Parallel()
	e, now := empty(), time.Now()
	compiled, err := placement.Compile(policy.Document{Name: "p", Requires: &policy.Requirements{CPU: "2"}}, placement.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ref := &policy.Ref{ID: "p", Revision: 1}
	e.ready["p"] = ready{revision: 1, compiled: compiled}
	w := e.world
	w.holdings, w.blocked, w.assigned = holdings{"a": {"one"}}, map[stack.ID]int{}, 1
	for _, a := range []agent.ID{"a", "b"} {
		w.clusters[a] = placement.Cluster{Agent: a, Load: len(w.holdings[a])}
	}
	w.fleet = placement.NewFleet(w.all())
	w.put(placement.Subject{Stack: "one", Generation: 1, Policy: ref, Blocked: []placement.Blocked{{Agents: []agent.ID{"a"}}}})
	w.put(placement.Subject{Stack: "two", Generation: 1, Policy: ref})
	w.priors["one"] = placement.Prior{"a": {Agent: "a", Stack: "one", State: delivery.Assigned, Placed: now}}
	w.promises["a"] = []placement.Promise{{Stack: "one", Needs: compiled.Needs(), At: now}}
	type state struct {
		clusters map[agent.ID]placement.Cluster
		subjects map[stack.ID]placement.Subject
		priors   map[stack.ID]placement.Prior
		promises placement.Promises
		blocked  map[stack.ID]int
		assigned int
		lost     int
	}
	known := func() state {
		t.Helper()
		if diff := cmp.Diff(holdingsOf(w.priors), w.holdings); diff != "" {
			t.Errorf("what clusters have (-by the assignments +known):\n%s", diff)
		}
		return state{maps.Clone(w.clusters), maps.Clone(w.subjects), maps.Clone(w.priors), w.promises.Clone(), maps.Clone(w.blocked), w.assigned, e.window.Lost(now)}
	}
	move := func(s stack.ID, changes ...placement.Change) *pending {
		d := placement.Decision{Stack: s, Changes: changes}
		_, span := e.tracer.Start(t.Context(), "test")
		return &pending{subject: w.subjects[s], decision: d, news: true, now: now, spent: d.Spends(w.subjects[s], now), span: span}
	}
	before := known()
	l := pipeline{Engine: e}
	l.stage(&l.next, move("one", placement.Change{Agent: "a", State: delivery.Removing}, placement.Change{Agent: "b", State: delivery.Assigned}))
	between := known()
	flying := l.next
	l.next = batch{}
	l.stage(&l.next, move("two", placement.Change{Agent: "a", State: delivery.Assigned}, placement.Change{Agent: "b", State: delivery.Assigned}))
	if reflect.DeepEqual(before, between) || reflect.DeepEqual(between, known()) {
		t.Fatal("the decisions change nothing")
	}
	l.takeBack(&l.next)
	if got := known(); !reflect.DeepEqual(between, got) {
		t.Errorf("after the second was taken back:\n%+v\nwant\n%+v", got, between)
	}
	l.takeBack(&flying)
	if got := known(); !reflect.DeepEqual(before, got) {
		t.Errorf("after both were taken back:\n%+v\nwant\n%+v", got, before)
	}
	for _, a := range []agent.ID{"a", "b"} {
		if c, there := w.fleet.Cluster(a); !there || c.Load != before.clusters[a].Load {
			t.Errorf("decisions see cluster %s with the load %d, want %d", a, c.Load, before.clusters[a].Load)
		}
	}
}
