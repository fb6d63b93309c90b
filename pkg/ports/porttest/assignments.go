package porttest

import (
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func assignmentCases() map[string]func(*world) {
	return map[string]func(*world){
		"an agent sees what it needs":      assignmentsOfAgent,
		"highest sequence first":           assignmentOrder,
		"a stack's are by agent":           assignmentsOfStack,
		"nothing assigned":                 assignmentsNone,
		"revisions of many agents":         assignmentRevisions,
		"content is for those assigned it": assignmentRefers,
		"a variant is of one cluster":      assignmentVariants,
		"a treatment comes with it":        assignmentTreatments,
		"newer ones, and how many":         assignmentsSince,
		"those of some stacks":             assignmentsOfSome,
	}
}

func assignmentsOfAgent(w *world) {
	p := w.place(1)
	a := p.agents[0]
	rev, list, err := w.Assignments().OfAgent(w.ctx, a.ID)
	wantNone(w.T, "of agent", err)
	if rev <= 0 || len(list) != 1 {
		w.Fatalf("got revision %d and %d assignments, want a revision and one", rev, len(list))
	}
	got := list[0]
	if got.Since.IsZero() {
		w.Fatal("since: got the zero time")
	}
	want := delivery.Wanted{
		Assignment: delivery.Assignment{
			Agent: a.ID, Stack: p.stack.ID, Object: p.object.ID, State: delivery.Assigned, Revision: rev, Reason: "pinned",
			Traceparent: traceparent, Since: got.Since, Placed: got.Placed,
		},
		StackName: "web", Generator: p.generator.ID, Sequence: p.object.Sequence, Checksum: p.object.Checksum, Size: p.object.Size,
	}
	wantSame(w.T, "assignment", got, want)

	marker := w.newObject(p.stack.ID, "")
	marker.Marker = true
	marker, err = w.Objects().Insert(w.ctx, marker)
	wantNone(w.T, "insert marker", err)
	next := w.decide(p.stack.ID, w.assign(a.ID, marker))[a.ID]
	wantGrown(w.T, "revision", rev, next)
	now, held := w.held(a.ID)
	got = held[p.stack.ID]
	if now != next || got.Object != marker.ID || !got.Marker || got.Sequence != marker.Sequence || got.Revision != next {
		w.Fatalf("after the marker: got revision %d and %+v, want %d and the marker", now, got, next)
	}
}

// What was there at a revision, with what is newer, is what is there: unless one went, which the number of all tells.
func assignmentsSince(w *world) {
	g, a := w.generator("ci"), w.agent("edge")
	since := func(r delivery.Revision) (delivery.Revision, []stack.ID, int) {
		w.Helper()
		now, list, all, err := w.Assignments().Since(w.ctx, a.ID, r)
		wantNone(w.T, "since", err)
		rev, held, err := w.Assignments().OfAgent(w.ctx, a.ID)
		wantNone(w.T, "of agent", err)
		var ids []stack.ID
		for _, x := range list {
			ids = append(ids, x.Stack)
			for _, y := range held {
				if y.Stack == x.Stack {
					wantSame(w.T, "one that is newer", x, y)
				}
			}
		}
		wantSame(w.T, "revision", now, rev)
		wantSame(w.T, "tally of all", all, delivery.TallyOf(held))
		return now, ids, all.All
	}
	now, newer, all := since(0)
	wantSame(w.T, "without any", []any{now, newer, all}, []any{delivery.Revision(0), []stack.ID(nil), 0})
	one, two := w.stack(g.ID, "one"), w.stack(g.ID, "two")
	first, second := w.publish(one.ID, "one"), w.publish(two.ID, "two")
	w.decide(one.ID, w.assign(a.ID, first))
	before, newer, _ := since(0)
	wantSame(w.T, "the first", newer, []stack.ID{one.ID})
	w.decide(two.ID, w.assign(a.ID, second))
	_, newer, _ = since(before)
	wantSame(w.T, "after the first", newer, []stack.ID{two.ID})
	_, newer, _ = since(0)
	wantSame(w.T, "all of them, by sequence", newer, []stack.ID{two.ID, one.ID})
	gone := w.decide(one.ID, w.remove(a.ID, first))[a.ID]
	now, newer, _ = since(before)
	wantSame(w.T, "with a tombstone", newer, []stack.ID{two.ID, one.ID})
	went, err := w.Reports().Acknowledge(w.ctx, a.ID, delivery.Removal{Stack: one.ID, Revision: gone})
	wantNone(w.T, "acknowledge", err)
	after, newer, all := since(now)
	if !went || after <= now || len(newer) != 0 || all != 1 {
		w.Fatalf("after a tombstone went (%t): got revision %d after %d, newer %v, %d in all; want a newer revision, none newer, one in all", went, after, now, newer, all)
	}
	_, newer, _ = since(after)
	wantSame(w.T, "since now", newer, []stack.ID(nil))
}

func assignmentsOfSome(w *world) {
	g, a, b := w.generator("ci"), w.agent("edge"), w.agent("other")
	var ids []stack.ID
	for _, n := range []string{"one", "two", "three"} {
		s := w.stack(g.ID, n)
		w.decide(s.ID, w.assign(a.ID, w.publish(s.ID, n)))
		ids = append(ids, s.ID)
	}
	foreign := w.stack(g.ID, "foreign")
	w.decide(foreign.ID, w.assign(b.ID, w.publish(foreign.ID, "foreign")))
	_, held := w.held(a.ID)
	got, err := w.Assignments().Some(w.ctx, a.ID, []stack.ID{ids[2], ids[0], foreign.ID, newID[stack.ID](), ids[0]})
	wantNone(w.T, "some", err)
	asked := []stack.ID{ids[0], ids[2]}
	slices.Sort(asked)
	wantSame(w.T, "those of the agent, by stack", got, []delivery.Wanted{held[asked[0]], held[asked[1]]})
	none, err := w.Assignments().Some(w.ctx, a.ID, nil)
	wantNone(w.T, "some of none", err)
	wantSame(w.T, "of no stacks", len(none), 0)
}

func assignmentOrder(w *world) {
	g := w.generator("ci")
	a := w.agent("edge")
	objects := map[stack.ID]stack.Object{}
	var ids []stack.ID
	for _, n := range []string{"one", "two", "three"} {
		s := w.stack(g.ID, n)
		objects[s.ID] = w.publish(s.ID, n)
		ids = append(ids, s.ID)
	}
	objects[ids[0]] = w.publish(ids[0], "newest")
	for _, id := range ids {
		w.decide(id, w.assign(a.ID, objects[id]))
	}
	w.decide(ids[2], w.remove(a.ID, objects[ids[2]]))
	_, list, err := w.Assignments().OfAgent(w.ctx, a.ID)
	wantNone(w.T, "of agent", err)
	var got []stack.ID
	for _, x := range list {
		got = append(got, x.Stack)
	}
	wantSame(w.T, "stacks", got, []stack.ID{ids[0], ids[2], ids[1]})
	wantSame(w.T, "state of the tombstone", list[1].State, delivery.Removing)
}

func assignmentsOfStack(w *world) {
	p, other := w.place(4), w.place(1)
	w.decide(p.stack.ID, w.remove(p.agents[1].ID, p.object))
	list, err := w.Assignments().OfStack(w.ctx, p.stack.ID)
	wantNone(w.T, "of stack", err)
	if len(list) != len(p.agents) {
		w.Fatalf("got %d assignments, want %d", len(list), len(p.agents))
	}
	for i, x := range list {
		if i > 0 && list[i-1].Agent >= x.Agent {
			w.Fatalf("agents out of order: %s before %s", list[i-1].Agent, x.Agent)
		}
		if x.Stack != p.stack.ID || x.StackName != "web" || x.Checksum != p.object.Checksum || x.Agent == other.agents[0].ID {
			w.Fatalf("assignment: got %+v", x)
		}
		if (x.State == delivery.Removing) != (x.Agent == p.agents[1].ID) {
			w.Fatalf("state of %s: got %s", x.Agent, x.State)
		}
	}
}

func assignmentsNone(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	for _, id := range []agent.ID{w.agent("edge").ID, newID[agent.ID]()} {
		rev, held := w.held(id)
		if rev != 0 || len(held) != 0 {
			w.Fatalf("got revision %d and %v, want 0 and nothing", rev, held)
		}
	}
	list, err := w.Assignments().OfStack(w.ctx, s.ID)
	wantNone(w.T, "of stack", err)
	wantSame(w.T, "assignments", list, nil)
}

func assignmentRevisions(w *world) {
	p := w.place(2)
	idle := w.agent("idle")
	var want map[agent.ID]delivery.Revision
	for range 3 {
		want = w.decide(p.stack.ID, w.assign(p.agents[0].ID, w.publish(p.stack.ID, "again")))
	}
	other, _ := w.held(p.agents[1].ID)
	want[p.agents[1].ID] = other
	got, err := w.Assignments().Revisions(w.ctx, []agent.ID{p.agents[0].ID, idle.ID, p.agents[1].ID, newID[agent.ID](), p.agents[0].ID})
	wantNone(w.T, "revisions", err)
	wantSame(w.T, "revisions", got, want)
	none, err := w.Assignments().Revisions(w.ctx, nil)
	wantNone(w.T, "revisions of nobody", err)
	wantSame(w.T, "revisions of nobody", none, nil)
}

func assignmentRefers(w *world) {
	p, foreign := w.place(2), w.place(1)
	refers := func(what string, a agent.ID, sum stack.Checksum, want bool) {
		w.Helper()
		got, err := w.Assignments().Refers(w.ctx, a, sum)
		wantNone(w.T, "refers", err)
		wantSame(w.T, what, got, want)
	}
	a, b := p.agents[0].ID, p.agents[1].ID
	refers("its own content", a, p.object.Checksum, true)
	refers("another agent's content", a, foreign.object.Checksum, false)
	refers("an unknown agent", newID[agent.ID](), p.object.Checksum, false)
	refers("unknown content", a, stack.Checksum(someHash), false)
	next := w.publish(p.stack.ID, "next")
	refers("what is not assigned yet", a, next.Checksum, false)
	w.decide(p.stack.ID, w.assign(a, next), w.remove(b, p.object))
	refers("the newer content", a, next.Checksum, true)
	refers("the former content", a, p.object.Checksum, false)
	refers("the content of a tombstone", b, p.object.Checksum, false)
}

// A variant takes the place of the object's content for one cluster alone.
func assignmentVariants(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	missing := w.assign(a, p.object)
	missing.Variant = stack.Checksum(someHash)
	_, err := w.Decisions().Commit(w.ctx, w.decision(p.stack.ID, missing))
	wantCode(w.T, "a variant whose content is not there", err, fault.Refused, "foreign_key_violation")
	content := []byte("kind: ConfigMap # for one cluster")
	sum, err := w.Blobs().Put(w.ctx, content)
	wantNone(w.T, "put", err)
	change := w.assign(a, p.object)
	change.Variant = sum
	w.decide(p.stack.ID, change)
	for id, want := range map[agent.ID]stack.Checksum{a: sum, b: p.object.Checksum} {
		_, held := w.held(id)
		got := held[p.stack.ID]
		size := p.object.Size
		if id == a {
			size = int64(len(content))
		}
		if got.Checksum != want || got.Size != size || got.Object != p.object.ID || (got.Variant != "") != (id == a) {
			w.Fatalf("assignment: got %+v, want content %s of %d bytes", got, want, size)
		}
		for _, other := range []stack.Checksum{sum, p.object.Checksum} {
			refers, err := w.Assignments().Refers(w.ctx, id, other)
			wantNone(w.T, "refers", err)
			wantSame(w.T, "refers to "+string(other), refers, other == want)
		}
	}
	prior, err := w.Facts().Prior(w.ctx, []stack.ID{p.stack.ID})
	wantNone(w.T, "prior", err)
	wantSame(w.T, "variant in facts", prior[p.stack.ID][a].Variant, sum)
	rec, _, err := w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "variant in the record", rec.Decision.Changes[0].Variant, sum)
	w.decide(p.stack.ID, w.assign(a, p.object))
	_, held := w.held(a)
	wantSame(w.T, "content without the variant", held[p.stack.ID].Checksum, p.object.Checksum)
}

