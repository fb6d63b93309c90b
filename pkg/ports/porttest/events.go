package porttest

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
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
		"many at once are as one by one":    eventsTogether,
		"many at once are all or none":      eventsAllOrNone,
		"old ones are trimmed":              eventsTrimmed,
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

func eventsTogether(w *world) {
	p := w.place(2)
	a, other := p.agents[0].ID, p.agents[1].ID
	objects := []stack.ObjectID{p.object.ID, w.publish(p.stack.ID, "next").ID, w.publish(p.stack.ID, "third").ID}
	batch := func(of agent.ID, status string, n int, objects ...stack.ObjectID) []agent.Event {
		var out []agent.Event
		for i, o := range objects {
			e := w.newAgentEvent(of, o, status, n+i)
			if i == 1 {
				e.Message = nil
			}
			out = append(out, e)
		}
		return out
	}
	for i, list := range [][]agent.Event{
		nil,
		batch(a, "FAILURE", 0, objects[1]),
		batch(a, "FAILURE", 10, objects...), // the second is another one: it has no message
		batch(a, "FAILURE", 20, objects[2], objects[1], objects[0]),
		batch(a, "SUCCESS", 30, objects[0], objects[1], objects[0], objects[0]), // one object several times
		batch(a, "SUCCESS", 40, objects...),
	} {
		got, err := w.Reports().AddEvents(w.ctx, list)
		wantNone(w.T, "add events", err)
		var want []agent.Event
		for _, e := range list {
			e.ID, e.Agent = newID[agent.EventID](), other
			want = append(want, w.addEvent(e))
		}
		if len(got) != len(want) {
			w.Fatalf("batch %d: got %d events, want %d", i, len(got), len(want))
		}
		for n := range got {
			if n > 0 && want[n].Count == 1 && want[n-1].Count == 1 && got[n].Ordinal <= got[n-1].Ordinal {
				w.Errorf("batch %d: event %d has ordinal %d after %d", i, n, got[n].Ordinal, got[n-1].Ordinal)
			}
			if got[n].Agent != a || (want[n].Count == 1 && got[n].ID != list[n].ID) {
				w.Errorf("batch %d: event %d is %+v, want that of the agent", i, n, got[n])
			}
			want[n].ID, want[n].Agent, want[n].Ordinal = got[n].ID, a, got[n].Ordinal
		}
		wantSame(w.T, "events", got, want)
	}
	wantSame(w.T, "number of events", len(w.events(a)), len(w.events(other)))
}

func eventsAllOrNone(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	_, err := w.Reports().AddEvents(w.ctx, []agent.Event{w.newAgentEvent(a, p.object.ID, "SUCCESS", 0), w.newAgentEvent(a, newID[stack.ObjectID](), "SUCCESS", 1)})
	wantCode(w.T, "with an unknown object", err, fault.NotFound, "deployment_object_not_found")
	unknown := newID[agent.ID]()
	_, err = w.Reports().AddEvents(w.ctx, []agent.Event{w.newAgentEvent(unknown, p.object.ID, "SUCCESS", 0), w.newAgentEvent(unknown, newID[stack.ObjectID](), "SUCCESS", 1)})
	wantCode(w.T, "of an unknown agent", err, fault.NotFound, "agent_not_found")
	wantSame(w.T, "events", len(w.events(a)), 0)
}

func eventsTrimmed(w *world) {
	p := w.place(2)
	a, b := p.agents[0].ID, p.agents[1].ID
	w.addEvent(w.newAgentEvent(a, p.object.ID, "FAILURE", 0))
	repeated := w.newAgentEvent(a, p.object.ID, "SUCCESS", 1)
	w.addEvent(repeated)
	w.addEvent(w.newAgentEvent(b, p.object.ID, "FAILURE", 2))
	w.addEvent(w.newAgentEvent(a, p.object.ID, "SUCCESS", 60)) // told again
	wantSame(w.T, "status of the agent", len(w.record(a, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy))), 1)
	_, before := w.held(a)
	trim := func(want int) {
		w.Helper()
		n, err := w.Reports().TrimEvents(w.ctx, w.at.Add(30*time.Second), 1)
		wantNone(w.T, "trim", err)
		wantSame(w.T, "trimmed", n, want)
	}
	trim(1)
	left := w.events(b)
	wantSame(w.T, "the oldest goes first", len(left), 1)
	trim(1)
	trim(0)
	events := w.events(a)
	if len(events) != 1 || events[0].ID != repeated.ID || events[0].Count != 2 {
		w.Fatalf("events that stay: got %+v, want the one that was told again", events)
	}
	wantSame(w.T, "events of the other agent", len(w.events(b)), 0)
	_, after := w.held(a)
	wantSame(w.T, "what the agent has, and its status", after, before)
	n, err := w.Reports().TrimEvents(w.ctx, w.at.Add(time.Hour), 10)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed", n, 1)
	wantSame(w.T, "count of what is told after the trim", w.addEvent(w.newAgentEvent(a, p.object.ID, "SUCCESS", 61)).Count, int64(1))
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
