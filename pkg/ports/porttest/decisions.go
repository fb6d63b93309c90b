package porttest

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func decisionCases() map[string]func(*world) {
	cases := map[string]func(*world){
		"a commit writes all of it":                 decisionCommit,
		"revisions grow for whom it concerns":       decisionRevisions,
		"a removal leaves a tombstone":              decisionRemoval,
		"a commit in a transaction":                 decisionInWrite,
		"a rollback takes a commit back":            decisionRollback,
		"one of many racers commits":                decisionRace,
		"a commit races the deletion of its agent":  decisionRacesDeletion,
		"a commit races a change of its stack":      decisionRacesPublish,
		"nothing decided yet":                       decisionNone,
		"two schedulers that believe in a lease":    decisionTwoHolders,
		"unknown stacks and objects are refused":    decisionUnknown,
		"an agent that two stacks share is in step": decisionShared,
		"several at once":                           decisionTogether,
		"moves of the last hour are known":          decisionMoves,
		"since when a stack is in a cluster":        decisionPlaced,
		"several at once, or none":                  decisionTogetherOrNone,
		"room is given once":                        decisionRooms,
		"room is given to one of many racers":       decisionRoomRace,
	}
	for name, spoil := range staleCommits() {
		cases["refused: "+name] = func(w *world) { decisionRefused(w, spoil) }
	}
	return cases
}

func decisionCommit(w *world) {
	p := w.place(0)
	a, b := w.agent("edge"), w.agent("core")
	c := w.decision(p.stack.ID, w.assign(a.ID, p.object), w.assign(b.ID, p.object))
	wake := w.at.Add(time.Hour)
	c.Record.Object, c.Record.Decision.WakeAt = p.object.ID, &wake
	revisions, err := w.Decisions().Commit(w.ctx, c)
	wantNone(w.T, "commit", err)
	if len(revisions) != 2 || revisions[a.ID] <= 0 || revisions[b.ID] <= 0 {
		w.Fatalf("revisions: got %v, want one of each agent", revisions)
	}
	for _, id := range []agent.ID{a.ID, b.ID} {
		rev, held := w.held(id)
		wantSame(w.T, "revision", rev, revisions[id])
		got := held[p.stack.ID]
		if got.Object != p.object.ID || got.State != delivery.Assigned || got.Reason != "pinned" || got.Revision != rev {
			w.Fatalf("assignment: got %+v", got)
		}
	}
	rec, hold, err := w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	wantSame(w.T, "record", rec, c.Record)
	wantSame(w.T, "hold", hold, nil)
	wantSame(w.T, "generation", w.subject(p.stack.ID).Generation, c.Generation+1)

	for i, list := range [][]placement.Verdict{c.Record.Decision.Verdicts, rec.Decision.Verdicts} { // the caller's, and the reader's
		v := &list[i]
		v.Reasons[0].Message, v.Scores[0].Points, v.Spread[0].Domain = "changed", -1, "changed"
	}
	again, _, err := w.Decisions().Latest(w.ctx, p.stack.ID)
	wantNone(w.T, "latest", err)
	for _, v := range again.Decision.Verdicts {
		wantSame(w.T, "reason", v.Reasons[0].Message, "pinned")
		wantSame(w.T, "points", v.Scores[0].Points, 88)
		wantSame(w.T, "domain", v.Spread[0].Domain, "eu")
	}
}

// decisionTogether commits decisions about two stacks that share an agent, under two leases.
func decisionTogether(w *world) {
	p, q := w.place(0), w.place(1)
	shared, other := w.agent("shared"), w.agent("other")
	before, _ := w.held(shared.ID)
	left := q.agents[0].ID
	x := w.decision(p.stack.ID, w.assign(shared.ID, p.object), w.assign(other.ID, p.object))
	y := w.decision(q.stack.ID, w.assign(shared.ID, q.object), w.remove(left, q.object))
	y.Record.Traceparent, y.Record.At = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01", w.at.Add(time.Second)
	y.Hold = &placement.Hold{Since: w.at, Reason: "more are held", Removes: []agent.ID{left}, Of: 2, Fingerprint: "print"}
	l, err := w.Leases().Acquire(w.ctx, "shard-1", "the test", time.Minute)
	wantNone(w.T, "acquire another lease", err)
	y.Lease = l
	revisions, err := w.Decisions().Commit(w.ctx, x, y)
	wantNone(w.T, "commit", err)
	wantSame(w.T, "agents concerned", len(revisions), 3)
	rev, held := w.held(shared.ID)
	wantSame(w.T, "revision of the shared agent", rev, revisions[shared.ID])
	wantGrown(w.T, "revision of the shared agent", before, rev)
	for _, c := range []ports.Commit{x, y} {
		got := held[c.Stack]
		wantSame(w.T, "revision of the assignment", got.Revision, rev)
		wantSame(w.T, "traceparent", got.Traceparent, c.Record.Traceparent)
		wantSame(w.T, "since", got.Since, c.Record.At)
		rec, hold, err := w.Decisions().Latest(w.ctx, c.Stack)
		wantNone(w.T, "latest", err)
		wantSame(w.T, "record", rec, c.Record)
		wantSame(w.T, "hold", hold, c.Hold)
		wantSame(w.T, "generation", w.subject(c.Stack).Generation, c.Generation+1)
	}
	_, gone := w.held(left)
	wantSame(w.T, "state where it is removed", gone[q.stack.ID].State, delivery.Removing)
	none, err := w.Decisions().Commit(w.ctx)
	wantNone(w.T, "commit nothing", err)
	wantSame(w.T, "revisions of nothing", len(none), 0)
}

