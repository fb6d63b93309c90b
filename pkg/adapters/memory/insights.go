package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type insights struct{ s session }

func (r insights) Healths(ctx context.Context, id stack.ID) ([]delivery.HealthRecord, error) {
	return read(ctx, r.s, func(s *state) ([]delivery.HealthRecord, error) {
		var out []delivery.HealthRecord
		for _, a := range keysOf(s.stackAgents, string(id)) {
			k := two{a, string(id)}
			as, _ := s.assignments.get(k)
			st, told := s.statuses.get(k)
			if !told || as.State != delivery.Assigned {
				continue
			}
			summary, _ := s.summaries.get(k)
			out = append(out, delivery.HealthRecord{
				Agent: st.Agent, Object: st.Object, Sequence: st.Sequence, Health: st.Health, Summary: summary,
				CheckedAt: st.ObservedAt, Since: st.Since, ReportedAt: st.ReportedAt,
			})
		}
		slices.SortStableFunc(out, func(x, y delivery.HealthRecord) int { return cmp.Compare(y.Sequence, x.Sequence) })
		return out, nil
	})
}

func (r insights) Fleet(ctx context.Context, scope tenancy.Scope, ids []agent.ID) ([]fleet.Record, error) {
	return read(ctx, r.s, func(s *state) ([]fleet.Record, error) {
		var out []fleet.Record
		s.agentNames.each(func(_ two, id agent.ID) bool {
			if s.seesAgent(scope, id) && (ids == nil || slices.Contains(ids, id)) {
				out = append(out, s.fleetRecord(id))
			}
			return true
		})
		return out, nil
	})
}

func (s *state) fleetRecord(id agent.ID) fleet.Record {
	row, _ := s.liveAgent(id)
	a := copyAgent(row)
	out := fleet.Record{
		Agent: a.ID, Name: a.Name, ClusterName: a.ClusterName, Status: a.Status, LastHeartbeat: a.Liveness.LastHeartbeat,
		K8sReachable: a.Liveness.K8sReachable, K8sLatencyMS: a.Liveness.K8sLatencyMS,
	}
	for _, as := range valuesOf(s.assignments, string(id)) {
		st, told := s.statuses.get(two{string(id), string(as.Stack)})
		if as.State == delivery.Removing || !told || st.Phase != delivery.PhaseApplied || st.Object != as.Object {
			out.PendingObjects++
		}
		if as.State != delivery.Assigned {
			continue
		}
		out.Assigned++
		switch st.Health.Published() {
		case delivery.HealthFailing:
			out.HealthFailing++
		case delivery.HealthDegraded:
			out.HealthDegraded++
		case delivery.HealthUnknown, delivery.HealthHealthy, delivery.HealthProgressing:
		}
	}
	var waiting ports.Pending
	s.pendingWorkOrders(id, s.now(), &waiting)
	out.PendingWorkOrders = int64(waiting.WorkOrders)
	s.workOrders.each(func(_ one, o workorder.Order) bool {
		if o.Claim != nil && o.Claim.Agent == id {
			out.ClaimedWorkOrders++
		}
		return true
	})
	s.events.from(numbered{string(id), 0}, func(k numbered, e agent.Event) bool {
		if k.a != string(id) {
			return false
		}
		if out.LastEventAt == nil || e.UpdatedAt.After(*out.LastEventAt) {
			at := e.UpdatedAt
			out.LastEventAt = &at
		}
		return true
	})
	return out
}

func (r insights) Event(ctx context.Context, id agent.EventID) (agent.Event, error) {
	return read(ctx, r.s, func(s *state) (agent.Event, error) {
		var found *agent.Event
		s.events.each(func(_ numbered, e agent.Event) bool {
			if e.ID == id {
				found = &e
			}
			return found == nil
		})
		if found == nil {
			return agent.Event{}, notFound("agent_event_not_found", "agent event", id)
		}
		return copyEvent(*found), nil
	})
}

func (r insights) Feed(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Event], error) {
	owner, asked := q.Is["generator_id"]
	return pageOf(ctx, r.s, agent.EventList(), q, func(s *state, keep func(agent.Event)) {
		s.events.each(func(_ numbered, e agent.Event) bool {
			if s.seesEvent(scope, e) && (!asked || s.seesEvent(tenancy.Scope{Generator: tenancy.GeneratorID(owner)}, e)) {
				keep(copyEvent(e))
			}
			return true
		})
	})
}

// seesEvent reports whether scope sees what an agent said: the agent itself, or the owner of the object's stack.
func (s *state) seesEvent(scope tenancy.Scope, e agent.Event) bool {
	if scope.All {
		return true
	}
	if scope.Generator == "" {
		return scope.Agent != "" && scope.Agent == e.Agent
	}
	o, _ := s.objects.get(one(e.Object))
	st, ok := s.stacks.get(one(o.Stack))
	return ok && st.Generator == scope.Generator
}
