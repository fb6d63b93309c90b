package porttest

import (
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// decisionRooms commits decisions that give room of a cluster: they rest on what else is assigned there.
func decisionRooms(w *world) {
	p, q := w.place(1), w.place(1)
	shared := p.agents[0].ID
	third := w.stack(p.generator.ID, "third")
	other := w.publish(third.ID, "kind: ConfigMap")
	give := func(spare int, known []stack.ID, more ...ports.Commit) error {
		w.Helper()
		c := w.decision(q.stack.ID, w.assign(q.agents[0].ID, q.object), w.assign(shared, q.object))
		c.Rooms = []ports.Room{{Agent: q.agents[0].ID, Stacks: []stack.ID{q.stack.ID}}, {Agent: shared, Stacks: append([]stack.ID{q.stack.ID}, known...), Spare: spare}}
		return discard(w.Decisions().Commit(w.ctx, append(more, c)...))
	}
	before := w.placement(q, shared)
	wantKind(w.T, "one there is not known", give(0, nil), fault.Conflict)
	wantSame(w.T, "after the refusal", w.placement(q, shared), before)
	with := w.decision(third.ID, w.assign(shared, other))
	wantKind(w.T, "one that comes with it is not known", give(0, []stack.ID{p.stack.ID}, with), fault.Conflict)
	wantSame(w.T, "after the refusal of both", w.placement(q, shared), before)
	wantNone(w.T, "all are known", give(0, []stack.ID{third.ID, p.stack.ID}, with))
	w.decide(q.stack.ID, w.remove(shared, q.object))
	w.decide(third.ID, w.remove(shared, other))
	wantKind(w.T, "of two one left, and the other is not known", give(0, []stack.ID{third.ID}), fault.Conflict)
	wantNone(w.T, "there is room for one that is not known", give(1, []stack.ID{third.ID}))

	w.decide(q.stack.ID, w.remove(shared, q.object))
	w.decide(third.ID, w.assign(shared, other))
	left := newID[stack.ID]() // as if
	wantKind(w.T, "two are not known, one of them in place of one that left", give(1, []stack.ID{left}), fault.Conflict)
	wantNone(w.T, "who left without being noticed is in nobody's way", give(0, []stack.ID{left, third.ID, p.stack.ID}))
	elsewhere := w.decision(q.stack.ID, w.assign(shared, q.object))
	elsewhere.Rooms = []ports.Room{{Agent: q.agents[0].ID, Stacks: []stack.ID{q.stack.ID}}}
	wantKind(w.T, "room of a cluster that the decision leaves as it is", discard(w.Decisions().Commit(w.ctx, elsewhere)), fault.Invalid)
}

// decisionRoomRace: of decisions about different stacks that each take the room of one cluster, one is committed.
func decisionRoomRace(w *world) {
	const racers = 6
	a := w.agent("small")
	var commits []ports.Commit
	for range racers {
		p := w.place(0)
		c := w.decision(p.stack.ID, w.assign(a.ID, p.object))
		c.Rooms = []ports.Room{{Agent: a.ID, Stacks: []stack.ID{p.stack.ID}}}
		commits = append(commits, c)
	}
	wantOneWinner(w.T, "commit", race(racers, func(i int) error { return discard(w.Decisions().Commit(w.ctx, commits[i])) }))
	_, held := w.held(a.ID)
	wantSame(w.T, fmt.Sprintf("stacks of %s", agent.ID(a.Name)), len(held), 1)
}