func decisionTogetherOrNone(w *world) {
	p, q := w.place(1), w.place(1)
	good := w.decision(p.stack.ID, w.remove(p.agents[0].ID, p.object))
	before := w.placement(p)
	refused := func(what string, spoil func(c *ports.Commit)) {
		w.Helper()
		bad := w.decision(q.stack.ID, w.remove(q.agents[0].ID, q.object))
		spoil(&bad)
		for _, both := range [][]ports.Commit{{good, bad}, {bad, good}} {
			if _, err := w.Decisions().Commit(w.ctx, both...); !fault.Is(err, fault.Conflict) {
				w.Fatalf("%s: got %v, want a conflict", what, err)
			}
		}
		wantSame(w.T, "the other after "+what, w.placement(p), before)
	}
	refused("a stale decision", func(c *ports.Commit) { c.Generation++ })
	refused("a stale stack", func(c *ports.Commit) { c.StackVersion++ })
	refused("a stale agent", func(c *ports.Commit) { c.Changes[0].Version++ })
	refused("a lease of somebody else", func(c *ports.Commit) { c.Lease.Holder = "somebody else" })
	refused("a lease of another epoch", func(c *ports.Commit) { c.Lease.Epoch++ })
	if _, err := w.Decisions().Commit(w.ctx, good, good); !fault.Is(err, fault.Invalid) {
		w.Fatalf("one stack twice: got %v, want that it is invalid", err)
	}
	wantSame(w.T, "after one stack twice", w.placement(p), before)
}

// decisionMoves commits decisions that moved the stack: those of the last hour are told with the stack, by time.
func decisionMoves(w *world) {
	p := w.place(1)
	wantSame(w.T, "moves of a stack that has not moved", len(w.subject(p.stack.ID).Moved), 0)
	move := func(moves int, at time.Time) []time.Time {
		w.Helper()
		c := w.decision(p.stack.ID, w.assign(p.agents[0].ID, p.object))
		c.Record.Decision.Moves, c.Record.At = moves, at
		_, err := w.Decisions().Commit(w.ctx, c)
		wantNone(w.T, "commit", err)
		return w.subject(p.stack.ID).Moved
	}
	first, then := w.at, w.at.Add(30*time.Minute)
	wantSame(w.T, "two moves", move(2, first), []time.Time{first, first})
	wantSame(w.T, "one more", move(1, then), []time.Time{first, first, then})
	wantSame(w.T, "none more, an hour after the first", move(0, first.Add(time.Hour)), []time.Time{then})
	all, err := w.Facts().Subjects(w.ctx, nil)
	wantNone(w.T, "subjects", err)
	wantSame(w.T, "among all", all[0].Moved, []time.Time{then})
}

// decisionPlaced: a newer object does not count as another stay; coming back does.
func decisionPlaced(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	placed := func() (since, placed time.Time) {
		w.Helper()
		prior, err := w.Facts().Prior(w.ctx, []stack.ID{p.stack.ID})
		wantNone(w.T, "prior", err)
		x := prior[p.stack.ID][a]
		_, held := w.held(a)
		wantSame(w.T, "placed, as the agent's", held[p.stack.ID].Placed, x.Placed)
		return x.Since, x.Placed
	}
	commit := func(at time.Time, ch placement.Change) {
		w.Helper()
		c := w.decision(p.stack.ID, ch)
		c.Record.At = at
		_, err := w.Decisions().Commit(w.ctx, c)
		wantNone(w.T, "commit", err)
	}
	since, first := placed()
	wantSame(w.T, "placed", first, since)
	next, err := w.Objects().Insert(w.ctx, w.newObject(p.stack.ID, "next"))
	wantNone(w.T, "insert", err)
	at := w.at.Add(time.Minute)
	commit(at, w.assign(a, next))
	since, is := placed()
	wantSame(w.T, "since, after a newer object", since, at)
	wantSame(w.T, "placed, after a newer object", is, first)
	commit(at.Add(time.Minute), w.remove(a, next))
	commit(at.Add(2*time.Minute), w.assign(a, next))
	_, is = placed()
	wantSame(w.T, "placed, after it came back", is, at.Add(2*time.Minute))
}

