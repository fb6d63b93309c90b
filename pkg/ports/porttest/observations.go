package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func observationCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is added is listed in order of time":       observationListed,
		"what is not assigned is dropped":                observationForeign,
		"a removal and a deleted agent give no right":    observationRemoved,
		"a parcel that is sent again changes nothing":    observationRepeated,
		"two parcels of one process at once are refused": observationTwice,
		"processes count for themselves":                 observationProcesses,
		"a window bounds what is read":                   observationWindow,
		"only the owner and everybody's scope see":       observationScopes,
		"a deleted stack has none":                       observationDeletedStack,
		"what is old goes, the rest stays":               observationKeep,
		"many at once are all stored":                    observationMany,
		"a failed transaction stores nothing":            observationRollback,
		"text of any kind is stored":                     observationText,
	}
}

func (w *world) observationMethods() map[string]method {
	a, s := newID[agent.ID](), newID[stack.ID]()
	return map[string]method{
		"Observations.Add": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Observations().Add(ctx, w.at, []observation.Parcel{{Agent: a, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{{Stack: s, At: w.at}}}}))
		},
		"Observations.Events": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Observations().Events(ctx, everything, s, observation.Window{Limit: 1}))
		},
		"Observations.Logs": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Observations().Logs(ctx, everything, s, observation.Window{Limit: 1}))
		},
		"Observations.Keep": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Observations().Keep(ctx, w.at.Add(-time.Hour), w.at.Add(time.Hour)))
		},
	}
}

// line is a line of the stack's only pod, n seconds after the world's moment.
func (w *world) line(s stack.ID, n int) observation.Line {
	return observation.Line{Stack: s, Namespace: "shop", Pod: "web-0", Container: "app", At: w.at.Add(time.Duration(n) * time.Second), Text: fmt.Sprint("line ", n)}
}

