package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// everything is the scope that sees all.
var everything = tenancy.Everything() //nolint:gochecknoglobals // constant

// errClosure is what failing closures return.
var errClosure = errors.New("the closure failed")

// world is one test's store with what the test puts into it.
type world struct {
	*testing.T
	ports.Store
	wakeups ports.Wakeups
	ctx     context.Context //nolint:containedctx // lives as long as the test
	at      time.Time       // a moment just past, as a store gives it
}

func newWorld(t *testing.T, store ports.Store, wakeups ports.Wakeups) *world {
	return &world{T: t, Store: store, wakeups: wakeups, ctx: t.Context(), at: time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)}
}

func newID[T ~string]() T { return T(uuid.NewString()) }

func (w *world) newGenerator(name string) tenancy.Generator {
	text := "about " + name
	return tenancy.Generator{
		ID: newID[tenancy.GeneratorID](), Name: name, Description: &text, Active: true,
		RegistrationPolicy: tenancy.PolicyApproval, CreatedAt: w.at, UpdatedAt: w.at,
	}
}

func (w *world) generator(name string) tenancy.Generator {
	w.Helper()
	g := w.newGenerator(name)
	wantNone(w.T, "insert generator", w.Generators().Insert(w.ctx, g))
	return g
}

func (w *world) newAgent(name string) agent.Agent {
	return agent.Agent{
		ID: newID[agent.ID](), Name: name, ClusterName: name + "-cluster", Status: agent.Active, Version: 1,
		CreatedAt: w.at, UpdatedAt: w.at,
	}
}

// agent stores a new agent and returns it as the store gives it.
func (w *world) agent(name string) agent.Agent {
	w.Helper()
	a := w.newAgent(name)
	wantNone(w.T, "insert agent", w.Agents().Insert(w.ctx, a))
	return w.seeAgent(a.ID)
}

func (w *world) seeAgent(id agent.ID) agent.Agent {
	w.Helper()
	a, err := w.Agents().Get(w.ctx, everything, id)
	wantNone(w.T, "get agent", err)
	return a
}

func (w *world) newStack(g tenancy.GeneratorID, name string) stack.Stack {
	text := "about " + name
	return stack.Stack{
		ID: newID[stack.ID](), Name: name, Description: &text, Generator: g, Version: 1, CreatedAt: w.at, UpdatedAt: w.at,
	}
}

func (w *world) stack(g tenancy.GeneratorID, name string) stack.Stack {
	w.Helper()
	s := w.newStack(g, name)
	wantNone(w.T, "insert stack", w.Stacks().Insert(w.ctx, s))
	return w.seeStack(s.ID)
}

func (w *world) seeStack(id stack.ID) stack.Stack {
	w.Helper()
	s, err := w.Stacks().Get(w.ctx, everything, id)
	wantNone(w.T, "get stack", err)
	return s
}

func (w *world) blob(content string) stack.Checksum {
	w.Helper()
	sum, err := w.Blobs().Put(w.ctx, []byte(content))
	wantNone(w.T, "put blob", err)
	return sum
}

