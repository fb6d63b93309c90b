package porttest

import (
	"context"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func reportCases() map[string]func(*world) {
	return map[string]func(*world){
		"the order accepts news once":           orderAdvance,
		"one of many racers is news":            orderRace,
		"a rollback takes the order back":       orderRollback,
		"what rests on what was read is serial": recordSerial,
		"a status is what was reported":         recordStores,
		"since moves only on change":            recordSince,
		"stacks not assigned are ignored":       recordUnassigned,
		"a lower sequence is ignored":           recordLower,
		"one report may name a stack twice":     recordTwice,
		"a status goes with its assignment":     recordGoes,
		"a tombstone's progress is a status":    recordRemoving,
		"an agent reports for itself only":      recordOwn,
		"reporting nothing changes nothing":     recordNothing,
		"reports do not grow any version":       recordVersions,
		"a turn comes before a process counts":  orderTurns,
		"the order is per agent and not below":  orderPerAgent,
	}
}

func (w *world) advance(a agent.ID, boot string, seq int64, want bool) {
	w.Helper()
	w.receive(a, delivery.Mark{Boot: boot, Seq: seq}, delivery.Reception{News: want})
}

func (w *world) receive(a agent.ID, m delivery.Mark, want delivery.Reception) {
	w.Helper()
	got, err := w.Reports().Advance(w.ctx, a, m, w.at)
	wantNone(w.T, "advance", err)
	if got != want {
		w.Fatalf("advance to %+v: got %+v, want %+v", m, got, want)
	}
}

// orderTurns is a process that dies with its first report on the way, and the one that follows it.
func orderTurns(w *world) {
	a := w.agent("edge")
	first, dead, live := newID[string](), newID[string](), newID[string]()
	mark := func(boot string, seq int64, turn delivery.Turn) delivery.Mark {
		return delivery.Mark{Boot: boot, Seq: seq, Turn: turn}
	}
	news, old := delivery.Reception{News: true}, delivery.Reception{}
	w.receive(a.ID, mark(first, 1, delivery.NoTurn), news)
	w.receive(a.ID, mark(live, 1, delivery.NoTurn), delivery.Reception{Turn: 1})
	w.receive(a.ID, mark(first, 2, delivery.NoTurn), news)
	w.receive(a.ID, mark(live, 2, 1), news)
	w.receive(a.ID, mark(first, 3, delivery.NoTurn), old)
	w.receive(a.ID, mark(dead, 1, delivery.NoTurn), delivery.Reception{Turn: 2})
	w.receive(a.ID, mark(live, 3, 1), news)
	w.receive(a.ID, mark(live, 3, 1), old)
	w.receive(a.ID, mark(first, 4, 1), old)
	w.receive(a.ID, mark(newID[string](), 1, delivery.Turnless), news)
	w.receive(a.ID, mark(dead, 2, 2), old)
	w.receive(a.ID, mark(newID[string](), 1, delivery.NoTurn), delivery.Reception{Turn: 4})
}

func orderAdvance(w *world) {
	a := w.agent("edge")
	b1, b2 := newID[string](), newID[string]()
	w.advance(a.ID, b1, 1, true)
	w.advance(a.ID, b1, 1, false)
	w.advance(a.ID, b1, 5, true)
	w.advance(a.ID, b1, 4, false)
	w.advance(a.ID, b2, 1, true)
	w.advance(a.ID, b1, 9, false)
	w.advance(a.ID, b2, 1, false)
	w.advance(a.ID, b2, 2, true)
	_, err := w.Reports().Advance(w.ctx, newID[agent.ID](), delivery.Mark{Boot: b1, Seq: 1}, w.at)
	wantKind(w.T, "advance nobody", err, fault.NotFound)
}

func orderPerAgent(w *world) {
	a, b := w.agent("edge"), w.agent("core")
	boot := newID[string]()
	w.advance(a.ID, boot, 7, true)
	w.advance(b.ID, boot, 3, true)
	w.advance(a.ID, boot, 7, false)
}

func orderRace(w *world) {
	a := w.agent("edge")
	boot := newID[string]()
	news := make([]bool, 8)
	for _, err := range race(len(news), func(i int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			got, err := tx.Reports().Advance(ctx, a.ID, delivery.Mark{Boot: boot, Seq: 1}, w.at)
			news[i] = got.News
			return err
		})
	}) {
		wantNone(w.T, "advance", err)
	}
	won := 0
	for _, n := range news {
		if n {
			won++
		}
	}
	wantSame(w.T, "racers whose report was news", won, 1)
}