func (w *world) kubeEvent(s stack.ID, n int) observation.Event {
	return observation.Event{
		Stack: s, ObservedAt: w.at.Add(time.Duration(n) * time.Second), Reason: "Pulled", Message: fmt.Sprint("event ", n), Type: "Normal", Source: "kubelet",
		Object: observation.Object{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web-0", UID: uuid.NewString()},
	}
}

func (w *world) observe(parcels ...observation.Parcel) []observation.Receipt {
	w.Helper()
	got, err := w.Observations().Add(w.ctx, w.at, parcels)
	wantNone(w.T, "add observations", err)
	if len(got) != len(parcels) {
		w.Fatalf("got %d receipts of %d parcels", len(got), len(parcels))
	}
	return got
}

// all is a window onto everything.
var all = observation.Window{Limit: 1000} //nolint:gochecknoglobals // constant

func (w *world) logs(s stack.ID) observation.Logs {
	w.Helper()
	got, err := w.Observations().Logs(w.ctx, everything, s, all)
	wantNone(w.T, "logs", err)
	return got
}

func (w *world) kubeEvents(s stack.ID) observation.Events {
	w.Helper()
	got, err := w.Observations().Events(w.ctx, everything, s, all)
	wantNone(w.T, "events", err)
	return got
}

// wantObserved compares but for the ids, which the store gives and which must be different.
func wantObserved[T any](t *testing.T, what string, got, want []T, id func(T) observation.ID) {
	t.Helper()
	seen := map[observation.ID]bool{}
	for _, v := range got {
		seen[id(v)] = true
	}
	if len(seen) != len(got) || seen[""] {
		t.Fatalf("%s: got ids %v, want each to have its own", what, seen)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(observation.ID(""))); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func lineID(l observation.Line) observation.ID   { return l.ID }
func eventID(e observation.Event) observation.ID { return e.ID }

func observationListed(w *world) {
	p := w.place(2)
	a, b, s := p.agents[0].ID, p.agents[1].ID, p.stack.ID
	gap := observation.Gap{Stack: s, Since: w.at, Dropped: 7, Reason: observation.GapRateLimit}
	unknown := observation.Gap{Stack: s, Since: w.at.Add(time.Second), Reason: observation.GapDisconnected}
	same := w.line(s, 1)
	same.Text = "at the same moment"
	first, last := w.kubeEvent(s, 1), w.kubeEvent(s, 2)
	got := w.observe(
		observation.Parcel{Agent: a, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{w.line(s, 3), w.line(s, 1), same}, Events: []observation.Event{last}, Gaps: []observation.Gap{unknown, gap}},
		observation.Parcel{Agent: b, Lines: []observation.Line{w.line(s, 2)}, Events: []observation.Event{first}})
	wantSame(w.T, "receipts", got, []observation.Receipt{{Admitted: map[stack.ID]bool{s: true}}, {Admitted: map[stack.ID]bool{s: true}}})
	own := func(l observation.Line, who agent.ID) observation.Line {
		l.Agent, l.CreatedAt = who, w.at
		return l
	}
	logs := w.logs(s)
	wantObserved(w.T, "lines", logs.Lines, []observation.Line{own(w.line(s, 1), a), own(same, a), own(w.line(s, 2), b), own(w.line(s, 3), a)}, lineID)
	gap.Agent, gap.CreatedAt, unknown.Agent, unknown.CreatedAt = a, w.at, a, w.at
	wantSame(w.T, "gaps", logs.Gaps, []observation.Gap{gap, unknown})
	wantSame(w.T, "oldest line", logs.Oldest, &w.at)
	events := w.kubeEvents(s)
	first.Agent, first.CreatedAt, last.Agent, last.CreatedAt = b, w.at, a, w.at
	wantObserved(w.T, "events", events.List, []observation.Event{first, last}, eventID)
	wantSame(w.T, "oldest event", events.Oldest, &w.at)
}

func observationForeign(w *world) {
	p, foreign := w.place(1), w.place(1)
	a, mine, theirs, nobodys := p.agents[0].ID, p.stack.ID, foreign.stack.ID, newID[stack.ID]()
	got := w.observe(observation.Parcel{
		Agent: a, Lines: []observation.Line{w.line(theirs, 1), w.line(mine, 1), w.line(nobodys, 1)},
		Events: []observation.Event{w.kubeEvent(theirs, 1), w.kubeEvent(nobodys, 1)},
		Gaps:   []observation.Gap{{Stack: theirs, Since: w.at, Reason: observation.GapRateLimit}},
	})
	wantSame(w.T, "receipts", got, []observation.Receipt{{Admitted: map[stack.ID]bool{mine: true}}})
	wantSame(w.T, "mine", len(w.logs(mine).Lines), 1)
	wantSame(w.T, "theirs", w.logs(theirs), observation.Logs{})
	wantSame(w.T, "their events", w.kubeEvents(theirs), observation.Events{})
	wantSame(w.T, "receipts of an unknown agent", w.observe(observation.Parcel{Agent: newID[agent.ID](), Lines: []observation.Line{w.line(mine, 2)}}), []observation.Receipt{{}})
	wantSame(w.T, "mine after a stranger", len(w.logs(mine).Lines), 1)
}

func observationRemoved(w *world) {
	p := w.place(2)
	a, b, s := p.agents[0].ID, p.agents[1].ID, p.stack.ID
	w.decide(s, w.remove(a, p.object))
	wantNone(w.T, "delete agent", w.Agents().Delete(w.ctx, b, w.at))
	got := w.observe(observation.Parcel{Agent: a, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{w.line(s, 1)}}, observation.Parcel{Agent: b, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{w.line(s, 1)}})
	if got[0].Admitted[s] || got[1].Admitted[s] {
		w.Fatalf("receipts: got %+v, want nothing admitted", got)
	}
	wantSame(w.T, "lines", w.logs(s), observation.Logs{})
}

func observationRepeated(w *world) {
	p := w.place(1)
	a, s, boot := p.agents[0].ID, p.stack.ID, uuid.NewString()
	send := func(seq int64) bool {
		w.Helper()
		return w.observe(observation.Parcel{Agent: a, Boot: boot, Seq: seq, Lines: []observation.Line{w.line(s, int(seq))}})[0].Repeated
	}
	for i, step := range []struct {
		seq      int64
		repeated bool
	}{{1, false}, {1, true}, {3, false}, {2, true}, {3, true}, {4, false}} {
		wantSame(w.T, fmt.Sprintf("step %d: repeated", i), send(step.seq), step.repeated)
	}
	var texts []string
	for _, l := range w.logs(s).Lines {
		texts = append(texts, l.Text)
	}
	wantSame(w.T, "lines", texts, []string{"line 1", "line 3", "line 4"})
}

func observationTwice(w *world) {
	p := w.place(1)
	a, boot := p.agents[0].ID, uuid.NewString()
	_, err := w.Observations().Add(w.ctx, w.at, []observation.Parcel{
		{Agent: a, Boot: boot, Seq: 1, Lines: []observation.Line{w.line(p.stack.ID, 1)}},
		{Agent: a, Boot: boot, Seq: 2, Lines: []observation.Line{w.line(p.stack.ID, 2)}},
	})
	wantKind(w.T, "add", err, fault.Invalid)
	wantSame(w.T, "lines", w.logs(p.stack.ID), observation.Logs{})
}

func observationProcesses(w *world) {
	p := w.place(2)
	one, two := uuid.NewString(), uuid.NewString()
	l := []observation.Line{w.line(p.stack.ID, 1)}
	for i, r := range w.observe(
		observation.Parcel{Agent: p.agents[0].ID, Boot: one, Seq: 5, Lines: l},
		observation.Parcel{Agent: p.agents[0].ID, Boot: two, Seq: 1, Lines: l},
		observation.Parcel{Agent: p.agents[1].ID, Boot: one, Seq: 1, Lines: l},
		observation.Parcel{Agent: p.agents[0].ID, Lines: l},
		observation.Parcel{Agent: p.agents[0].ID, Lines: l}) {
		if r.Repeated {
			w.Errorf("parcel %d is taken for a repeated one", i)
		}
	}
	wantSame(w.T, "lines", len(w.logs(p.stack.ID).Lines), 5)
}

func observationWindow(w *world) {
	p := w.place(1)
	a, s := p.agents[0].ID, p.stack.ID
	add := func(at time.Time, from, to int) {
		w.Helper()
		parcel := observation.Parcel{Agent: a}
		for i := from; i < to; i++ {
			parcel.Lines, parcel.Events = append(parcel.Lines, w.line(s, i)), append(parcel.Events, w.kubeEvent(s, i))
		}
		_, err := w.Observations().Add(w.ctx, at, []observation.Parcel{parcel})
		wantNone(w.T, "add", err)
	}
	early, late := w.at.Add(-2*time.Hour), w.at
	add(early, 0, 2)
	add(late, 2, 10)
	for name, tt := range map[string]struct {
		window observation.Window
		want   []string
		oldest *time.Time
	}{
		"the newest":          {observation.Window{Limit: 2}, []string{"8", "9"}, &early},
		"since":               {observation.Window{Since: late, Limit: 3}, []string{"7", "8", "9"}, &early},
		"kept":                {observation.Window{Kept: late, Limit: 3}, []string{"7", "8", "9"}, &late},
		"nothing is kept":     {observation.Window{Kept: late.Add(time.Second), Limit: 3}, nil, nil},
		"nothing is wanted":   {observation.Window{Since: late.Add(time.Microsecond), Limit: 3}, nil, &early},
		"more than there are": {observation.Window{Since: early, Limit: 100}, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, &early},
	} {
		logs, err := w.Observations().Logs(w.ctx, everything, s, tt.window)
		wantNone(w.T, name, err)
		events, err := w.Observations().Events(w.ctx, everything, s, tt.window)
		wantNone(w.T, name, err)
		var lines, messages, wantLines, wantMessages []string
		for _, l := range logs.Lines {
			lines = append(lines, l.Text)
		}
		for _, e := range events.List {
			messages = append(messages, e.Message)
		}
		for _, n := range tt.want {
			wantLines, wantMessages = append(wantLines, "line "+n), append(wantMessages, "event "+n)
		}
		wantSame(w.T, name+": lines", lines, wantLines)
		wantSame(w.T, name+": events", messages, wantMessages)
		wantSame(w.T, name+": oldest line", logs.Oldest, tt.oldest)
		wantSame(w.T, name+": oldest event", events.Oldest, tt.oldest)
	}
}

func observationScopes(w *world) {
	p := w.place(1)
	a, s := p.agents[0].ID, p.stack.ID
	other := w.generator("another")
	w.observe(observation.Parcel{Agent: a, Lines: []observation.Line{w.line(s, 1)}, Events: []observation.Event{w.kubeEvent(s, 1)}})
	for name, tt := range map[string]struct {
		scope tenancy.Scope
		want  int
	}{
		"everybody": {everything, 1},
		"the owner": {tenancy.Scope{Generator: p.generator.ID}, 1},
		"another":   {tenancy.Scope{Generator: other.ID}, 0},
		"the agent": {tenancy.Scope{Agent: a}, 0},
		"nobody":    {tenancy.Scope{}, 0},
	} {
		logs, err := w.Observations().Logs(w.ctx, tt.scope, s, all)
		wantNone(w.T, name, err)
		events, err := w.Observations().Events(w.ctx, tt.scope, s, all)
		wantNone(w.T, name, err)
		wantSame(w.T, name+": lines and events", []int{len(logs.Lines), len(events.List)}, []int{tt.want, tt.want})
		wantSame(w.T, name+": oldest", []bool{logs.Oldest != nil, events.Oldest != nil}, []bool{tt.want > 0, tt.want > 0})
	}
}

func observationDeletedStack(w *world) {
	p := w.place(1)
	w.observe(observation.Parcel{Agent: p.agents[0].ID, Lines: []observation.Line{w.line(p.stack.ID, 1)}})
	wantNone(w.T, "delete stack", w.Stacks().Delete(w.ctx, p.stack.ID, w.at))
	wantSame(w.T, "lines", w.logs(p.stack.ID), observation.Logs{})
}

func observationKeep(w *world) {
	p := w.place(1)
	a, s := p.agents[0].ID, p.stack.ID
	for hour := range 4 {
		parcel := observation.Parcel{Agent: a, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{w.line(s, hour)}, Events: []observation.Event{w.kubeEvent(s, hour)}}
		_, err := w.Observations().Add(w.ctx, w.at.Add(time.Duration(hour-3)*time.Hour), []observation.Parcel{parcel})
		wantNone(w.T, "add", err)
	}
	for range 2 { // the second time finds nothing to do
		_, err := w.Observations().Keep(w.ctx, w.at.Add(-30*time.Minute), w.at.Add(2*time.Hour))
		wantNone(w.T, "keep", err)
		logs, events := w.logs(s).Lines, w.kubeEvents(s).List
		if n := len(logs); n < 1 || n > 2 || logs[n-1].Text != "line 3" {
			w.Fatalf("lines: got %v, want the last one and at most one hour more", logs)
		}
		if n := len(events); n < 1 || n > 2 || events[n-1].Message != "event 3" {
			w.Fatalf("events: got %v, want the last one and at most one hour more", events)
		}
	}
	w.observe(observation.Parcel{Agent: a, Lines: []observation.Line{w.line(s, 9)}})
}

func observationMany(w *world) {
	const senders, parcels, lines = 4, 5, 200
	p := w.place(senders)
	for _, err := range race(senders, func(i int) error {
		boot := uuid.NewString()
		for n := range parcels {
			parcel := observation.Parcel{Agent: p.agents[i].ID, Boot: boot, Seq: int64(n + 1)}
			for l := range lines {
				parcel.Lines = append(parcel.Lines, w.line(p.stack.ID, n*lines+l))
			}
			if _, err := w.Observations().Add(w.ctx, w.at, []observation.Parcel{parcel}); err != nil {
				return err
			}
		}
		return nil
	}) {
		wantNone(w.T, "add", err)
	}
	got, err := w.Observations().Logs(w.ctx, everything, p.stack.ID, observation.Window{Limit: 10000})
	wantNone(w.T, "logs", err)
	wantSame(w.T, "lines", len(got.Lines), senders*parcels*lines)
}

func observationRollback(w *world) {
	p := w.place(1)
	parcel := observation.Parcel{Agent: p.agents[0].ID, Boot: uuid.NewString(), Seq: 1, Lines: []observation.Line{w.line(p.stack.ID, 1)}}
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Observations().Add(ctx, w.at, []observation.Parcel{parcel}); err != nil {
			return err
		}
		return errClosure
	})
	if err == nil {
		w.Fatal("the failing closure committed")
	}
	wantSame(w.T, "lines", w.logs(p.stack.ID), observation.Logs{})
	wantSame(w.T, "sent again: repeated", w.observe(parcel)[0].Repeated, false)
	wantSame(w.T, "lines", len(w.logs(p.stack.ID).Lines), 1)
}

func observationText(w *world) {
	p := w.place(1)
	l, e := w.line(p.stack.ID, 1), w.kubeEvent(p.stack.ID, 1)
	l.Text = "{\"a\\\\b\"}, 'quoted', \ttab, 日本語 \U0001F525 NULL"
	e.Message, e.Object = "", observation.Object{Kind: "Node", Name: "n"}
	w.observe(observation.Parcel{Agent: p.agents[0].ID, Lines: []observation.Line{l}, Events: []observation.Event{e}})
	wantSame(w.T, "line", w.logs(p.stack.ID).Lines[0].Text, l.Text)
	wantSame(w.T, "object", w.kubeEvents(p.stack.ID).List[0].Object, e.Object)
	bad := w.line(p.stack.ID, 2)
	bad.Text, bad.Pod = "a\x00b\xffc", "p\x00"
	w.observe(observation.Parcel{Agent: p.agents[0].ID, Lines: []observation.Line{bad}})
	wantSame(w.T, "lines", len(w.logs(p.stack.ID).Lines), 2)
}