func (w *world) newObject(s stack.ID, content string) stack.Object {
	w.Helper()
	return stack.Object{
		ID: newID[stack.ObjectID](), Stack: s, Checksum: w.blob(content), Size: int64(len(content)),
		Traceparent: traceparent, SubmittedAt: w.at, CreatedAt: w.at, UpdatedAt: w.at,
	}
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func (w *world) publish(s stack.ID, content string) stack.Object {
	w.Helper()
	o, err := w.Objects().Insert(w.ctx, w.newObject(s, content))
	wantNone(w.T, "insert object", err)
	return o
}

// consent registers the agent with the generator.
func (w *world) consent(a agent.ID, g tenancy.GeneratorID, s tenancy.RegistrationState) tenancy.Registration {
	w.Helper()
	r := tenancy.Registration{ID: newID[tenancy.RegistrationID](), Agent: a, Generator: g, State: s, RegisteredAt: w.at}
	wantNone(w.T, "insert registration", w.Registrations().Insert(w.ctx, r))
	return r
}

func (w *world) label(a agent.ID, text string) {
	w.Helper()
	wantNone(w.T, "label agent", w.Agents().AddLabel(w.ctx, agent.Label{ID: newID[agent.LabelID](), Agent: a, Label: text}))
}

func (w *world) target(a agent.ID, s stack.ID) {
	w.Helper()
	wantNone(w.T, "add target", w.Agents().AddTarget(w.ctx, agent.Target{ID: newID[agent.TargetID](), Agent: a, Stack: s}))
}

func (w *world) labelStack(s stack.ID, text string) {
	w.Helper()
	wantNone(w.T, "label stack", w.Stacks().AddLabel(w.ctx, stack.Label{ID: newID[stack.LabelID](), Stack: s, Label: text}))
}

func (w *world) subject(s stack.ID) placement.Subject {
	w.Helper()
	list, err := w.Facts().Subjects(w.ctx, []stack.ID{s})
	wantNone(w.T, "subjects", err)
	if len(list) != 1 {
		w.Fatalf("subjects: got %d for one stack, want one", len(list))
	}
	return list[0]
}

// lease takes the lease under which the test decides.
func (w *world) lease() ports.Lease {
	w.Helper()
	l, err := w.Leases().Acquire(w.ctx, "shard-0", "the test", time.Minute)
	wantNone(w.T, "acquire lease", err)
	return l
}

// decision returns a commit that rests on what the store says now.
func (w *world) decision(s stack.ID, changes ...placement.Change) ports.Commit {
	w.Helper()
	now := w.subject(s)
	d := placement.Decision{Stack: s, Changes: changes}
	for _, c := range changes {
		d.Verdicts = append(d.Verdicts, placement.Verdict{
			Agent: c.Agent, Cluster: "a cluster", Picked: c.State == delivery.Assigned,
			Reasons: []placement.Reason{{Rule: placement.RuleTarget, Message: c.Reason}},
			Scores:  []placement.Score{{Name: "balance", Observed: "2 stacks", Weight: 1, Points: 88}},
			Spread:  []placement.Fullness{{By: "annotation.region", Domain: "eu", Picked: 1}},
		})
	}
	return ports.Commit{
		Lease: w.lease(), Stack: s, StackVersion: now.Version, Generation: now.Generation, Policy: now.Policy, Changes: changes,
		Record: placement.Record{
			Stack: s, Generation: now.Generation + 1, Decision: d, Cause: string(event.DeploymentCreated),
			Traceparent: traceparent, At: w.at,
		},
	}
}

// decide commits the changes and returns the new revisions.
func (w *world) decide(s stack.ID, changes ...placement.Change) map[agent.ID]delivery.Revision {
	w.Helper()
	revisions, err := w.Decisions().Commit(w.ctx, w.decision(s, changes...))
	wantNone(w.T, "commit decision", err)
	return revisions
}

// assign returns the change that gives the object to the agent as it is now.
func (w *world) assign(a agent.ID, o stack.Object) placement.Change {
	w.Helper()
	return placement.Change{Agent: a, State: delivery.Assigned, Object: o.ID, Reason: "pinned", Version: w.seeAgent(a).Version}
}

// remove returns the change that takes the stack from the agent as it is now.
func (w *world) remove(a agent.ID, o stack.Object) placement.Change {
	w.Helper()
	return placement.Change{Agent: a, State: delivery.Removing, Object: o.ID, Reason: "moved", Version: w.seeAgent(a).Version}
}

// placed is a stack with one object that is assigned to some agents.
type placed struct {
	generator tenancy.Generator
	stack     stack.Stack
	object    stack.Object
	agents    []agent.Agent
}

// place makes n agents with consent and a stack that is assigned to all of them.
func (w *world) place(n int) placed {
	w.Helper()
	p := placed{generator: w.generator("team-" + uuid.NewString()[:8])}
	p.stack = w.stack(p.generator.ID, "web")
	p.object = w.publish(p.stack.ID, "kind: ConfigMap # "+string(p.stack.ID))
	var changes []placement.Change
	for i := range n {
		a := w.agent(fmt.Sprintf("agent-%d-%s", i, uuid.NewString()[:8]))
		w.consent(a.ID, p.generator.ID, tenancy.RegistrationApproved)
		p.agents = append(p.agents, w.seeAgent(a.ID))
		changes = append(changes, w.assign(a.ID, p.object))
	}
	if n > 0 {
		w.decide(p.stack.ID, changes...)
	}
	return p
}

// held returns the agent's revision and assignments by stack.
func (w *world) held(a agent.ID) (delivery.Revision, map[stack.ID]delivery.Wanted) {
	w.Helper()
	rev, list, err := w.Assignments().OfAgent(w.ctx, a)
	wantNone(w.T, "assignments of agent", err)
	out := map[stack.ID]delivery.Wanted{}
	for _, x := range list {
		out[x.Stack] = x
	}
	return rev, out
}

// report returns a report of the agent's work on the object.
func (w *world) report(o stack.Object, p delivery.Phase, h delivery.Health) delivery.Report {
	return delivery.Report{Stack: o.Stack, Object: o.ID, Sequence: o.Sequence, Phase: p, Health: h, Message: "as told", ObservedAt: w.at}
}

func (w *world) newEvent(name string) event.Event {
	return event.Event{ID: uuid.NewString(), Type: event.StackChanged, Data: map[string]any{"name": name}, Traceparent: traceparent, At: w.at}
}
