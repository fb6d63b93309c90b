package porttest

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func removalCases() map[string]func(*world) {
	return map[string]func(*world){
		"only a tombstone goes":                        ackTombstoneOnly,
		"only up to its revision":                      ackRevision,
		"an order that was taken back stays":           ackAfterReassign,
		"after the last one the rest can be collected": ackCollects,
		"a live stack keeps its things":                ackLiveStack,
	}
}

func (w *world) ack(a agent.ID, s stack.ID, r delivery.Revision) bool {
	w.Helper()
	gone, err := w.Reports().Acknowledge(w.ctx, a, delivery.Removal{Stack: s, Revision: r})
	wantNone(w.T, "acknowledge", err)
	return gone
}

func ackTombstoneOnly(w *world) {
	p, foreign := w.place(1), w.place(1)
	a := p.agents[0].ID
	rev, _ := w.held(a)
	wantSame(w.T, "an assignment that stands", w.ack(a, p.stack.ID, rev+10), false)
	wantSame(w.T, "another agent's stack", w.ack(a, foreign.stack.ID, rev+10), false)
	wantSame(w.T, "an unknown stack", w.ack(a, newID[stack.ID](), rev), false)
	wantSame(w.T, "an unknown agent", w.ack(newID[agent.ID](), p.stack.ID, rev), false)
	now, held := w.held(a)
	if now != rev || held[p.stack.ID].State != delivery.Assigned {
		w.Fatalf("after acknowledging nothing: got revision %d and %+v, want %d and the assignment", now, held, rev)
	}
}

func ackRevision(w *world) {
	p := w.place(2)
	a := p.agents[0].ID
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	wantSame(w.T, "of an older revision", w.ack(a, p.stack.ID, rev-1), false)
	if _, held := w.held(a); held[p.stack.ID].State != delivery.Removing {
		w.Fatalf("after an old acknowledgement: got %+v, want the tombstone", held)
	}
	wantSame(w.T, "of its revision", w.ack(a, p.stack.ID, rev), true)
	now, held := w.held(a)
	wantGrown(w.T, "revision", rev, now)
	wantSame(w.T, "assignments", len(held), 0)
	wantSame(w.T, "again", w.ack(a, p.stack.ID, rev), false)
	again, _ := w.held(a)
	wantSame(w.T, "revision after the duplicate", again, now)
	if _, other := w.held(p.agents[1].ID); other[p.stack.ID].State != delivery.Assigned {
		w.Fatalf("another agent's assignment: got %+v", other)
	}
}

// ackAfterReassign has an agent acknowledge a removal that was taken back, or ordered anew, meanwhile.
func ackAfterReassign(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	first := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	w.decide(p.stack.ID, w.assign(a, p.object))
	wantSame(w.T, "a removal that was taken back", w.ack(a, p.stack.ID, first), false)
	second := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	wantSame(w.T, "an older order of a newer removal", w.ack(a, p.stack.ID, first), false)
	wantSame(w.T, "the newer removal", w.ack(a, p.stack.ID, second+1), true)
}

func ackCollects(w *world) {
	p := w.place(2)
	for _, a := range p.agents {
		w.target(a.ID, p.stack.ID)
	}
	idle := w.agent("idle")
	w.target(idle.ID, p.stack.ID)
	w.labelStack(p.stack.ID, "prod")
	wantNone(w.T, "annotate", w.Stacks().AddAnnotation(w.ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: p.stack.ID, Key: "k", Value: "v"}))
	wantNone(w.T, "delete", w.Stacks().Delete(w.ctx, p.stack.ID, w.at))
	x, y := p.agents[0].ID, p.agents[1].ID
	revs := w.decide(p.stack.ID, w.remove(x, p.object), w.remove(y, p.object))

	left := func() int {
		w.Helper()
		labels, err := w.Stacks().Labels(w.ctx, p.stack.ID)
		wantNone(w.T, "labels", err)
		annotations, err := w.Stacks().Annotations(w.ctx, p.stack.ID)
		wantNone(w.T, "annotations", err)
		n := len(labels) + len(annotations)
		for _, a := range []agent.ID{x, y, idle.ID} {
			targets, err := w.Agents().Targets(w.ctx, a)
			wantNone(w.T, "targets", err)
			n += len(targets)
		}
		return n
	}
	wantSame(w.T, "first acknowledgement", w.ack(x, p.stack.ID, revs[x]), true)
	wantSame(w.T, "labels, annotations and targets before the last", left(), 5)
	wantSame(w.T, "last acknowledgement", w.ack(y, p.stack.ID, revs[y]), true)
	wantSame(w.T, "labels, annotations and targets after the last, for who restores it", left(), 5)
	n, err := w.Stacks().Collect(w.ctx, w.at.Add(time.Second), 10)
	wantNone(w.T, "collect", err)
	wantSame(w.T, "collected stacks", n, 1)
	wantSame(w.T, "labels, annotations and targets of what is collected", left(), 0)
	list, err := w.Facts().Subjects(w.ctx, nil)
	wantNone(w.T, "subjects", err)
	wantSame(w.T, "subjects", len(list), 0)
}

func ackLiveStack(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	w.labelStack(p.stack.ID, "prod")
	w.target(a, p.stack.ID)
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	wantSame(w.T, "acknowledged", w.ack(a, p.stack.ID, rev), true)
	labels, err := w.Stacks().Labels(w.ctx, p.stack.ID)
	wantNone(w.T, "labels", err)
	targets, err := w.Agents().Targets(w.ctx, a)
	wantNone(w.T, "targets", err)
	wantSame(w.T, "labels and targets", len(labels)+len(targets), 2)
}
