package app

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// ObjectHealth is what agents say of the health of one deployment object.
type ObjectHealth struct {
	Object  stack.ObjectID
	Overall delivery.Health
	Records []delivery.HealthRecord
}

// StackHealth is what agents say of the health of a stack's objects, newest object first.
type StackHealth struct {
	Stack   stack.ID
	Overall delivery.Health
	Objects []ObjectHealth
}

// ObjectHealth returns the health of a deployment object, in the words of the contract, to an admin. An agent that has gone on to
// another object of the stack says nothing of this one.
func (a *App) ObjectHealth(ctx context.Context, p tenancy.Principal, id stack.ObjectID) (ObjectHealth, error) {
	o, err := a.Store.Objects().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return ObjectHealth{}, fmt.Errorf("get object: %w", err)
	}
	all, err := a.Store.Insights().Healths(ctx, o.Stack)
	if err != nil {
		return ObjectHealth{}, fmt.Errorf("list healths: %w", err)
	}
	out := ObjectHealth{Object: id}
	for _, r := range all {
		if r.Object == id {
			out.add(r)
		}
	}
	out.Overall = out.worst()
	return out, nil
}

func (h *ObjectHealth) add(r delivery.HealthRecord) {
	r.Health = r.Health.Published()
	h.Records = append(h.Records, r)
}

func (h *ObjectHealth) worst() delivery.Health {
	all := make([]delivery.Health, len(h.Records))
	for i, r := range h.Records {
		all[i] = r.Health
	}
	return delivery.Worst(all...)
}

// Count returns how many agents report this health.
func (h *ObjectHealth) Count(of delivery.Health) int {
	n := 0
	for _, r := range h.Records {
		if r.Health == of {
			n++
		}
	}
	return n
}

// StackHealth returns the health of the stack's newest object and of those that agents still have, to an admin.
func (a *App) StackHealth(ctx context.Context, p tenancy.Principal, s stack.ID) (StackHealth, error) {
	if _, err := a.GetStack(ctx, p, s); err != nil {
		return StackHealth{}, err
	}
	newest, err := a.Store.Objects().Newest(ctx, s)
	published := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return StackHealth{}, fmt.Errorf("get the newest object: %w", err)
	}
	all, err := a.Store.Insights().Healths(ctx, s)
	if err != nil {
		return StackHealth{}, fmt.Errorf("list healths: %w", err)
	}
	out := StackHealth{Stack: s}
	if published && (len(all) == 0 || all[0].Object != newest.ID) {
		out.Objects = append(out.Objects, ObjectHealth{Object: newest.ID})
	}
	for _, r := range all { // those of one object are side by side
		if n := len(out.Objects); n == 0 || out.Objects[n-1].Object != r.Object {
			out.Objects = append(out.Objects, ObjectHealth{Object: r.Object})
		}
		out.Objects[len(out.Objects)-1].add(r)
	}
	overall := make([]delivery.Health, len(out.Objects))
	for i := range out.Objects {
		out.Objects[i].Overall = out.Objects[i].worst()
		overall[i] = out.Objects[i].Overall
	}
	out.Overall = delivery.Worst(overall...)
	return out, nil
}

// FleetMember is an agent with its record.
type FleetMember struct {
	Agent  agent.Agent
	Record fleet.Record
}

// FleetList says how the fleet is listed: as agents are.
func FleetList() page.List[FleetMember] {
	return page.Of(agent.List(), func(m FleetMember) agent.Agent { return m.Agent })
}

// Fleet returns a page of the agents with a record of each, to an admin. The agents of a generator that is not there are NotFound,
// those of the system's generator Forbidden.
func (a *App) Fleet(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[FleetMember], error) {
	if err := a.checkTenant(ctx, p, q); err != nil {
		return page.Page[FleetMember]{}, err
	}
	agents, err := a.Store.Agents().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[FleetMember]{}, fmt.Errorf("list agents: %w", err)
	}
	ids := make([]agent.ID, len(agents.Items))
	for i, v := range agents.Items {
		ids[i] = v.ID
	}
	records, err := a.Store.Insights().Fleet(ctx, tenancy.ScopeOf(p), ids)
	if err != nil {
		return page.Page[FleetMember]{}, fmt.Errorf("list the fleet: %w", err)
	}
	of, since := make(map[agent.ID]fleet.Record, len(records)), a.Connected(ctx, ids)
	for _, r := range records {
		of[r.Agent] = connectedSince(r, since)
	}
	out := page.Page[FleetMember]{Next: agents.Next, Total: agents.Total}
	for _, v := range agents.Items {
		if r, there := of[v.ID]; there { // else it was deleted just now
			out.Items = append(out.Items, FleetMember{Agent: v, Record: r})
		}
	}
	return out, nil
}

func connectedSince(r fleet.Record, since map[agent.ID]time.Time) fleet.Record {
	if at, open := since[r.Agent]; open {
		r.ConnectedSince = &at
	}
	return r
}

// checkTenant looks after the generator whose things q asks for: NotFound if p sees no such generator, Forbidden if it is the
// system's, which is no tenant.
func (a *App) checkTenant(ctx context.Context, p tenancy.Principal, q page.Query) error {
	tenant, asked := q.Is["generator_id"]
	if !asked || q.After != nil {
		return nil
	}
	g, err := a.Store.Generators().Get(ctx, tenancy.ScopeOf(p), tenancy.GeneratorID(tenant))
	if err != nil {
		return fmt.Errorf("get generator %s: %w", tenant, err)
	}
	if g.System {
		return fault.New(fault.Forbidden, "system_generator_not_a_tenant", "the system generator is not a tenant and has nothing of its own")
	}
	return nil
}

// recentEvents is how many events are shown with an agent's fleet record.
const recentEvents = 20

// FleetStatus returns the record of one agent with its latest events, newest first, to an admin.
func (a *App) FleetStatus(ctx context.Context, p tenancy.Principal, id agent.ID) (fleet.Record, []agent.Event, error) {
	found, err := a.Store.Insights().Fleet(ctx, tenancy.ScopeOf(p), []agent.ID{id})
	if err != nil {
		return fleet.Record{}, nil, fmt.Errorf("get fleet record: %w", err)
	}
	if len(found) == 0 {
		return fleet.Record{}, nil, noAgent(id)
	}
	events, err := a.Store.Insights().Feed(ctx, tenancy.Scope{Agent: id}, agent.EventList().All(recentEvents))
	if err != nil {
		return fleet.Record{}, nil, fmt.Errorf("list the agent's events: %w", err)
	}
	return connectedSince(found[0], a.Connected(ctx, []agent.ID{id})), events.Items, nil
}

// AgentEvents returns a page of all agents' events, to an admin; checked as Fleet is.
func (a *App) AgentEvents(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[agent.Event], error) {
	if err := a.checkTenant(ctx, p, q); err != nil {
		return page.Page[agent.Event]{}, err
	}
	out, err := a.Store.Insights().Feed(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return out, fmt.Errorf("read the feed of events: %w", err)
	}
	return out, nil
}

// AgentEvent returns one event to an admin.
func (a *App) AgentEvent(ctx context.Context, id agent.EventID) (agent.Event, error) {
	e, err := a.Store.Insights().Event(ctx, id)
	if err != nil {
		return agent.Event{}, fmt.Errorf("get agent event: %w", err)
	}
	return e, nil
}
