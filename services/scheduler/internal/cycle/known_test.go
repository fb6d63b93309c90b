package cycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// shared is a store in which other replicas decide.
type shared struct {
	nothingElse
	policies []policy.Policy
	events   []event.Event
}

func (s shared) Outbox() ports.Outbox     { return halfOutbox{s: &halfway{events: s.events}} }
func (s shared) Removals() ports.Removals { return noRemovals{} }
func (s shared) Policies() ports.Policies { return someLive{list: s.policies} }
func (s shared) Rollouts() ports.Rollouts { return noRollouts{} }

type someLive struct {
	ports.Policies
	list []policy.Policy
}

func (p someLive) Live(context.Context, []policy.ID) ([]policy.Policy, error) { return p.list, nil }

type noRollouts struct{ ports.Rollouts }

func (noRollouts) Governing(context.Context, []stack.ID) (map[stack.ID]rollout.Rollout, error) {
	return map[stack.ID]rollout.Rollout{}, nil
}

type noRemovals struct{ ports.Removals }

func (noRemovals) Since(context.Context, time.Time) ([]placement.Removal, error) { return nil, nil }

// noShards are those of a replica that decides about nothing.
type noShards struct{ allShards }

func (noShards) Lease(int) (ports.Lease, bool) { return ports.Lease{}, false }

// needing is a policy of three cores.
func needing() policy.Policy {
	return policy.Policy{ID: "p", Revision: 1, Document: policy.Document{Name: "p", Requires: &policy.Requirements{CPU: "3"}}}
}

