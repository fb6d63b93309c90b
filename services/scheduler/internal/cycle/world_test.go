package cycle

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// told is what a store says of stacks, and of which it was asked for the assignments.
type told struct {
	ports.Facts
	subjects map[stack.ID]placement.Subject
	priors   map[stack.ID]placement.Prior
	clusters []placement.Cluster
	asked    []stack.ID
}

func (f *told) Clusters(context.Context, []agent.ID) ([]placement.Cluster, error) {
	return f.clusters, nil
}

func (f *told) Subjects(_ context.Context, ids []stack.ID) (out []placement.Subject, _ error) {
	for _, id := range ids {
		if s, ok := f.subjects[id]; ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func (f *told) Prior(_ context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error) {
	f.asked = append(f.asked, ids...)
	out := map[stack.ID]placement.Prior{}
	for _, id := range ids {
		if p, ok := f.priors[id]; ok {
			out[id] = p
		}
	}
	return out, nil
}

// A policy that reaches thousands of stacks does not move them: their assignments are read only of those that somebody has decided about
// meanwhile, and go with those that are gone.
func TestAPolicyAloneReadsNoAssignments(t *testing.T) {
	t.Parallel()
	at := func(object stack.ObjectID) placement.Prior {
		return placement.Prior{"a": {Agent: "a", Object: object, State: delivery.Assigned}}
	}
	f := &told{subjects: map[stack.ID]placement.Subject{}, priors: map[stack.ID]placement.Prior{}}
	w := empty().world
	for _, id := range []stack.ID{"ruled", "decided", "gone"} {
		f.subjects[id], f.priors[id] = placement.Subject{Stack: id, Generation: 1}, at("o1")
	}
	if err := w.refreshStacks(t.Context(), f, []stack.ID{"ruled", "decided", "gone"}); err != nil {
		t.Fatal(err)
	}
	f.asked = nil
	ref := &policy.Ref{ID: "p", Revision: 2}
	f.subjects["ruled"], f.subjects["decided"] = placement.Subject{Stack: "ruled", Generation: 1, Policy: ref}, placement.Subject{Stack: "decided", Generation: 2, Policy: ref}
	f.priors["decided"] = at("o2")
	delete(f.subjects, "gone")
	delete(f.priors, "gone")
	if err := w.refreshSubjects(t.Context(), f, []stack.ID{"ruled", "decided", "gone"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stack.ID{"decided", "gone"}, f.asked); diff != "" {
		t.Errorf("asked for the assignments of (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(f.priors, w.priors); diff != "" {
		t.Errorf("assignments (-in the store +known):\n%s", diff)
	}
	if diff := cmp.Diff(f.subjects, w.subjects); diff != "" {
		t.Errorf("stacks (-in the store +known):\n%s", diff)
	}
	if w.assigned != 2 || len(w.holdings["a"]) != 2 {
		t.Errorf("%d are assigned, %d to the cluster, want 2", w.assigned, len(w.holdings["a"]))
	}
	if len(w.index.policies["p"]) != 2 {
		t.Errorf("the policy reaches %d stacks, want 2", len(w.index.policies["p"]))
	}
}

// After a race that was lost a stack is read again, with what another replica has given it: its room is promised from then on, also where
// the assignments that were read are newer than the stack.
func TestWhatOthersGaveIsPromisedWhenItIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, generation := range []int64{1, 2} {
		ref := &policy.Ref{ID: "p", Revision: 1}
		f := &told{subjects: map[stack.ID]placement.Subject{"s": {Stack: "s", Generation: 1, Policy: ref}}, priors: map[stack.ID]placement.Prior{}, clusters: []placement.Cluster{{Agent: "a"}}}
		e := empty()
		e.store = nothingElse{facts: f}
		e.know(policy.Policy{ID: "p", Revision: 1, Document: policy.Document{Name: "p", Requires: &policy.Requirements{CPU: "3"}}})
		if err := e.world.refreshClusters(t.Context(), f, []agent.ID{"a"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := e.world.refreshStacks(t.Context(), f, []stack.ID{"s"}); err != nil {
			t.Fatal(err)
		}
		f.subjects["s"] = placement.Subject{Stack: "s", Generation: generation, Policy: ref}
		f.priors["s"] = placement.Prior{"a": {Agent: "a", State: delivery.Assigned, Placed: time.Now()}}
		if err := e.readAgain(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		if got := e.world.clusters["a"].Assumed.CPU; got != 3000 {
			t.Errorf("read in generation %d: %d millicores are promised of the cluster, want 3000", generation, got)
		}
	}
}

// noPolicies is a store that is away when policies are read.
type noPolicies struct{ nothingElse }

func (noPolicies) Policies() ports.Policies { return awayPolicies{} }

type awayPolicies struct{ ports.Policies }

func (awayPolicies) Live(context.Context, []policy.ID) ([]policy.Policy, error) { return nil, errAway }

// What another replica decided and is known, but was not heeded, is heeded with everything else.
func TestADecisionThatWasNotHeededTearsTheSnapshot(t *testing.T) {
	t.Parallel()
	f := &told{subjects: map[stack.ID]placement.Subject{"s": {Stack: "s", Generation: 2, Policy: &policy.Ref{ID: "p", Revision: 1}}}, priors: map[stack.ID]placement.Prior{}}
	e := empty()
	e.store = noPolicies{nothingElse{facts: f}}
	e.world.put(placement.Subject{Stack: "s", Generation: 1})
	if err := e.readAgain(t.Context(), "s"); !fault.Is(err, fault.Unavailable) || !e.torn {
		t.Errorf("got %v, torn: %t; want that the store is away, and a snapshot that is read anew", err, e.torn)
	}
}

// What was assigned to an agent that is gone went with it: neither brakes nor counts know it any longer.
func TestWhatWasAssignedGoesWithItsAgent(t *testing.T) {
	t.Parallel()
	assigned := func(agents ...agent.ID) placement.Prior {
		p := placement.Prior{}
		for _, a := range agents {
			p[a] = delivery.Assignment{Agent: a, State: delivery.Assigned}
		}
		return p
	}
	leaving := assigned("a", "b")
	leaving["a"] = delivery.Assignment{Agent: "a", State: delivery.Removing}
	f := &told{subjects: map[stack.ID]placement.Subject{"s": {Stack: "s"}, "t": {Stack: "t"}, "u": {Stack: "u"}},
		priors: map[stack.ID]placement.Prior{"s": assigned("a", "b"), "t": leaving, "u": assigned("b")}, clusters: []placement.Cluster{{Agent: "a"}, {Agent: "b"}}}
	w := empty().world
	if err := w.refreshClusters(t.Context(), f, []agent.ID{"a", "b"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.refreshStacks(t.Context(), f, []stack.ID{"s", "t", "u"}); err != nil {
		t.Fatal(err)
	}
	f.clusters = nil
	if err := w.refreshClusters(t.Context(), f, []agent.ID{"a"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := map[stack.ID]placement.Prior{"s": assigned("b"), "t": assigned("b"), "u": assigned("b")}
	if diff := cmp.Diff(want, w.priors); diff != "" {
		t.Errorf("assignments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(holdings{"b": {"s", "t", "u"}}, w.holdings); diff != "" || w.assigned != 3 {
		t.Errorf("%d are assigned, want 3 (-want +got):\n%s", w.assigned, diff)
	}
}

// nothingElse is a store of which nothing but facts may be asked.
type nothingElse struct {
	ports.Store
	facts *told
}

func (s nothingElse) Facts() ports.Facts { return s.facts }

// What clusters tell concerns no stack by itself: nothing is read about any.
func TestEventsOfClustersReadNoStacks(t *testing.T) {
	t.Parallel()
	e, f := empty(), &told{clusters: []placement.Cluster{{Agent: "a"}}}
	e.store = nothingElse{facts: f}
	if err := e.take(t.Context(), []event.Event{{Type: event.AgentChanged, Agent: "a"}}); err != nil {
		t.Fatal(err)
	}
	if _, known := e.world.clusters["a"]; !known || len(f.asked) > 0 {
		t.Errorf("the cluster is known: %t; assignments were read of %v, want none", known, f.asked)
	}
}

// halfway is a store that fails after the clusters were read, once.
type halfway struct {
	ports.Store
	facts  *told
	events []event.Event
	ends   int
}

func (s *halfway) Facts() ports.Facts       { return failing{s.facts} }
func (s *halfway) Outbox() ports.Outbox     { return halfOutbox{s: s} }
func (s *halfway) Removals() ports.Removals { return away{} }

type failing struct{ *told }

func (failing) Subjects(context.Context, []stack.ID) ([]placement.Subject, error) {
	return nil, errAway
}

type away struct{ ports.Removals }

func (away) Since(context.Context, time.Time) ([]placement.Removal, error) { return nil, errAway }

var errAway = fault.New(fault.Unavailable, "unavailable", "the store is away")

type halfOutbox struct {
	ports.Outbox
	s *halfway
}

func (o halfOutbox) Read(context.Context, ports.Cursor, time.Time, time.Duration, int) ([]event.Event, ports.Cursor, error) {
	return o.s.events, ports.Cursor{}, nil
}

func (o halfOutbox) End(context.Context) (ports.Cursor, error) {
	o.s.ends++
	return ports.Cursor{}, nil
}

// A snapshot that has taken a part of what events tell is read anew: with the same events once more nobody would be found whom that part
// concerns.
func TestATornSnapshotIsReadAnew(t *testing.T) {
	t.Parallel()
	e := empty()
	s := &halfway{facts: &told{clusters: []placement.Cluster{{Agent: "a"}}}, events: []event.Event{{Type: event.AgentChanged, Agent: "a"}, {Type: event.StackChanged, Stack: "s"}}}
	e.store = s
	for i := range 4 {
		if i == 2 {
			e.torn = false // as if it was read for another reason, which is not forgotten
		}
		if _, err := e.round(t.Context(), i == 2); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("round %d: got %v, want that the store is away", i, err)
		}
		if s.ends != i {
			t.Fatalf("after round %d everything was read anew %d times, want %d", i, s.ends, i)
		}
	}
}
