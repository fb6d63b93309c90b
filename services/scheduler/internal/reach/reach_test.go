package reach_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/ports/porttest"
	"github.com/colliery-io/brokkr/services/scheduler/internal/reach"
)

const after = time.Minute

type world struct {
	*testing.T
	store  *memory.Store
	agents []agent.ID
	reg    *prometheus.Registry
}

// in runs a test with n agents whose time is the bubble's.
func in(t *testing.T, n int, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, store: memory.New(time.Now), reg: prometheus.NewRegistry()}
		for i := range n {
			a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: fmt.Sprint("a", i), ClusterName: "c", Status: agent.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
			w.must(w.store.Agents().Insert(t.Context(), a))
			w.agents = append(w.agents, a.ID)
		}
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) sweep(store ports.Store, holder string) *reach.Sweep {
	return reach.New(store, holder, after, cluster.Caution{Share: 0.3, Floor: 3, Wait: 2 * time.Minute}, time.Now, slog.New(slog.DiscardHandler), reach.NewMetrics(w.reg))
}

// pass lets d pass, with heartbeats of these agents and a look every five seconds.
func (w *world) pass(s *reach.Sweep, d time.Duration, heard ...agent.ID) {
	w.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Second) {
		beats := make([]agent.Heartbeat, len(heard))
		for i, a := range heard {
			beats[i] = agent.Heartbeat{Agent: a, At: time.Now()}
		}
		w.must(w.store.Agents().Beat(w.Context(), beats))
		w.must(s.Once(w.Context()))
	}
}

func (w *world) marked() int {
	w.Helper()
	all, err := w.store.Clusters().Known(w.Context(), tenancy.Everything(), nil)
	w.must(err)
	n := 0
	for _, k := range all {
		if k.UnreachableSince != nil {
			n++
		}
	}
	return n
}

func (w *world) want(what string, marked, events int) {
	w.Helper()
	if got := w.marked(); got != marked {
		w.Errorf("%s: %d agents are marked, want %d", what, got, marked)
	}
	all, _, err := w.store.Outbox().Read(w.Context(), ports.Cursor{}, time.Now(), 0, 1000)
	w.must(err)
	for _, e := range all {
		if e.Type != event.AgentChanged || e.Agent == "" {
			w.Errorf("%s: event %+v, want changes of agents alone", what, e)
		}
	}
	if len(all) != events {
		w.Errorf("%s: %d events, want %d: on transitions only", what, len(all), events)
	}
}

func (w *world) metric(name string, want float64) {
	w.Helper()
	got, err := testutil.GatherAndCount(w.reg, name)
	w.must(err)
	families, err := w.reg.Gather()
	w.must(err)
	for _, f := range families {
		if f.GetName() == name && f.GetMetric()[0].GetGauge().GetValue() != want {
			w.Errorf("%s: got %v, want %v", name, f.GetMetric()[0].GetGauge().GetValue(), want)
		}
	}
	if got == 0 {
		w.Errorf("%s is not there", name)
	}
}

func TestOneFallsSilentAndComesBack(t *testing.T) {
	t.Parallel()
	in(t, 5, func(w *world) {
		s := w.sweep(w.store, "me")
		w.pass(s, 3*time.Minute, w.agents...)
		w.want("all are heard", 0, 0)
		last := time.Now().Add(-5 * time.Second).UTC()
		w.pass(s, after, w.agents[1:]...)
		w.want("within the threshold", 0, 0)
		w.pass(s, 10*time.Minute, w.agents[1:]...)
		w.want("silent", 1, 1)
		w.metric("brokkr_scheduler_unreachable_agents", 1)
		all, err := w.store.Clusters().Known(w.Context(), tenancy.Everything(), w.agents[:1])
		w.must(err)
		if got := all[w.agents[0]].UnreachableSince; got == nil || !got.Equal(last) {
			w.Errorf("unreachable since %v, want since its last heartbeat at %s", got, last)
		}
		w.pass(s, time.Minute, w.agents...)
		w.want("heard again", 0, 2)
		w.metric("brokkr_scheduler_unreachable_agents", 0)
	})
}