func decisionRevisions(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	ra, _ := w.held(a)
	rb, _ := w.held(b)
	version := w.seeAgent(a).Version
	got := w.decide(p.stack.ID, w.assign(a, w.publish(p.stack.ID, "next")))
	wantSame(w.T, "agents concerned", len(got), 1)
	wantGrown(w.T, "revision", ra, got[a])
	now, _ := w.held(b)
	wantSame(w.T, "revision of the other", now, rb)
	wantSame(w.T, "version of the agent", w.seeAgent(a).Version, version)
	_, held := w.held(b)
	wantSame(w.T, "object of the other", held[p.stack.ID].Object, p.object.ID)
	wantSame(w.T, "agents of an empty decision", len(w.decide(p.stack.ID)), 0)
}

func decisionRemoval(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	before, _ := w.held(a)
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	wantGrown(w.T, "revision", before, rev)
	now, held := w.held(a)
	got := held[p.stack.ID]
	if now != rev || got.State != delivery.Removing || got.Object != p.object.ID || got.Reason != "moved" || got.Revision != rev {
		w.Fatalf("tombstone: got %+v in revision %d, want it removing in %d", got, now, rev)
	}
	again := w.decide(p.stack.ID, w.assign(a, p.object))[a]
	_, held = w.held(a)
	if got := held[p.stack.ID]; got.State != delivery.Assigned || got.Revision != again || again <= rev {
		w.Fatalf("taken back: got %+v, want it assigned in a revision after %d", got, rev)
	}
}

func decisionInWrite(w *world) {
	p := w.place(0)
	a := w.agent("edge")
	c := w.decision(p.stack.ID, w.assign(a.ID, p.object))
	wantNone(w.T, "write", w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		revisions, err := tx.Decisions().Commit(ctx, c)
		if err != nil {
			return err
		}
		rev, held, err := tx.Assignments().OfAgent(ctx, a.ID)
		if err == nil && (rev != revisions[a.ID] || len(held) != 1) {
			err = fmt.Errorf("inside: got revision %d and %d assignments, want %d and one", rev, len(held), revisions[a.ID])
		}
		if err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{ID: newID[string](), Type: event.PlacementDecided, Stack: p.stack.ID, At: w.at})
	}))
	_, held := w.held(a.ID)
	wantSame(w.T, "assignments", len(held), 1)
}

func decisionRollback(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	c := w.decision(p.stack.ID, w.remove(a, p.object))
	before := w.placement(p)
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Decisions().Commit(ctx, c); err != nil {
			return err
		}
		return errClosure
	})
	wantSame(w.T, "rolled back", err == errClosure, true) //nolint:errorlint // it comes back as it is
	wantSame(w.T, "after the rollback", w.placement(p), before)
	_, err = w.Decisions().Commit(w.ctx, c)
	wantNone(w.T, "commit after the rollback", err)
}

func decisionNone(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	_, _, err := w.Decisions().Latest(w.ctx, s.ID)
	wantKind(w.T, "latest", err, fault.NotFound)
	wantSame(w.T, "generation", w.subject(s.ID).Generation, int64(0))
}

func decisionUnknown(w *world) {
	p, q := w.place(1), w.place(1)
	a := p.agents[0].ID
	before := w.placement(p)
	c := w.decision(p.stack.ID, w.assign(a, q.object))
	if _, err := w.Decisions().Commit(w.ctx, c); err == nil {
		w.Fatal("commit of another stack's object: got no error")
	}
	c.Stack = "00000000-0000-4000-8000-000000000000"
	if _, err := w.Decisions().Commit(w.ctx, c); err == nil {
		w.Fatal("commit for an unknown stack: got no error")
	}
	wantSame(w.T, "after the refusals", w.placement(p), before)
}

// decisionShared has decisions for several stacks concern one agent at once: its revision grows once for each.
func decisionShared(w *world) {
	const n = 6
	a := w.agent("edge")
	commits := make([]ports.Commit, n)
	for i := range commits {
		p := w.place(0)
		commits[i] = w.decision(p.stack.ID, w.assign(a.ID, p.object))
	}
	for _, err := range race(n, func(i int) error { return discard(w.Decisions().Commit(w.ctx, commits[i])) }) {
		wantNone(w.T, "commit", err)
	}
	rev, held := w.held(a.ID)
	seen := map[delivery.Revision]bool{}
	newest := delivery.Revision(0)
	for _, x := range held {
		seen[x.Revision], newest = true, max(newest, x.Revision)
	}
	if rev != newest || len(held) != n || len(seen) != n {
		w.Fatalf("got revision %d, the newest assignment has %d, %d assignments in %d revisions; want the same, and %d of each", rev, newest, len(held), len(seen), n)
	}
}
