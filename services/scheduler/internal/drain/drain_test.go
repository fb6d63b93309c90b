package drain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/services/scheduler/internal/drain"
)

// world is a cluster that is drained with a budget, another that takes what leaves it, and a scheduler played by hand.
type world struct {
	*testing.T
	store   *memory.Store
	from    agent.ID
	to      agent.ID
	stacks  []stack.ID
	objects map[stack.ID]stack.ObjectID
	budget  int
	reg     *prometheus.Registry // of the last stepper
}

// in runs a test with n stacks on a cluster whose drain has just begun. Its time is the bubble's.
func in(t *testing.T, n, budget int, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, store: memory.New(time.Now), from: agent.ID(uuid.NewString()), to: agent.ID(uuid.NewString()), objects: map[stack.ID]stack.ObjectID{}, budget: budget}
		team, now := tenancy.GeneratorID(uuid.NewString()), time.Now()
		w.must(w.store.Generators().Insert(t.Context(), tenancy.Generator{ID: team, Name: "team", Active: true, RegistrationPolicy: tenancy.PolicyOpen, CreatedAt: now, UpdatedAt: now}))
		for name, id := range map[string]agent.ID{"from": w.from, "to": w.to} {
			w.must(w.store.Agents().Insert(t.Context(), agent.Agent{ID: id, Name: name, ClusterName: name, Status: agent.Active, CreatedAt: now, UpdatedAt: now}))
		}
		sum, err := w.store.Blobs().Put(t.Context(), []byte("kind: ConfigMap"))
		w.must(err)
		for i := range n {
			s, o := stack.ID(uuid.NewString()), stack.ObjectID(uuid.NewString())
			w.must(w.store.Stacks().Insert(t.Context(), stack.Stack{ID: s, Name: fmt.Sprint("s", i), Generator: team, CreatedAt: now, UpdatedAt: now}))
			_, err := w.store.Objects().Insert(t.Context(), stack.Object{ID: o, Stack: s, Checksum: sum, Size: 15, SubmittedAt: now, CreatedAt: now, UpdatedAt: now})
			w.must(err)
			w.stacks, w.objects[s] = append(w.stacks, s), o
			w.commit(s, placement.Change{Agent: w.from, State: delivery.Assigned, Object: o})
		}
		_, err = w.store.Drains().Start(t.Context(), w.from, cluster.Drain{Since: now, By: "me", Budget: budget})
		w.must(err)
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// commit writes assignments as the scheduler does.
func (w *world) commit(s stack.ID, changes ...placement.Change) {
	w.Helper()
	l, err := w.store.Leases().Acquire(w.Context(), "scheduler/shard/000", "the scheduler", time.Hour)
	w.must(err)
	subjects, err := w.store.Facts().Subjects(w.Context(), []stack.ID{s})
	w.must(err)
	for i := range changes {
		clusters, err := w.store.Facts().Clusters(w.Context(), []agent.ID{changes[i].Agent})
		w.must(err)
		changes[i].Version = clusters[0].Version
	}
	_, err = w.store.Decisions().Commit(w.Context(), ports.Commit{
		Lease: l, Stack: s, StackVersion: subjects[0].Version, Generation: subjects[0].Generation, Changes: changes,
		Record: placement.Record{Stack: s, Generation: subjects[0].Generation + 1, Decision: placement.Decision{Stack: s, Changes: changes}, At: time.Now()},
	})
	w.must(err)
}

func (w *world) stepper(store ports.Store, holder string) *drain.Stepper {
	w.reg = prometheus.NewRegistry()
	return drain.New(store, holder, time.Now, slog.New(slog.DiscardHandler), drain.NewMetrics(w.reg))
}

func (w *world) released() map[stack.ID]time.Time {
	w.Helper()
	all, err := w.store.Drains().Running(w.Context())
	w.must(err)
	return all[w.from].Released
}

