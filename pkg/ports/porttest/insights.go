package porttest

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func insightCases() map[string]func(*world) {
	return map[string]func(*world){
		"healths are what agents said last":       healthsOfStack,
		"a summary lives as long as its health":   healthSummary,
		"a fleet record counts what is open":      fleetRecord,
		"the fleet is cut to whoever looks":       fleetScope,
		"the feed is of all agents, newest first": feedOrder,
		"the feed's pages ignore what is new":     feedPages,
		"the feed is cut to whoever looks":        feedScope,
		"one event is found":                      eventFound,
	}
}

func (w *world) insightMethods() map[string]method {
	return map[string]method{
		"Insights.Healths": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Insights().Healths(ctx, newID[stack.ID]()))
		},
		"Insights.Fleet": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Insights().Fleet(ctx, everything, nil))
		},
		"Insights.Event": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Insights().Event(ctx, newID[agent.EventID]()))
		},
		"Insights.Feed": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Insights().Feed(ctx, everything, agent.EventList().All(10)))
		},
	}
}

func (w *world) healths(s stack.ID) []delivery.HealthRecord {
	w.Helper()
	list, err := w.Insights().Healths(w.ctx, s)
	wantNone(w.T, "healths", err)
	return list
}

func healthsOfStack(w *world) {
	p := w.place(3)
	wantSame(w.T, "healths before any report", w.healths(p.stack.ID), nil)
	next := w.publish(p.stack.ID, "next")
	a, b, c := p.agents[0].ID, p.agents[1].ID, p.agents[2].ID
	w.decide(p.stack.ID, w.assign(a, next))
	first := w.report(p.object, delivery.PhaseApplied, delivery.HealthDegraded)
	first.Summary = `{"pods_ready":1}`
	w.record(b, w.at, first)
	second := w.report(next, delivery.PhaseApplied, delivery.HealthHealthy)
	w.record(a, w.at.Add(time.Second), second)
	w.record(c, w.at, first)
	w.decide(p.stack.ID, w.remove(c, p.object))
	want := []delivery.HealthRecord{
		{Agent: a, Object: next.ID, Sequence: next.Sequence, Health: delivery.HealthHealthy, CheckedAt: w.at, Since: w.at.Add(time.Second), ReportedAt: w.at.Add(time.Second)},
		{Agent: b, Object: p.object.ID, Sequence: p.object.Sequence, Health: delivery.HealthDegraded, Summary: first.Summary, CheckedAt: w.at, Since: w.at, ReportedAt: w.at},
	}
	wantSame(w.T, "healths", w.healths(p.stack.ID), want)
	wantSame(w.T, "healths of nothing", w.healths(newID[stack.ID]()), nil)
}

func healthSummary(w *world) {
	p := w.place(1)
	a := p.agents[0].ID
	told := func(what string, r delivery.Report, want string) {
		w.Helper()
		w.record(a, w.at, r)
		got := w.healths(p.stack.ID)
		wantSame(w.T, "records "+what, len(got), 1)
		wantSame(w.T, "summary "+what, got[0].Summary, want)
	}
	r := w.report(p.object, delivery.PhaseApplied, delivery.HealthHealthy)
	r.Summary = "one"
	told("as sent", r, "one")
	r.Summary = ""
	told("kept by a report that has none", r, "one")
	r.Summary = "two"
	told("replaced", r, "two")
	r.Summary, r.Health = "", delivery.HealthFailing
	told("of another health", r, "")
	r.Summary = "three"
	told("again", r, "three")
	next := w.publish(p.stack.ID, "next")
	w.decide(p.stack.ID, w.assign(a, next))
	told("of another object", w.report(next, delivery.PhaseApplied, delivery.HealthFailing), "")
}

func (w *world) fleet(scope tenancy.Scope, ids ...agent.ID) []fleet.Record {
	w.Helper()
	list, err := w.Insights().Fleet(w.ctx, scope, ids)
	wantNone(w.T, "fleet", err)
	return list
}

