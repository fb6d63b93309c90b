package cycle

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
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