// moving returns the released stacks that are not healthy elsewhere yet.
func (w *world) moving() []stack.ID {
	w.Helper()
	var out []stack.ID
	for s := range w.released() {
		places, err := w.store.Assignments().OfStack(w.Context(), s)
		w.must(err)
		well := false
		for _, p := range places {
			well = well || p.Agent == w.to && p.Status != nil && p.Status.Health == delivery.HealthHealthy
		}
		if !well {
			out = append(out, s)
		}
	}
	return out
}

// move brings a released stack to the other cluster; well says that the agent there reports it healthy.
func (w *world) move(s stack.ID, well bool) {
	w.Helper()
	w.commit(s, placement.Change{Agent: w.from, State: delivery.Removing, Object: w.objects[s]}, placement.Change{Agent: w.to, State: delivery.Assigned, Object: w.objects[s]})
	if well {
		w.well(s)
	}
}

func (w *world) well(s stack.ID) {
	w.Helper()
	o, err := w.store.Objects().Get(w.Context(), tenancy.Everything(), w.objects[s])
	w.must(err)
	_, err = w.store.Reports().Record(w.Context(), w.to, time.Now(), []delivery.Report{{
		Stack: s, Object: o.ID, Sequence: o.Sequence, Phase: delivery.PhaseApplied, Health: delivery.HealthHealthy, ObservedAt: time.Now(),
	}})
	w.must(err)
}

// want fails unless so many stacks were released, each told in one event.
func (w *world) want(what string, released int) {
	w.Helper()
	if got := len(w.released()); got != released {
		w.Errorf("%s: %d stacks are released, want %d", what, got, released)
	}
	if got := len(w.moving()); got > w.budget {
		w.Errorf("%s: %d stacks are on their way, where the budget is %d", what, got, w.budget)
	}
	all, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now(), 0, 1000)
	w.must(err)
	told := map[stack.ID]int{}
	for _, e := range all {
		if e.Type == event.AgentChanged && e.Data["change"] == "drain" && e.Agent == w.from {
			told[e.Stack]++
		}
	}
	for s, n := range told {
		if _, ok := w.released()[s]; !ok || n != 1 {
			w.Errorf("%s: stack %s is told %d times, released %v; want once", what, s, n, ok)
		}
	}
	if len(told) != released {
		w.Errorf("%s: %d stacks are told, want %d", what, len(told), released)
	}
}

// wantMetrics fails unless the last stepper tells so many clusters and stacks.
func (w *world) wantMetrics(when string, running, waiting, moving, released int) {
	w.Helper()
	want := fmt.Sprintf(`# HELP brokkr_drain_clusters Clusters that are drained, or have been and are not in use again.
# TYPE brokkr_drain_clusters gauge
brokkr_drain_clusters %d
# HELP brokkr_drain_released_total Stacks whose turn to leave has come.
# TYPE brokkr_drain_released_total counter
brokkr_drain_released_total %d
# HELP brokkr_drain_stacks Stacks of drains with a budget: waiting for their turn, or moving.
# TYPE brokkr_drain_stacks gauge
brokkr_drain_stacks{state="moving"} %d
brokkr_drain_stacks{state="waiting"} %d
`, running, released, moving, waiting)
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want)); err != nil {
		w.Errorf("%s: %v", when, err)
	}
}

func TestTheBudgetIsRespectedStepByStep(t *testing.T) {
	t.Parallel()
	in(t, 5, 2, func(w *world) {
		s := w.stepper(w.store, "me")
		w.must(s.Once(w.Context()))
		w.want("at first", 2)
		w.wantMetrics("at first", 1, 3, 2, 2)
		w.must(s.Once(w.Context()))
		w.want("while nothing has moved", 2)
		first := w.moving()
		w.move(first[0], false)
		w.must(s.Once(w.Context()))
		w.want("moved, and nothing is known of it there", 2)
		w.well(first[0])
		w.must(s.Once(w.Context()))
		w.want("one is well elsewhere", 3)
		for len(w.moving()) > 0 {
			for _, id := range w.moving() {
				w.move(id, true)
			}
			w.must(s.Once(w.Context()))
		}
		w.want("in the end", 5)
		w.must(s.Once(w.Context()))
		w.wantMetrics("in the end", 1, 0, 0, 5)
	})
}

