package porttest

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func eventCases() map[string]func(*world) {
	return map[string]func(*world){
		"newest first":                      eventOrder,
		"a repetition updates one row":      eventRepeated,
		"the object and agent must exist":   eventUnknown,
		"values are copies":                 eventCopies,
		"racing repetitions make one event": eventRace,
	}
}

func (w *world) newAgentEvent(a agent.ID, o stack.ObjectID, status string, n int) agent.Event {
	at := w.at.Add(time.Duration(n) * time.Second)
	text := "said"
	return agent.Event{ID: newID[agent.EventID](), Agent: a, Object: o, Type: "DEPLOY", Status: status, Message: &text, CreatedAt: at, UpdatedAt: at}
}

func (w *world) addEvent(e agent.Event) agent.Event {
	w.Helper()
	got, err := w.Reports().AddEvent(w.ctx, e)
	wantNone(w.T, "add event", err)
	return got
}

func (w *world) events(a agent.ID) []agent.Event {
	w.Helper()
	return walk(w, w.Insights().Feed, tenancy.Scope{Agent: a}, agent.EventList().All(10))
}

func eventOrder(w *world) {
	p := w.place(2)
	a := p.agents[0].ID
	next := w.publish(p.stack.ID, "next")
	var want []agent.Event
	for n, o := range []stack.ObjectID{p.object.ID, next.ID} {
		e := w.newAgentEvent(a, o, "SUCCESS", n)
		got := w.addEvent(e)
		e.Count, e.Ordinal = 1, got.Ordinal
		wantSame(w.T, "event", got, e)
		want = append([]agent.Event{e}, want...)
	}
	w.addEvent(w.newAgentEvent(p.agents[1].ID, p.object.ID, "SUCCESS", 9))
	wantSame(w.T, "events, newest first", w.events(a), want)
	wantSame(w.T, "events of nobody", w.events(newID[agent.ID]()), nil)
}

func eventRepeated(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	first := w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 0))
	again := w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 5))
	want := first
	want.Count, want.UpdatedAt = 2, w.at.Add(5*time.Second)
	wantSame(w.T, "the repeated event", again, want)
	wantSame(w.T, "events", w.events(a), []agent.Event{want})

	other := w.newAgentEvent(a, p.object.ID, "FAILURE", 6)
	other.Message = nil
	other = w.addEvent(other)
	wantSame(w.T, "count of another message", other.Count, int64(1))
	silent := w.newAgentEvent(a, p.object.ID, "FAILURE", 7)
	silent.Message = nil
	wantSame(w.T, "count of no message again", w.addEvent(silent).Count, int64(2))
	w.addEvent(w.newAgentEvent(a, p.object.ID, "SUCCESS", 8))
	wantSame(w.T, "count of the first after others", w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 9)).Count, int64(1))
	wantSame(w.T, "number of events", len(w.events(a)), 4)

	// Another object's report stands on its own.
	next := w.publish(p.stack.ID, "next")
	wantSame(w.T, "count for another object", w.addEvent(w.newAgentEvent(a, next.ID, "FAILURE", 10)).Count, int64(1))
	wantSame(w.T, "count for the first object", w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 11)).Count, int64(2))
}

func eventUnknown(w *world) {
	p := w.place(1)
	_, err := w.Reports().AddEvent(w.ctx, w.newAgentEvent(p.agents[0].ID, newID[stack.ObjectID](), "SUCCESS", 0))
	wantCode(w.T, "for an unknown object", err, fault.NotFound, "deployment_object_not_found")
	_, err = w.Reports().AddEvent(w.ctx, w.newAgentEvent(newID[agent.ID](), p.object.ID, "SUCCESS", 0))
	wantCode(w.T, "of an unknown agent", err, fault.NotFound, "agent_not_found")
	wantSame(w.T, "events", len(w.events(p.agents[0].ID)), 0)
}

func eventCopies(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	e := w.newAgentEvent(a, p.object.ID, "SUCCESS", 0)
	stored := w.addEvent(e)
	*e.Message, *stored.Message = "changed", "changed"
	*w.events(a)[0].Message = "changed"
	wantSame(w.T, "message", *w.events(a)[0].Message, "said")
}

func eventRace(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 0))
	for _, err := range race(6, func(int) error {
		return discard(w.Reports().AddEvent(w.ctx, w.newAgentEvent(a, p.object.ID, "FAILURE", 1)))
	}) {
		wantNone(w.T, "add event", err)
	}
	list := w.events(a)
	if len(list) != 1 || list[0].Count != 7 {
		w.Fatalf("events: got %+v, want one that was counted 7 times", list)
	}
}
