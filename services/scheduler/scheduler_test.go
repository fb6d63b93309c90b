package scheduler_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// fleet is a store with one generator and a few agents, and what is needed to change it.
type fleet struct {
	t     *testing.T
	store *memory.Store
	sig   ports.Signals
	team  tenancy.GeneratorID
	tel   *telemetry.Telemetry // of the replica that started last
}

// seen returns how many values a histogram of the replica that started last has.
func (f *fleet) seen(name string) (n uint64) {
	f.t.Helper()
	families, err := f.tel.Registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			n += family.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return n
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, store: memory.New(time.Now), sig: memory.NewSignals(), team: tenancy.GeneratorID(uuid.NewString())}
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		return tx.Generators().Insert(ctx, tenancy.Generator{ID: f.team, Name: "team", Active: true, RegistrationPolicy: tenancy.PolicyOpen, CreatedAt: time.Now(), UpdatedAt: time.Now()})
	})
	return f
}

func (f *fleet) write(fn func(context.Context, ports.Repositories) error) {
	f.t.Helper()
	if err := f.store.Write(f.t.Context(), fn); err != nil {
		f.t.Fatalf("set up: %v", err)
	}
}

func (f *fleet) agent(name string, labels ...string) agent.ID {
	id := agent.ID(uuid.NewString())
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		now := time.Now()
		if err := tx.Agents().Insert(ctx, agent.Agent{ID: id, Name: name, ClusterName: name, Status: agent.Active, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		if err := tx.Registrations().Insert(ctx, tenancy.Registration{ID: tenancy.RegistrationID(uuid.NewString()), Agent: id, Generator: f.team, State: tenancy.RegistrationApproved, RegisteredAt: now}); err != nil {
			return err
		}
		for _, l := range labels {
			if err := tx.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(uuid.NewString()), Agent: id, Label: l}); err != nil {
				return err
			}
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentRegistered, Agent: id, At: now})
	})
	return id
}

func (f *fleet) stack(name string, labels ...string) stack.ID {
	id := stack.ID(uuid.NewString())
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		now := time.Now()
		if err := tx.Stacks().Insert(ctx, stack.Stack{ID: id, Name: name, Generator: f.team, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		for _, l := range labels {
			if err := tx.Stacks().AddLabel(ctx, stack.Label{ID: stack.LabelID(uuid.NewString()), Stack: id, Label: l}); err != nil {
				return err
			}
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackCreated, Stack: id, At: now})
	})
	return id
}

func (f *fleet) publish(s stack.ID, content string) stack.ObjectID {
	id := stack.ObjectID(uuid.NewString())
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		sum, err := tx.Blobs().Put(ctx, []byte(content))
		if err != nil {
			return err
		}
		now := time.Now()
		if _, err := tx.Objects().Insert(ctx, stack.Object{ID: id, Stack: s, Checksum: sum, Size: int64(len(content)), SubmittedAt: now, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.DeploymentCreated, Stack: s, Object: id, At: now,
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
	})
	return id
}

func (f *fleet) unlabel(a agent.ID, label string) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Agents().RemoveLabel(ctx, a, label); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: a, At: time.Now()})
	})
}

// start runs a scheduler replica until the returned function is called.
func (f *fleet) start(store ports.Store) (stop func()) {
	f.t.Helper()
	tel, err := telemetry.New(f.t.Context(), telemetry.Config{Service: "scheduler", Output: io.Discard})
	if err != nil {
		f.t.Fatal(err)
	}
	f.tel = tel
	s, err := scheduler.New(f.t.Context(), scheduler.Defaults(), scheduler.Deps{Store: store, Wakeups: f.store, Signals: f.sig, Telemetry: tel, Clock: time.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("scheduler ended with %v", err)
		}
	}
}

func (f *fleet) assignments(s stack.ID) map[agent.ID]delivery.Assignment {
	f.t.Helper()
	list, err := f.store.Assignments().OfStack(f.t.Context(), s)
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[agent.ID]delivery.Assignment{}
	for _, w := range list {
		out[w.Agent] = w.Assignment
	}
	return out
}

func settle() { time.Sleep(5 * time.Second); synctest.Wait() }

func TestPublishUpdateRelabelDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		defer stop()
		heard, err := f.sig.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settle() // the replica has its shards
		a, b := f.agent("a", "prod"), f.agent("b", "prod")
		f.agent("other", "test")
		s := f.stack("web", "prod")
		o1 := f.publish(s, "one")
		synctest.Wait() // a wakeup suffices: no time passes
		got := f.assignments(s)
		if len(got) != 2 || got[a].Object != o1 || got[b].Object != o1 {
			t.Fatalf("after publishing: %+v, want object %s on a and b", got, o1)
		}
		if tp := got[a].Traceparent; len(tp) < 35 || tp[3:35] != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("traceparent of the assignment = %q, want the publishing trace", tp)
		}
		signalled := map[agent.ID]delivery.Revision{}
		for more := true; more; {
			select {
			case batch := <-heard:
				for _, x := range batch {
					signalled[x.Agent] = x.Revision
				}
			default:
				more = false
			}
			synctest.Wait()
		}
		if signalled[a] != 1 || signalled[b] != 1 || len(signalled) != 2 {
			t.Errorf("signals = %v, want revision 1 of a and b", signalled)
		}
		o2 := f.publish(s, "two")
		synctest.Wait()
		if got := f.assignments(s); got[a].Object != o2 || got[a].Revision != 2 {
			t.Fatalf("after the update: %+v, want object %s in revision 2", got[a], o2)
		}
		if got := f.seen("brokkr_scheduler_publish_to_decision_seconds"); got != 2 {
			t.Errorf("decisions whose way was measured: got %d, want one for each object", got)
		}
		f.unlabel(b, "prod")
		synctest.Wait()
		if got := f.assignments(s); got[b].State != delivery.Removing || got[b].Reason == "" || got[a].State != delivery.Assigned {
			t.Fatalf("after relabelling b: %+v, want a tombstone with a reason on b alone", got)
		}
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().Delete(ctx, s, time.Now()); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackDeleted, Stack: s, At: time.Now()})
		})
		synctest.Wait()
		if got := f.assignments(s); got[a].State != delivery.Removing || got[b].State != delivery.Removing {
			t.Fatalf("after deleting the stack: %+v, want tombstones", got)
		}
	})
}

// Lessons 21-25: a restart, a lost wakeup, and an outage of the store neither lose nor repeat anything.
func TestRestartWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		stop := f.start(f.store)
		settle()
		stop()
		before, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || f.assignments(s)[a].State != delivery.Assigned {
			t.Fatalf("published before the start: %v, %+v", err, f.assignments(s))
		}
		defer f.start(f.store)()
		time.Sleep(20 * time.Minute) // resyncs included
		synctest.Wait()
		after, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || after.Generation != before.Generation {
			t.Fatalf("generation after a restart and resyncs = %d (%v), want %d still", after.Generation, err, before.Generation)
		}
	})
}

// stale answers the first bulk read of clusters after spoil with facts from before.
type stale struct {
	ports.Store
	old *[]placement.Cluster
}

func (s stale) Facts() ports.Facts { return staleFacts{s.Store.Facts(), s.old} }

type staleFacts struct {
	ports.Facts
	old *[]placement.Cluster
}

func (s staleFacts) Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error) {
	if ids == nil && *s.old != nil {
		old := *s.old
		*s.old = nil
		return old, nil
	}
	return s.Facts.Clusters(ctx, ids)
}

// A replica with a stale snapshot can remove nothing: its commit rests on versions that have moved on.
func TestStaleSnapshotRemovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		f.publish(s, "one")
		stop := f.start(f.store)
		settle()
		stop()
		old, err := f.store.Facts().Clusters(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		old[0].Labels, old[0].Version = nil, old[0].Version-1 // as it was before its label
		defer f.start(stale{f.store, &old})()
		settle()
		if old != nil {
			t.Fatal("the stale facts were not read")
		}
		if got := f.assignments(s)[a]; got.State != delivery.Assigned {
			t.Fatalf("assignment = %+v, want it to stand", got)
		}
	})
}

func TestReplicasShareAndTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.agent("a", "prod")
		stopOne := f.start(f.store)
		stopTwo := f.start(f.store)
		defer stopTwo()
		settle()
		settle()
		leases, err := f.store.Leases().List(t.Context(), "scheduler/shard/")
		if err != nil {
			t.Fatal(err)
		}
		holders := map[string]int{}
		for _, l := range leases {
			holders[l.Holder]++
		}
		if len(leases) != 16 || len(holders) != 2 {
			t.Fatalf("shards = %v, want 16 shared by two", holders)
		}
		var stacks []stack.ID
		for i := range 20 {
			s := f.stack(fmt.Sprint("s", i), "prod")
			f.publish(s, "x")
			stacks = append(stacks, s)
		}
		settle()
		stopOne()
		for i := range 20 {
			s := f.stack(fmt.Sprint("t", i), "prod")
			f.publish(s, "x")
			stacks = append(stacks, s)
		}
		settle()
		settle()
		for _, s := range stacks {
			if got := f.assignments(s); len(got) != 1 {
				t.Errorf("stack %s has %d assignments, want 1", s, len(got))
			}
			rec, _, err := f.store.Decisions().Latest(t.Context(), s)
			if err != nil || rec.Generation != 1 {
				t.Errorf("stack %s was decided %d times (%v), want once", s, rec.Generation, err)
			}
		}
	})
}