// Whatever call fails, and a replica that is started anew after it, release nothing beyond the budget and lose nothing.
func TestACrashBetweenStepsLosesNothing(t *testing.T) {
	t.Parallel()
	for nth := 1; ; nth++ {
		failed := false
		in(t, 4, 1, func(w *world) {
			away := fault.New(fault.Unavailable, "unavailable", "away")
			broken := w.stepper(porttest.Faulty(w.store, nth, away), "me")
			for range 3 {
				if err := broken.Once(w.Context()); err != nil {
					if !errors.Is(err, away) {
						w.Fatalf("call %d: got %v, want %v", nth, err, away)
					}
					failed = true
					break
				}
				for _, id := range w.moving() {
					w.move(id, true)
				}
			}
			w.want(fmt.Sprintf("after a failure of call %d", nth), len(w.released()))
			next := w.stepper(w.store, "me") // it knows nothing of what was settled
			for range 5 {
				w.must(next.Once(w.Context()))
				w.want(fmt.Sprintf("after a failure of call %d and a restart", nth), len(w.released()))
				for _, id := range w.moving() {
					w.move(id, true)
				}
			}
			w.want("in the end", 4)
		})
		if t.Failed() {
			return
		}
		if !failed {
			if nth < 10 {
				t.Fatalf("only %d calls can fail, want several", nth-1)
			}
			return
		}
	}
}

// interrupted is a store with something that happens before each transaction.
type interrupted struct {
	ports.Store
	before func()
}

func (s interrupted) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	s.before()
	return s.Store.Write(ctx, fn)
}

// A replica that read under its lease, and stood still until another had it, writes nothing.
func TestALeaseLostInTheMiddleWritesNothing(t *testing.T) {
	t.Parallel()
	in(t, 4, 1, func(w *world) {
		late := 0
		slow := w.stepper(interrupted{w.store, func() {
			late++
			time.Sleep(time.Minute)
			w.must(w.stepper(w.store, "other").Once(w.Context()))
			w.want("the other has stepped", 1)
		}}, "slow")
		err := slow.Once(w.Context())
		if late != 1 || fault.CodeOf(err) != "lease_lost" {
			t.Errorf("step without the lease: got %v after %d transactions, want lease_lost", err, late)
		}
		w.want("the slow one wrote nothing", 1)
	})
}

func TestTwoReplicasTakeTurns(t *testing.T) {
	t.Parallel()
	in(t, 6, 1, func(w *world) {
		run := func(holder string) func() {
			ctx, cancel := context.WithCancel(w.Context())
			done := make(chan error, 1)
			s := w.stepper(w.store, holder)
			go func() { done <- s.Run(ctx) }()
			return func() {
				cancel()
				if err := <-done; err != nil {
					w.Errorf("%s ended with %v", holder, err)
				}
			}
		}
		stop := run("a")
		time.Sleep(time.Second)
		defer run("b")()
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				time.Sleep(time.Second)
				synctest.Wait()
				w.want("both run", len(w.released()))
				for _, id := range w.moving() {
					w.move(id, true)
				}
			}
		}
		pass(5 * time.Second)
		before := len(w.released())
		if before == 0 || before > 3 {
			w.Fatalf("after two rounds: %d stacks are released, want one a round", before)
		}
		stop() // dead in the middle
		pass(7 * time.Second)
		if got := len(w.released()); got != before {
			w.Errorf("while the dead one's lease is good: %d stacks are released, want %d", got, before)
		}
		pass(20 * time.Second)
		w.want("the other has taken over", 6)
	})
}