func TestManyAtOnceAreDoubtedAndThenBelieved(t *testing.T) {
	t.Parallel()
	in(t, 10, func(w *world) {
		s := w.sweep(w.store, "me")
		w.pass(s, 3*time.Minute, w.agents...)
		w.pass(s, after+time.Minute, w.agents[:2]...)
		w.want("while it is doubted", 0, 0)
		w.metric("brokkr_scheduler_agents_outage", 1)
		w.pass(s, 2*time.Minute, w.agents[:2]...)
		w.want("believed", 8, 8)
	})
	in(t, 10, func(w *world) {
		s := w.sweep(w.store, "me")
		w.pass(s, 3*time.Minute, w.agents...)
		w.pass(s, after+time.Minute)
		w.pass(s, 5*time.Minute, w.agents...)
		w.want("all came back in time", 0, 0)
		w.metric("brokkr_scheduler_agents_outage", 0)
	})
}

// A store that was away has not heard anybody: nobody is marked for it, not even in a fleet of one.
func TestAnOutageOfTheStoreMarksNobody(t *testing.T) {
	t.Parallel()
	in(t, 1, func(w *world) {
		first := w.sweep(w.store, "me")
		w.pass(first, 3*time.Minute, w.agents...)
		time.Sleep(10 * time.Minute) // nothing is stored meanwhile
		w.reg = prometheus.NewRegistry()
		away := fault.New(fault.Unavailable, "unavailable", "away")
		s := w.sweep(porttest.Faulty(w.store, 4, away), "me") // the fourth call is the second look
		w.must(s.Once(w.Context()))
		if err := s.Once(w.Context()); !errors.Is(err, away) {
			t.Fatalf("look: got %v, want %v", err, away)
		}
		time.Sleep(after - time.Second)
		w.must(s.Once(w.Context())) // looks again, and trusts nothing yet
		w.want("just back", 0, 0)
		w.pass(s, 3*time.Minute, w.agents...)
		w.want("the heartbeats that waited are stored", 0, 0)
		w.pass(s, 3*time.Minute)
		w.want("and then it falls silent indeed", 1, 1)
	})
}

func TestOneReplicaLooks(t *testing.T) {
	t.Parallel()
	in(t, 4, func(w *world) {
		s := w.sweep(w.store, "me")
		w.reg = prometheus.NewRegistry()
		other := w.sweep(w.store, "other")
		w.pass(s, 2*time.Minute, w.agents...)
		for range 100 {
			time.Sleep(5 * time.Second)
			_, err := w.store.Leases().Acquire(w.Context(), "scheduler/reachability", "me", 25*time.Second)
			w.must(err)
			w.must(other.Once(w.Context()))
		}
		w.want("the one without the lease", 0, 0)
		ctx := w.Context()
		done := make(chan error, 1)
		go func() { done <- other.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		w.want("it takes over, doubts, and believes", 4, 4)
	})
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

func TestALeaseLostInTheMiddleMarksNobody(t *testing.T) {
	t.Parallel()
	in(t, 1, func(w *world) {
		taken := false
		s := w.sweep(interrupted{w.store, func() {
			w.must(w.store.Leases().Release(w.Context(), "scheduler/reachability", "me"))
			_, err := w.store.Leases().Acquire(w.Context(), "scheduler/reachability", "other", time.Hour)
			w.must(err)
			taken = true
		}}, "me")
		w.pass(s, 3*time.Minute, w.agents...)
		for !taken {
			time.Sleep(5 * time.Second)
			if err := s.Once(w.Context()); err != nil && fault.CodeOf(err) != "lease_lost" {
				t.Fatalf("look: got %v, want lease_lost", err)
			}
		}
		w.want("without the lease", 0, 0)
	})
}