// outage is a store that is away while it is told so.
type outage struct {
	ports.Store
	away *atomic.Bool
}

func (o outage) Outbox() ports.Outbox { return outageOutbox{o.Store.Outbox(), o.away} }
func (o outage) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	if o.away.Load() {
		return fault.New(fault.Unavailable, "database_unavailable", "the database is away")
	}
	return o.Store.Write(ctx, fn)
}

type outageOutbox struct {
	ports.Outbox
	away *atomic.Bool
}

func (o outageOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gap time.Duration, n int) ([]event.Event, ports.Cursor, error) {
	if o.away.Load() {
		return nil, c, fault.New(fault.Unavailable, "database_unavailable", "the database is away")
	}
	return o.Outbox.Read(ctx, c, now, gap, n)
}

func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var away atomic.Bool
		defer f.start(outage{f.store, &away})()
		a := f.agent("a", "prod")
		settle()
		away.Store(true)
		synctest.Wait()
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		if got := f.assignments(s); len(got) != 0 {
			t.Fatalf("assigned during the outage: %+v", got)
		}
		away.Store(false)
		settle()
		if got := f.assignments(s); got[a].State != delivery.Assigned {
			t.Fatalf("after the outage: %+v, want the assignment", got)
		}
	})
}

func TestMassRemovalWaitsForApproval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		var agents []agent.ID
		for i := range 6 {
			agents = append(agents, f.agent(fmt.Sprint("a", i), "prod"))
		}
		s := f.stack("web", "prod")
		f.publish(s, "one")
		settle()
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Stacks().RemoveLabel(ctx, s, "prod"); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
		})
		settle()
		_, hold, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || hold == nil || len(hold.Removes) != len(agents) {
			t.Fatalf("hold = %+v (%v), want all %d removals held", hold, err, len(agents))
		}
		for a, x := range f.assignments(s) {
			if x.State != delivery.Assigned {
				t.Fatalf("%s: %+v, want nothing removed before the approval", a, x)
			}
		}
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Decisions().Approve(ctx, s, hold.Fingerprint); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.PlacementApproved, Stack: s, At: time.Now()})
		})
		settle()
		for a, x := range f.assignments(s) {
			if x.State != delivery.Removing {
				t.Errorf("%s: %+v, want a tombstone after the approval", a, x)
			}
		}
	})
}

func TestConfigReportsEveryProblem(t *testing.T) {
	t.Parallel()
	err := scheduler.Config{}.Validate()
	if err == nil {
		t.Fatal("an empty configuration is valid")
	}
	for _, key := range []string{"scheduler.shards", "scheduler.lease_ttl", "scheduler.poll", "scheduler.resync", "scheduler.brake_share"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not name %s", err, key)
		}
	}
	c := scheduler.Defaults()
	if c.UnreachableAfter = time.Minute; c.Validate() == nil {
		t.Error("agents that have nothing to do would be taken for unreachable: nothing says so")
	}
}

// away are signals that cannot be sent for a while.
type away struct {
	ports.Signals
	now atomic.Bool
}

func (s *away) Publish(ctx context.Context, batch []ports.Signal) error {
	if s.now.Load() {
		return fault.New(fault.Unavailable, "unavailable", "away")
	}
	return s.Signals.Publish(ctx, batch)
}

func TestSignalsThatCouldNotBeSentAreSentLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		line := &away{Signals: f.sig}
		f.sig = line
		stop := f.start(f.store)
		defer stop()
		settle()
		heard, err := line.Signals.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if batch := <-heard; batch != nil {
			t.Fatalf("first batch = %v, want nil", batch)
		}
		a := f.agent("a", "prod")
		s := f.stack("web", "prod")
		line.now.Store(true)
		f.publish(s, "one")
		synctest.Wait()
		f.publish(s, "two")
		settle()
		line.now.Store(false)
		settle()
		select {
		case batch := <-heard:
			if len(batch) != 1 || batch[0] != (ports.Signal{Agent: a, Revision: 2}) {
				t.Errorf("signals = %v, want the newest revision, 2, of the agent", batch)
			}
		default:
			t.Error("no signal came when they could be sent again")
		}
		settle()
		select {
		case batch := <-heard:
			t.Errorf("signals = %v came again", batch)
		default:
		}
	})
}