func orderRollback(w *world) {
	a := w.agent("edge")
	boot := newID[string]()
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Reports().Advance(ctx, a.ID, delivery.Mark{Boot: boot, Seq: 1}, w.at); err != nil {
			return err
		}
		return errClosure
	})
	wantSame(w.T, "rolled back", err == errClosure, true) //nolint:errorlint // it comes back as it is
	w.advance(a.ID, boot, 1, true)
}

// recordSerial has reports that say one more than what each has read.
func recordSerial(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	const racers = 6
	for _, err := range race(racers, func(int) error {
		return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Reports().Serial(ctx, a); err != nil {
				return err
			}
			known, err := tx.Assignments().Some(ctx, a, []stack.ID{p.stack.ID})
			if err != nil {
				return err
			}
			r := w.report(p.object, delivery.PhaseApplying, delivery.HealthUnknown)
			if r.Message = "1"; known[0].Status != nil {
				r.Message = known[0].Status.Message + "1"
			}
			_, err = tx.Reports().Record(ctx, a, w.at, []delivery.Report{r})
			return err
		})
	}) {
		wantNone(w.T, "a report that rests on the one before", err)
	}
	wantSame(w.T, "reports that rest on each other", w.status(a, p.stack.ID).Message, strings.Repeat("1", racers))
	wantKind(w.T, "of nobody", w.Reports().Serial(w.ctx, newID[agent.ID]()), fault.NotFound)
}

func (w *world) record(a agent.ID, at time.Time, reports ...delivery.Report) []delivery.Status {
	w.Helper()
	changed, err := w.Reports().Record(w.ctx, a, at, reports)
	wantNone(w.T, "record", err)
	return changed
}

func (w *world) status(a agent.ID, s stack.ID) *delivery.Status {
	w.Helper()
	_, held := w.held(a)
	return held[s].Status
}

func recordStores(w *world) {
	p, q := w.place(1), w.place(0)
	a := p.agents[0].ID
	second := w.publish(q.stack.ID, "second")
	w.decide(q.stack.ID, w.assign(a, second))
	now := w.at.Add(time.Minute)
	changed := w.record(a, now,
		w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy), w.report(second, delivery.PhaseFailed, delivery.HealthUnknown))
	wantSame(w.T, "changed", len(changed), 2)
	for _, o := range []stack.Object{p.object, second} {
		want := delivery.Status{
			Agent: a, Stack: o.Stack, Object: o.ID, Sequence: o.Sequence, Phase: delivery.PhaseApplied, Health: delivery.HealthHealthy,
			Message: "as told", ObservedAt: w.at, ReportedAt: now, Since: now,
		}
		if o.ID == second.ID {
			want.Phase, want.Health = delivery.PhaseFailed, delivery.HealthUnknown
		}
		wantSame(w.T, "status", w.status(a, o.Stack), &want)
		for _, c := range changed {
			if c.Stack == o.Stack {
				wantSame(w.T, "changed status", c, want)
			}
		}
		list, err := w.Assignments().OfStack(w.ctx, o.Stack)
		wantNone(w.T, "of stack", err)
		wantSame(w.T, "status by stack", list[0].Status, &want)
	}
}

func recordSince(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	next := w.publish(p.stack.ID, "next")
	at := func(n int) time.Time { return w.at.Add(time.Duration(n) * time.Second) }
	steps := []struct {
		name    string
		object  stack.Object
		phase   delivery.Phase
		health  delivery.Health
		message string
		changed bool
		since   int
	}{
		1: {"first", p.object, delivery.PhaseApplying, delivery.HealthUnknown, "", true, 1},
		2: {"the same", p.object, delivery.PhaseApplying, delivery.HealthUnknown, "", false, 1},
		3: {"another message", p.object, delivery.PhaseApplying, delivery.HealthUnknown, "still", false, 1},
		4: {"another phase", p.object, delivery.PhaseApplied, delivery.HealthUnknown, "still", true, 4},
		5: {"another health", p.object, delivery.PhaseApplied, delivery.HealthHealthy, "still", true, 5},
		6: {"another object", next, delivery.PhaseApplied, delivery.HealthHealthy, "still", true, 5},
		7: {"back in health", next, delivery.PhaseApplied, delivery.HealthDegraded, "still", true, 7},
	}
	for i, s := range steps[1:] {
		n := i + 1
		if s.object.ID == next.ID && n == 6 {
			w.decide(p.stack.ID, w.assign(a, next))
		}
		r := w.report(s.object, s.phase, s.health)
		r.Message = s.message
		changed := w.record(a, at(n), r)
		wantSame(w.T, s.name+": reported as changed", len(changed) == 1, s.changed)
		want := delivery.Status{
			Agent: a, Stack: p.stack.ID, Object: s.object.ID, Sequence: s.object.Sequence, Phase: s.phase, Health: s.health,
			Message: s.message, ObservedAt: w.at, ReportedAt: at(n), Since: at(s.since),
		}
		wantSame(w.T, s.name, w.status(a, p.stack.ID), &want)
	}
}

