package cycle

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type allShards struct{}

func (allShards) Of(stack.ID) int               { return 0 }
func (allShards) Lease(int) (ports.Lease, bool) { return ports.Lease{}, true }
func (allShards) Gained() <-chan struct{}       { return nil }

// empty returns an engine whose snapshot is empty.
func empty() *Engine {
	e := New(nil, nil, nil, allShards{}, time.Now, slog.New(slog.DiscardHandler), noop.NewTracerProvider().Tracer(""), NewMetrics(prometheus.NewRegistry()), Options{})
	e.world = &world{clusters: map[agent.ID]placement.Cluster{}, subjects: map[stack.ID]placement.Subject{}, index: newIndex(), fleet: placement.NewFleet(nil),
		priors: map[stack.ID]placement.Prior{}, rollouts: map[stack.ID]rollout.Rollout{}, depends: map[stack.ID][]stack.ID{}, promises: placement.Promises{}, holdings: holdings{}, waiting: placement.Waiting{}}
	return e
}

// However long a turn takes to begin, it gets somewhere: turns that are over before anything is decided would be followed by
// nothing but such turns.
func TestEveryTurnGetsSomewhere(t *testing.T) {
	t.Parallel()
	e := empty()
	e.turn = -time.Hour
	for i := range 3 {
		id := stack.ID(fmt.Sprint(i))
		e.world.subjects[id] = placement.Subject{Stack: id, Generation: 1}
		e.dirty[id] = cause{event: resync}
	}
	for turns := 0; ; turns++ {
		more, err := e.decideDirty(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		if turns == 5 {
			t.Fatalf("after %d turns %d of 3 stacks have not been decided about", turns, len(e.dirty))
		}
	}
	if len(e.dirty) != 0 {
		t.Errorf("still dirty: %v", e.dirty)
	}
}

// A stack that is dirty again after each turn keeps no other one waiting.
func TestStacksComeInTurn(t *testing.T) {
	t.Parallel()
	e := empty()
	e.turn = -time.Hour
	soil := func(id stack.ID) { e.dirty[id] = cause{event: event.StackChanged} }
	for i := range 3 {
		id := stack.ID(fmt.Sprint(i))
		e.world.subjects[id] = placement.Subject{Stack: id, Generation: 1}
		soil(id)
	}
	for range 5 {
		if _, err := e.decideDirty(t.Context()); err != nil {
			t.Fatal(err)
		}
		soil("0")
	}
	if len(e.dirty) != 1 {
		t.Errorf("after five turns dirty are %v, want only the one that always is", e.dirty)
	}
}

type countedExpr struct{ asked *int }

func (countedExpr) Cost() uint64 { return 1 }

func (x countedExpr) Eval(*placement.Cluster) (bool, error) {
	*x.asked++
	return true, nil
}

// What a lost race undoes does not make later decisions find out everything anew, each for itself.
func TestAnUndoneSnapshotRemembers(t *testing.T) {
	t.Parallel()
	asked := 0
	p, err := placement.Compile(policy.Document{Name: "p", Clusters: &policy.Selector{CEL: "true"}},
		placement.Deps{CEL: func(string) (placement.Expr, error) { return countedExpr{&asked}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	e := empty()
	c := placement.Cluster{Agent: "a", Status: agent.Active, Generators: map[tenancy.GeneratorID]bool{"g": true}}
	e.world.fleet = placement.NewFleet([]placement.Cluster{c})
	decide := func() int {
		t.Helper()
		before := asked
		in := placement.Input{Subject: placement.Subject{Stack: "s", Generator: "g", Newest: &stack.Object{ID: "o"}}, Policy: p, Fleet: e.world.fleet}
		if d := placement.Decide(in, time.Now()); len(d.Picks) != 1 {
			t.Fatalf("picks %v, want one", d.Picks)
		}
		return asked - before
	}
	decide()
	u := e.remember()
	c.Load = 1
	e.world.fleet = e.world.fleet.With([]placement.Cluster{c}, nil)
	decide()
	u.back(e)
	if got, _ := e.world.fleet.Cluster("a"); got.Load != 0 {
		t.Errorf("the load is %d, want what it was", got.Load)
	}
	decide()
	if n := decide(); n != 0 {
		t.Errorf("the same decision once more asks %d times, want 0", n)
	}
}

// poisoned is a store that cannot store the decisions about one stack.
type poisoned struct {
	ports.Store
	bad    stack.ID
	stored map[stack.ID]bool
}

type poisonedTx struct {
	ports.Repositories
	p *poisoned
}

func (t poisonedTx) Decisions() ports.Decisions { return poisonedDecisions{p: t.p} }
func (poisonedTx) Outbox() ports.Outbox         { return deafOutbox{} }

type deafOutbox struct{ ports.Outbox }

func (deafOutbox) Append(context.Context, ...event.Event) error { return nil }

type poisonedDecisions struct {
	ports.Decisions
	p *poisoned
}

func (d poisonedDecisions) Commit(_ context.Context, commits ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	for _, c := range commits {
		if c.Stack == d.p.bad {
			return nil, fault.New(fault.Internal, "oops", "it cannot be stored")
		}
	}
	for _, c := range commits {
		d.p.stored[c.Stack] = true
	}
	return nil, nil
}

func (p *poisoned) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	return fn(ctx, poisonedTx{p: p})
}

// A decision that can never be stored keeps no other from being stored, though they are committed together.
func TestADecisionThatCannotBeStoredHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	e := empty()
	store := &poisoned{bad: "1", stored: map[stack.ID]bool{}}
	e.store = store
	for i := range 4 {
		id := stack.ID(fmt.Sprint(i))
		e.world.subjects[id] = placement.Subject{Stack: id, Generation: 1, Hold: &placement.Hold{}} // what is held is so no longer
		e.dirty[id] = cause{event: resync}
	}
	if _, err := e.decideDirty(t.Context()); err == nil {
		t.Error("no error, want that of the stack whose decision cannot be stored")
	}
	if len(store.stored) != 3 || len(e.dirty) != 1 || !e.passed["1"] {
		t.Errorf("stored %v, dirty %v, passed over %v; want all but the bad one stored", store.stored, e.dirty, e.passed)
	}
}
