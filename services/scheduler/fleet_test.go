package scheduler_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// fleet is a store with one generator and a few agents, and what is needed to change it.
type fleet struct {
	t      *testing.T
	store  *memory.Store
	sig    ports.Signals
	team   tenancy.GeneratorID
	rings  ports.Wakeups
	config scheduler.Config     // of the replicas that start from now on
	tel    *telemetry.Telemetry // of the replica that started last
	ahead  atomic.Int64         // how far the replicas' clocks are ahead, as a time.Duration
	newID  func() string        // of what is made
	before func()               // each write
}

func (f *fleet) clock() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

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
	return newFleetOf(t, uuid.NewString, func() {})
}

// newFleetOf is newFleet with ids of its own, and with what is done before each write of the test itself.
func newFleetOf(t *testing.T, newID func() string, before func()) *fleet {
	t.Helper()
	f := &fleet{t: t, store: memory.New(time.Now), sig: memory.NewSignals(), team: tenancy.GeneratorID(newID()), config: scheduler.Defaults(), newID: newID, before: before}
	f.rings = f.store
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		return tx.Generators().Insert(ctx, tenancy.Generator{ID: f.team, Name: "team", Active: true, RegistrationPolicy: tenancy.PolicyOpen, CreatedAt: time.Now(), UpdatedAt: time.Now()})
	})
	return f
}

// working is a new fleet with a replica that has taken its shards.
func working(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t)
	t.Cleanup(f.start(f.store))
	settle()
	return f
}

// sharing is a new fleet with two replicas that share the shards.
func sharing(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t)
	for range 2 {
		t.Cleanup(f.start(f.store))
	}
	time.Sleep(30 * time.Second)
	return f
}

func (f *fleet) write(fn func(context.Context, ports.Repositories) error) {
	f.t.Helper()
	f.before()
	if err := f.store.Write(f.t.Context(), fn); err != nil {
		f.t.Fatalf("set up: %v", err)
	}
}

func (f *fleet) agent(name string, labels ...string) agent.ID {
	id := agent.ID(f.newID())
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		now := time.Now()
		if err := tx.Agents().Insert(ctx, agent.Agent{ID: id, Name: name, ClusterName: name, Status: agent.Active, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		if err := tx.Registrations().Insert(ctx, tenancy.Registration{ID: tenancy.RegistrationID(f.newID()), Agent: id, Generator: f.team, State: tenancy.RegistrationApproved, RegisteredAt: now}); err != nil {
			return err
		}
		for _, l := range labels {
			if err := tx.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(f.newID()), Agent: id, Label: l}); err != nil {
				return err
			}
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentRegistered, Agent: id, At: now})
	})
	return id
}

func (f *fleet) stack(name string, labels ...string) stack.ID {
	id := stack.ID(f.newID())
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		now := time.Now()
		if err := tx.Stacks().Insert(ctx, stack.Stack{ID: id, Name: name, Generator: f.team, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		for _, l := range labels {
			if err := tx.Stacks().AddLabel(ctx, stack.Label{ID: stack.LabelID(f.newID()), Stack: id, Label: l}); err != nil {
				return err
			}
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackCreated, Stack: id, At: now})
	})
	return id
}

func (f *fleet) publish(s stack.ID, content string) stack.ObjectID {
	id := stack.ObjectID(f.newID())
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

func (f *fleet) unlabelStack(s stack.ID, label string) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Stacks().RemoveLabel(ctx, s, label); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.StackChanged, Stack: s, At: time.Now()})
	})
}

// approve lets a held decision happen.
func (f *fleet) approve(s stack.ID) {
	f.t.Helper()
	_, hold, err := f.store.Decisions().Latest(f.t.Context(), s)
	if err != nil {
		f.t.Fatal(err)
	}
	if hold == nil {
		return
	}
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Decisions().Approve(ctx, s, hold.Fingerprint); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.PlacementApproved, Stack: s, At: time.Now()})
	})
}

// start runs a scheduler replica until the returned function is called.
func (f *fleet) start(store ports.Store) (stop func()) {
	f.t.Helper()
	return f.startIn(f.t.Context(), scheduler.Deps{Store: store, Clock: f.clock})
}

// startIn is start until ctx ends, of a replica that has what it is given.
func (f *fleet) startIn(ctx context.Context, d scheduler.Deps) (stop func()) {
	f.t.Helper()
	tel, err := telemetry.New(f.t.Context(), telemetry.Config{Service: "scheduler", Output: io.Discard})
	if err != nil {
		f.t.Fatal(err)
	}
	f.tel = tel
	d.Wakeups, d.Signals, d.Telemetry = f.rings, f.sig, tel
	s, err := scheduler.New(f.t.Context(), f.config, d)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
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