func recordUnassigned(w *world) {
	p, foreign := w.place(1), w.place(1)
	a := p.agents[0].ID
	unknown := stack.Object{ID: newID[stack.ObjectID](), Stack: newID[stack.ID](), Sequence: 99}
	changed := w.record(a, w.at,
		w.report(foreign.object, delivery.PhaseApplied, delivery.HealthHealthy),
		w.report(unknown, delivery.PhaseApplied, delivery.HealthHealthy),
		w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))
	if len(changed) != 1 || changed[0].Stack != p.stack.ID {
		w.Fatalf("changed: got %v, want the assigned stack only", changed)
	}
	if s := w.status(foreign.agents[0].ID, foreign.stack.ID); s != nil {
		w.Fatalf("status of the other agent: got %+v, want none", s)
	}
	wantSame(w.T, "changed of an unknown agent", len(w.record(newID[agent.ID](), w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))), 0)
}

func recordLower(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	next := w.publish(p.stack.ID, "next")
	w.decide(p.stack.ID, w.assign(a, next))
	w.record(a, w.at, w.report(next, delivery.PhaseApplying, delivery.HealthUnknown))
	want := w.status(a, p.stack.ID)
	late := w.at.Add(time.Minute)
	wantSame(w.T, "changed by an old report", len(w.record(a, late, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))), 0)
	wantSame(w.T, "status after an old report", w.status(a, p.stack.ID), want)
}

func recordTwice(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	next := w.publish(p.stack.ID, "next")
	w.decide(p.stack.ID, w.assign(a, next))
	w.record(a, w.at,
		w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy),
		w.report(next, delivery.PhaseApplying, delivery.HealthProgressing),
		w.report(p.object, delivery.PhaseFailed, delivery.HealthFailing),
		w.report(next, delivery.PhaseApplied, delivery.HealthProgressing))
	got := w.status(a, p.stack.ID)
	if got == nil || got.Object != next.ID || got.Phase != delivery.PhaseApplied || got.Health != delivery.HealthProgressing {
		w.Fatalf("status: got %+v, want the last report of the newest object", got)
	}
}

func recordGoes(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	w.record(a, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))
	rev := w.decide(p.stack.ID, w.remove(a, p.object))[a]
	if w.status(a, p.stack.ID) == nil {
		w.Fatal("the tombstone lost its status")
	}
	gone, err := w.Reports().Acknowledge(w.ctx, a, delivery.Removal{Stack: p.stack.ID, Revision: rev})
	wantNone(w.T, "acknowledge", err)
	wantSame(w.T, "gone", gone, true)
	w.decide(p.stack.ID, w.assign(a, p.object))
	if s := w.status(a, p.stack.ID); s != nil {
		w.Fatalf("status of the new assignment: got %+v, want none", s)
	}
}

func recordRemoving(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	w.decide(p.stack.ID, w.remove(a, p.object))
	changed := w.record(a, w.at, w.report(p.object, delivery.PhaseRemoving, delivery.HealthUnknown))
	wantSame(w.T, "changed", len(changed), 1)
	if s := w.status(a, p.stack.ID); s == nil || s.Phase != delivery.PhaseRemoving {
		w.Fatalf("status: got %+v, want removing", s)
	}
}

func recordOwn(w *world) {
	p := w.place(2)
	w.record(p.agents[0].ID, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))
	if s := w.status(p.agents[1].ID, p.stack.ID); s != nil {
		w.Fatalf("status of the other agent: got %+v, want none", s)
	}
}

func recordNothing(w *world) {
	p := w.place(1)
	wantSame(w.T, "changed", len(w.record(p.agents[0].ID, w.at)), 0)
}

func recordVersions(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	av, sv := w.agentVersions(a), w.stackVersions(p.stack.ID)
	rev, _ := w.held(a)
	w.record(a, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))
	av.kept("a report")
	sv.kept("a report")
	now, _ := w.held(a)
	wantSame(w.T, "revision after a report", now, rev)
}