// An assignment has the treatment with which it was decided, whatever the stack has by then, as a tombstone too.
func assignmentTreatments(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	st := w.seeStack(p.stack.ID)
	st.Treatment = someTreatment()
	wantNone(w.T, "update", w.Stacks().Update(w.ctx, st))
	subjects, err := w.Facts().Subjects(w.ctx, []stack.ID{p.stack.ID})
	wantNone(w.T, "subjects", err)
	wantSame(w.T, "treatment of the subject", subjects[0].Treatment, someTreatment())
	revision, held := w.held(a)
	wantSame(w.T, "treatment before a decision", held[p.stack.ID].Treatment, stack.Treatment{})
	treated, gone := w.assign(a, p.object), w.remove(b, p.object)
	treated.Treatment, gone.Treatment = someTreatment(), someTreatment()
	w.decide(p.stack.ID, treated, gone)
	prior, err := w.Facts().Prior(w.ctx, []stack.ID{p.stack.ID})
	wantNone(w.T, "prior", err)
	for id, state := range map[agent.ID]delivery.State{a: delivery.Assigned, b: delivery.Removing} {
		_, held := w.held(id)
		got := held[p.stack.ID]
		wantSame(w.T, "treatment of what is "+string(state), got.Treatment, someTreatment())
		wantSame(w.T, "state", got.State, state)
		wantSame(w.T, "treatment in facts", prior[p.stack.ID][id].Treatment, someTreatment())
		got.Treatment.IgnorePaths[0], prior[p.stack.ID][id].Treatment.IgnorePaths[0] = "/changed", "/changed"
		_, held = w.held(id)
		wantSame(w.T, "treatment after the caller changed a copy", held[p.stack.ID].Treatment, someTreatment())
	}
	now, newer, _, err := w.Assignments().Since(w.ctx, a, revision)
	wantNone(w.T, "since", err)
	if now <= revision || len(newer) != 1 || !newer[0].Treatment.Equal(someTreatment()) {
		w.Fatalf("since: got revision %d after %d with %+v, want a higher one with the treatment", now, revision, newer)
	}
	w.decide(p.stack.ID, w.assign(a, p.object))
	_, held = w.held(a)
	wantSame(w.T, "treatment by default again", held[p.stack.ID].Treatment, stack.Treatment{})
}
