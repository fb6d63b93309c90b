package http

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	objectHealthJSON struct {
		ObjectID stack.ObjectID     `json:"deployment_object_id"`
		Overall  delivery.Health    `json:"overall_status"`
		Records  []healthRecordJSON `json:"health_records"`
	}
	healthRecordJSON struct {
		ID        string          `json:"id"`
		AgentID   agent.ID        `json:"agent_id"`
		ObjectID  stack.ObjectID  `json:"deployment_object_id"`
		Status    delivery.Health `json:"status"`
		Summary   *string         `json:"summary"`
		CheckedAt time.Time       `json:"checked_at"`
		CreatedAt time.Time       `json:"created_at"`
		UpdatedAt time.Time       `json:"updated_at"`
	}
	stackHealthJSON struct {
		StackID stack.ID            `json:"stack_id"`
		Overall delivery.Health     `json:"overall_status"`
		Objects []objectSummaryJSON `json:"deployment_objects"`
	}
	objectSummaryJSON struct {
		ID       stack.ObjectID  `json:"id"`
		Status   delivery.Health `json:"status"`
		Healthy  int             `json:"healthy_agents"`
		Degraded int             `json:"degraded_agents"`
		Failing  int             `json:"failing_agents"`
	}
	fleetStatusJSON struct {
		Record fleet.View       `json:"record"`
		Events []agentEventJSON `json:"recent_events"`
	}
	agentEventJSON struct {
		ID        agent.EventID  `json:"id"`
		CreatedAt time.Time      `json:"created_at"`
		UpdatedAt time.Time      `json:"updated_at"`
		DeletedAt *time.Time     `json:"deleted_at"`
		AgentID   agent.ID       `json:"agent_id"`
		ObjectID  stack.ObjectID `json:"deployment_object_id"`
		Type      string         `json:"event_type"`
		Status    string         `json:"status"`
		Message   *string        `json:"message"`
	}
)

func objectHealthOf(h app.ObjectHealth) objectHealthJSON {
	return objectHealthJSON{ObjectID: h.Object, Overall: h.Overall, Records: each(h.Records, healthRecordOf)}
}

// healthRecordOf gives a record an id: always the same for one agent and one object.
func healthRecordOf(r delivery.HealthRecord) healthRecordJSON {
	out := healthRecordJSON{
		ID:      uuid.NewSHA1(uuid.NameSpaceOID, []byte("deployment-health/"+string(r.Agent)+"/"+string(r.Object))).String(),
		AgentID: r.Agent, ObjectID: r.Object, Status: r.Health,
		CheckedAt: r.CheckedAt.UTC(), CreatedAt: r.Since.UTC(), UpdatedAt: r.ReportedAt.UTC(),
	}
	if r.Summary != "" {
		out.Summary = &r.Summary
	}
	return out
}

func stackHealthOf(h app.StackHealth) stackHealthJSON {
	return stackHealthJSON{StackID: h.Stack, Overall: h.Overall, Objects: each(h.Objects, func(o app.ObjectHealth) objectSummaryJSON {
		return objectSummaryJSON{
			ID: o.Object, Status: o.Overall, Healthy: o.Count(delivery.HealthHealthy),
			Degraded: o.Count(delivery.HealthDegraded), Failing: o.Count(delivery.HealthFailing),
		}
	})}
}

func agentEventOf(e agent.Event) agentEventJSON {
	return agentEventJSON{
		ID: e.ID, CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), AgentID: e.Agent, ObjectID: e.Object,
		Type: e.Type, Status: e.Status, Message: e.Message,
	}
}

func insightRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		get("get_deployment_health", "/deployment-objects/{id}/health", view(Admin), justID[stack.ObjectID], func(ctx context.Context, o stack.ObjectID) (objectHealthJSON, error) {
			out, err := a.ObjectHealth(ctx, who(ctx), o)
			return objectHealthOf(out), err
		}),
		get("get_stack_health", "/stacks/{id}/health", view(Admin), justID[stack.ID], func(ctx context.Context, s stack.ID) (stackHealthJSON, error) {
			out, err := a.StackHealth(ctx, who(ctx), s)
			return stackHealthOf(out), err
		}),
		list("list_fleet", "/fleet", view(Admin), app.FleetList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[app.FleetMember], error) {
			return a.Fleet(ctx, who(ctx), q)
		}, func(m app.FleetMember) fleet.View { return m.Record.At(a.Now()) }),
		get("get_agent_fleet_status", "/agents/{id}/fleet-status", view(Admin), justID[agent.ID], func(ctx context.Context, v agent.ID) (fleetStatusJSON, error) {
			record, events, err := a.FleetStatus(ctx, who(ctx), v)
			return fleetStatusJSON{Record: record.At(a.Now()), Events: each(events, agentEventOf)}, err
		}),
		list("list_agent_events", "/agent-events", view(Admin), agent.EventList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[agent.Event], error) {
			return a.AgentEvents(ctx, who(ctx), q)
		}, agentEventOf),
		get("get_agent_event", "/agent-events/{id}", view(Admin), justID[agent.EventID], func(ctx context.Context, v agent.EventID) (agentEventJSON, error) {
			out, err := a.AgentEvent(ctx, v)
			return agentEventOf(out), err
		}),
	}
}