func fleetRecord(w *world) {
	p, q := w.place(1), w.place(0)
	a := p.agents[0]
	record := func() fleet.Record {
		w.Helper()
		list := w.fleet(everything, a.ID)
		wantSame(w.T, "records", len(list), 1)
		return list[0]
	}
	base := fleet.Record{Agent: a.ID, Name: a.Name, ClusterName: a.ClusterName, Status: a.Status}
	want := base
	want.Assigned, want.PendingObjects = 1, 1
	wantSame(w.T, "of an agent that has said nothing", record(), want)

	yes, ms := true, int32(7)
	wantNone(w.T, "beat", w.Agents().Beat(w.ctx, []agent.Heartbeat{{Agent: a.ID, At: w.at, K8sReachable: &yes, K8sLatencyMS: &ms}}))
	base.LastHeartbeat, base.K8sReachable, base.K8sLatencyMS = &w.at, &yes, &ms
	w.record(a.ID, w.at, w.report(p.object, delivery.PhaseApplied, delivery.HealthFailing))
	want = base
	want.Assigned, want.HealthFailing = 1, 1
	wantSame(w.T, "of one that has applied what fails", record(), want)

	for _, c := range []struct {
		health   delivery.Health
		degraded int64
	}{{delivery.HealthDegraded, 1}, {delivery.HealthProgressing, 1}, {delivery.HealthHealthy, 0}, {delivery.HealthUnknown, 0}} {
		w.record(a.ID, w.at, w.report(p.object, delivery.PhaseApplied, c.health))
		want = base
		want.Assigned, want.HealthDegraded = 1, c.degraded
		wantSame(w.T, "health "+string(c.health), record(), want)
	}

	next := w.publish(p.stack.ID, "next")
	w.decide(p.stack.ID, w.assign(a.ID, next))
	other := w.publish(q.stack.ID, "other")
	w.decide(q.stack.ID, w.assign(a.ID, other))
	w.record(a.ID, w.at, w.report(other, delivery.PhaseFailed, delivery.HealthFailing))
	want = base
	want.Assigned, want.PendingObjects, want.HealthFailing = 2, 2, 1
	wantSame(w.T, "of one that is behind with one stack and failed with another", record(), want)
	w.decide(q.stack.ID, w.remove(a.ID, other))
	want.Assigned, want.HealthFailing = 1, 0
	wantSame(w.T, "of one that has something to remove", record(), want)

	first := w.addEvent(w.newAgentEvent(a.ID, p.object.ID, "FAILURE", 1))
	w.addEvent(w.newAgentEvent(a.ID, next.ID, "SUCCESS", 2))
	first.UpdatedAt = w.at.Add(9 * time.Second)
	first = w.addEvent(first)
	want.LastEventAt = &first.UpdatedAt
	wantSame(w.T, "the last event, a repetition of the first", record(), want)
}

func agentsOf(list []fleet.Record) []agent.ID {
	var out []agent.ID
	for _, r := range list {
		out = append(out, r.Agent)
	}
	return out
}

func fleetScope(w *world) {
	p := w.place(2)
	stranger := w.agent("zz-stranger")
	gone := w.agent("gone")
	wantNone(w.T, "delete agent", w.Agents().Delete(w.ctx, gone.ID, w.at))
	w.consent(stranger.ID, p.generator.ID, tenancy.RegistrationPending)
	both := []agent.ID{p.agents[0].ID, p.agents[1].ID}
	mine, other := tenancy.Scope{Generator: p.generator.ID}, tenancy.Scope{Generator: newID[tenancy.GeneratorID]()}
	for _, ids := range [][]agent.ID{nil, {both[0], both[1], stranger.ID, gone.ID}} {
		wantSame(w.T, "everybody's", agentsOf(w.fleet(everything, ids...)), append(slices.Clone(both), stranger.ID))
		wantSame(w.T, "the generator's", agentsOf(w.fleet(mine, ids...)), both)
		wantSame(w.T, "another's", agentsOf(w.fleet(other, ids...)), nil)
		wantSame(w.T, "the agent's", agentsOf(w.fleet(tenancy.Scope{Agent: both[1]}, ids...)), both[1:])
		wantSame(w.T, "nobody's", agentsOf(w.fleet(tenancy.Scope{}, ids...)), nil)
	}
	wantSame(w.T, "some of them", agentsOf(w.fleet(everything, stranger.ID, both[0], newID[agent.ID]())), []agent.ID{both[0], stranger.ID})
	wantSame(w.T, "some of the generator's", agentsOf(w.fleet(mine, stranger.ID, both[0])), both[:1])
	wantSame(w.T, "another one than the agent", agentsOf(w.fleet(tenancy.Scope{Agent: both[1]}, both[0])), nil)
	none, err := w.Insights().Fleet(w.ctx, everything, []agent.ID{})
	wantNone(w.T, "fleet", err)
	wantSame(w.T, "none of them", agentsOf(none), nil)
}