// taking is an engine that knows cluster a, over a store that says of stack x what f does.
func taking(t *testing.T, generation int64) (*Engine, *told) {
	t.Helper()
	f := &told{clusters: []placement.Cluster{{Agent: "a"}},
		subjects: map[stack.ID]placement.Subject{"x": {Stack: "x", Generation: generation, Policy: &policy.Ref{ID: "p", Revision: 1}}},
		priors:   map[stack.ID]placement.Prior{"x": {"a": {Agent: "a", Stack: "x", State: delivery.Assigned, Placed: time.Now()}}}}
	e := empty()
	e.store = shared{nothingElse{facts: f}, []policy.Policy{needing()}, nil}
	if err := e.world.refreshClusters(t.Context(), f, []agent.ID{"a"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return e, f
}

func decidedIn(generation int) event.Event {
	return event.Event{Type: event.PlacementDecided, Stack: "x", Data: map[string]any{"generation": generation}}
}

// What others have given a stack is known with what it needs there, and once, however the events come that tell of it: a commit names it as
// something for which there is room.
func TestWhatOthersGaveIsKnownWithItsNeeds(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]event.Event{
		"two decisions at once":                       {decidedIn(2), decidedIn(3)},
		"a new stack that is decided when it is read": {{Type: event.StackCreated, Stack: "x"}},
		"and the decision after it":                   {{Type: event.StackCreated, Stack: "x"}, decidedIn(3)},
	} {
		e, _ := taking(t, 3)
		for i := range 2 {
			if err := e.take(t.Context(), events); err != nil {
				t.Fatal(err)
			}
			if got := e.world.clusters["a"]; got.Assumed.CPU != 3000 || got.Load != 1 || e.world.assigned != 1 {
				t.Errorf("%s, taken %d times: %d millicores are promised, the load is %d and %d are assigned, want 3000, one and one", name, i+1, got.Assumed.CPU, got.Load, e.world.assigned)
			}
		}
	}
}

// late is a store in which a stack came after stacks were read, and before assignments were.
type late struct{ *told }

func (late) Subjects(context.Context, []stack.ID) ([]placement.Subject, error) { return nil, nil }

func (f late) Prior(context.Context, []stack.ID) (map[stack.ID]placement.Prior, error) {
	return maps.Clone(f.priors), nil
}

// A stack that comes while everything is read, or a part of it, is not known before its event is, nor is where it was placed.
func TestWhatIsAssignedToUnknownStacksIsNotKnown(t *testing.T) {
	t.Parallel()
	e, f := taking(t, 1)
	w, err := load(t.Context(), late{f})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.world.refreshStacks(t.Context(), late{f}, []stack.ID{"x"}); err != nil {
		t.Fatal(err)
	}
	for what, w := range map[string]*world{"everything": w, "a part": e.world} {
		if len(w.priors) != 0 || len(w.holdings) != 0 || w.assigned != 0 || w.clusters["a"].Load != 0 {
			t.Errorf("%s was read: %+v, %+v, %d are assigned; want nothing", what, w.priors, w.holdings, w.assigned)
		}
	}
}

// What came while everything was read is known before anything is decided.
func TestWhatCameMeanwhileIsKnownBeforeDeciding(t *testing.T) {
	t.Parallel()
	e, f := taking(t, 3) // of which no stack is told when everything is read
	e.store, e.shards = shared{nothingElse{facts: f}, []policy.Policy{needing()}, []event.Event{{Type: event.StackCreated, Stack: "x"}}}, noShards{}
	if _, err := e.round(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, known := e.world.subjects["x"]; !known || e.world.assigned != 1 {
		t.Errorf("the stack is known: %t, and %d are assigned; want it, and one", known, e.world.assigned)
	}
}

// A stack whose policy has come with it is known with its needs although nobody has told of a decision: assignments are read after stacks.
func TestTheNeedsOfANewStackAreKnown(t *testing.T) {
	t.Parallel()
	e, _ := taking(t, 0)
	if err := e.take(t.Context(), []event.Event{{Type: event.StackCreated, Stack: "x"}}); err != nil {
		t.Fatal(err)
	}
	if got := e.world.clusters["a"].Assumed.CPU; got != 3000 {
		t.Errorf("%d millicores are promised, want 3000", got)
	}
}

// What has changed of a cluster that is read again after a race finds whom it concerns: the event that tells of it will find it known.
func TestAClusterThatIsReadAgainConcernsOthers(t *testing.T) {
	t.Parallel()
	e, f := taking(t, 1)
	for _, s := range []placement.Subject{{Stack: "eu", Generator: "g", Newest: &stack.Object{}, Labels: map[string]bool{"eu": true}}, {Stack: "us", Generator: "g", Newest: &stack.Object{}, Labels: map[string]bool{"us": true}}} {
		e.world.put(s)
		e.world.index.add(s)
	}
	f.clusters[0].Labels = map[string]bool{"eu": true}
	f.clusters[0].Generators = map[tenancy.GeneratorID]bool{"g": true}
	if err := e.renew(t.Context(), []agent.ID{"a"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stack.ID{"eu"}, slices.Sorted(maps.Keys(e.dirty))); diff != "" {
		t.Errorf("dirty (-want +got):\n%s", diff)
	}
	clear(e.dirty)
	now := time.Now()
	f.clusters[0].Load = 7
	if err := e.renew(t.Context(), []agent.ID{"a"}); err != nil {
		t.Fatal(err)
	}
	if len(e.dirty) != 0 {
		t.Errorf("dirty: %v, want nothing: the cluster is as it was", slices.Collect(maps.Keys(e.dirty)))
	}
	f.clusters[0].ReportedAt = &now // for the first time
	if err := e.renew(t.Context(), []agent.ID{"a"}); err != nil {
		t.Fatal(err)
	}
	if len(e.dirty) != 1 {
		t.Errorf("dirty: %v, want the stack whose cluster has told something", slices.Collect(maps.Keys(e.dirty)))
	}
}

// What was promised of a cluster ends with a status that it told long after: that is found when it is read again, and no event tells of it.
func TestRoomThatARereadFindsIsOffered(t *testing.T) {
	t.Parallel()
	e, f := taking(t, 1)
	if err := e.take(t.Context(), []event.Event{decidedIn(1)}); err != nil {
		t.Fatal(err)
	}
	e.world.put(placement.Subject{Stack: "y", Policy: &policy.Ref{ID: "other", Revision: 1}, Generator: "g", Newest: &stack.Object{}})
	e.world.index.add(e.world.subjects["y"])
	clear(e.dirty)
	told := time.Now().Add(placement.Settling + time.Second)
	f.clusters[0].ReportedAt, e.now = &told, func() time.Time { return told }
	before := e.world.clusters["a"]
	before.ReportedAt = &told
	e.world.clusters["a"] = before // as it was told of, but for the promise
	if err := e.renew(t.Context(), []agent.ID{"a"}); err != nil {
		t.Fatal(err)
	}
	if _, dirty := e.dirty["y"]; !dirty || e.world.clusters["a"].Assumed.CPU != 0 {
		t.Errorf("dirty: %v, promised %d; want the stack that may wait for room, and nothing", slices.Collect(maps.Keys(e.dirty)), e.world.clusters["a"].Assumed.CPU)
	}
}

// What a commit names stays as it was when it was sent, while the snapshot goes on.
func TestWhatACommitNamesStays(t *testing.T) {
	t.Parallel()
	e := empty()
	e.world.holdings = holdings{"a": {"x", "y", "z"}}
	one, two := &pending{subject: placement.Subject{Stack: "y"}}, &pending{subject: placement.Subject{Stack: "z"}}
	one.commit.Rooms, two.commit.Rooms = []ports.Room{{Agent: "a", Spare: 2}}, []ports.Room{{Agent: "a"}, {Agent: "b"}}
	e.rooms(one, two)
	e.world.holdings.remove("a", "x")
	e.world.holdings.add("a", "b")
	want := [][]ports.Room{{{Agent: "a", Stacks: []stack.ID{"x", "y", "z"}, Spare: 2}}, {{Agent: "a", Stacks: []stack.ID{"x", "y", "z"}}, {Agent: "b", Stacks: []stack.ID{"z"}}}}
	if diff := cmp.Diff(want, [][]ports.Room{one.commit.Rooms, two.commit.Rooms}); diff != "" {
		t.Errorf("rooms (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(holdings{"a": {"b", "y", "z"}}, e.world.holdings); diff != "" {
		t.Errorf("what the snapshot knows (-want +got):\n%s", diff)
	}
}

// Whatever is told, decided, committed and taken back: what clusters have, their load and the sum of it are what the assignments say.
func TestWhatClustersHaveFollowsFromAssignments(t *testing.T) {
	t.Parallel()
	agents, stacks := []agent.ID{"a", "b", "c"}, []stack.ID{"x", "y", "z"}
	rapid.Check(t, func(r *rapid.T) {
		e, f := taking(t, 1)
		f.clusters = nil
		for _, a := range agents {
			f.clusters = append(f.clusters, placement.Cluster{Agent: a})
		}
		states := rapid.SampledFrom([]delivery.State{"", delivery.Assigned, delivery.Removing})
		if err := e.world.refreshClusters(t.Context(), f, agents, time.Now()); err != nil {
			r.Fatal(err)
		}
		l := pipeline{Engine: e}
		for i := range rapid.IntRange(1, 12).Draw(r, "steps") {
			id := rapid.SampledFrom(stacks).Draw(r, "stack")
			switch rapid.SampledFrom([]string{"told", "told twice", "gone", "staged", "committed", "taken back", "lost"}).Draw(r, fmt.Sprint("step ", i)) {
			case "told", "told twice":
				l.takeBack(&l.next)
				p := placement.Prior{}
				for _, a := range agents {
					if s := states.Draw(r, "state"); s != "" {
						p[a] = delivery.Assignment{Agent: a, Stack: id, State: s, Placed: time.Now()}
					}
				}
				f.subjects[id], f.priors[id] = placement.Subject{Stack: id, Generation: int64(i + 2)}, p
				if err := e.world.refreshStacks(t.Context(), f, []stack.ID{id, id}); err != nil {
					r.Fatal(err)
				}
			case "gone":
				l.takeBack(&l.next)
				delete(f.subjects, id)
				if err := e.world.refreshStacks(t.Context(), f, []stack.ID{id}); err != nil {
					r.Fatal(err)
				}
			case "staged":
				s, known := e.world.subjects[id]
				if !known || slices.ContainsFunc(l.next.list, func(p *pending) bool { return p.subject.Stack == id }) {
					continue
				}
				d := placement.Decision{Stack: id}
				for _, a := range agents {
					if s := states.Draw(r, "state"); s != "" {
						d.Changes = append(d.Changes, placement.Change{Agent: a, State: s})
					}
				}
				_, span := e.tracer.Start(t.Context(), "test")
				l.stage(&l.next, &pending{subject: s, decision: d, news: true, now: time.Now(), span: span})
			case "committed":
				l.next = batch{}
			case "taken back":
				l.takeBack(&l.next)
			case "lost":
				l.takeBack(&l.next)
				a := rapid.SampledFrom(agents).Draw(r, "agent")
				f.clusters = slices.DeleteFunc(f.clusters, func(c placement.Cluster) bool { return c.Agent == a })
				if err := e.world.refreshClusters(t.Context(), f, agents, time.Now()); err != nil {
					r.Fatal(err)
				}
				for _, p := range f.priors {
					delete(p, a)
				}
			}
			want, sum := holdingsOf(e.world.priors), 0
			for a, list := range want {
				sum += len(list)
				if c, there := e.world.clusters[a]; there && c.Load != len(list) {
					r.Fatalf("the load of %s is %d, want %d", a, c.Load, len(list))
				}
			}
			if diff := cmp.Diff(want, e.world.holdings); diff != "" {
				r.Fatalf("what clusters have (-by the assignments +known):\n%s", diff)
			}
			if e.world.assigned != sum {
				r.Fatalf("%d are assigned, want %d", e.world.assigned, sum)
			}
		}
	})
}