// feed returns the whole feed, read in pages of this size.
func (w *world) feed(scope tenancy.Scope, limit int) []agent.Event {
	w.Helper()
	return walk(w, w.Insights().Feed, scope, agent.EventList().All(limit))
}

// chatter adds events of two agents about two stacks and returns them, newest first.
func chatter(w *world) (p, q placed, all []agent.Event) {
	p, q = w.place(1), w.place(1)
	for n := range 5 {
		from := p
		if n%2 == 1 {
			from = q
		}
		e := w.newAgentEvent(from.agents[0].ID, from.object.ID, "STEP", n)
		text := string(rune('a' + n))
		e.Message = &text
		all = append([]agent.Event{w.addEvent(e)}, all...)
	}
	return p, q, all
}

func feedOrder(w *world) {
	_, _, all := chatter(w)
	for _, limit := range []int{1, 2, 5, 9} {
		wantSame(w.T, "the feed", w.feed(everything, limit), all)
	}
}

func feedPages(w *world) {
	p, _, all := chatter(w)
	q := agent.EventList().All(2)
	first, err := w.Insights().Feed(w.ctx, everything, q)
	wantNone(w.T, "feed", err)
	wantSame(w.T, "first page", first.Items, all[:2])
	w.addEvent(w.newAgentEvent(p.agents[0].ID, p.object.ID, "LATE", 9))
	q.After = first.Next
	second, err := w.Insights().Feed(w.ctx, everything, q)
	wantNone(w.T, "feed", err)
	wantSame(w.T, "second page", second.Items, all[2:4])
}

func feedScope(w *world) {
	p, q, all := chatter(w)
	of := func(a agent.ID) []agent.Event {
		return slices.DeleteFunc(slices.Clone(all), func(e agent.Event) bool { return e.Agent != a })
	}
	everyOrder(w, agent.EventList(), w.Insights().Feed, all)
	for name, c := range map[string]struct {
		is   only
		want []agent.Event
	}{
		"agent":        {only{"agent_id": string(p.agents[0].ID)}, of(p.agents[0].ID)},
		"object":       {only{"deployment_object_id": string(q.object.ID), "event_type": "DEPLOY"}, of(q.agents[0].ID)},
		"owner":        {only{"generator_id": string(q.generator.ID)}, of(q.agents[0].ID)},
		"status":       {only{"status": "STEP"}, all},
		"other status": {only{"status": "FAILURE"}, nil},
		"other type":   {only{"event_type": "REMOVE"}, nil},
	} {
		wanted := agent.EventList().All(2)
		wanted.Is = c.is
		wantSame(w.T, "filtered by "+name, walk(w, w.Insights().Feed, everything, wanted), c.want)
	}
	wantSame(w.T, "the owner's", w.feed(tenancy.Scope{Generator: p.generator.ID}, 2), of(p.agents[0].ID))
	wantSame(w.T, "the agent's", w.feed(tenancy.Scope{Agent: q.agents[0].ID}, 2), of(q.agents[0].ID))
	wantSame(w.T, "another's", w.feed(tenancy.Scope{Generator: newID[tenancy.GeneratorID]()}, 2), nil)
	wantSame(w.T, "nobody's", w.feed(tenancy.Scope{}, 2), nil)
}

func eventFound(w *world) {
	_, _, all := chatter(w)
	got, err := w.Insights().Event(w.ctx, all[2].ID)
	wantNone(w.T, "event", err)
	wantSame(w.T, "event", got, all[2])
	for _, id := range []agent.EventID{newID[agent.EventID](), "not an id"} {
		_, err = w.Insights().Event(w.ctx, id)
		wantCode(w.T, "unknown event", err, fault.NotFound, "agent_event_not_found")
	}
}
