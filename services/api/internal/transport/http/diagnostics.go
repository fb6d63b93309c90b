package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	newDiagnosticJSON struct {
		AgentID          string  `json:"agent_id"`
		RequestedBy      *string `json:"requested_by"`
		RetentionMinutes *int64  `json:"retention_minutes"`
	}
	diagnosticRequestJSON struct {
		ID          diagnostic.ID     `json:"id"`
		AgentID     agent.ID          `json:"agent_id"`
		ObjectID    stack.ObjectID    `json:"deployment_object_id"`
		StackID     stack.ID          `json:"stack_id"`
		Status      diagnostic.Status `json:"status"`
		RequestedBy *string           `json:"requested_by"`
		CreatedAt   time.Time         `json:"created_at"`
		ClaimedAt   *time.Time        `json:"claimed_at"`
		CompletedAt *time.Time        `json:"completed_at"`
		ExpiresAt   time.Time         `json:"expires_at"`
	}
	diagnosticResultJSON struct {
		ID          diagnostic.ResultID `json:"id"`
		RequestID   diagnostic.ID       `json:"request_id"`
		PodStatuses string              `json:"pod_statuses"`
		Events      string              `json:"events"`
		LogTails    *string             `json:"log_tails"`
		CollectedAt time.Time           `json:"collected_at"`
		CreatedAt   time.Time           `json:"created_at"`
	}
	diagnosticJSON struct {
		Request diagnosticRequestJSON `json:"request"`
		Result  *diagnosticResultJSON `json:"result,omitempty"`
	}
)

func diagnosticRequestOf(r diagnostic.Request) diagnosticRequestJSON {
	return diagnosticRequestJSON{
		ID: r.ID, AgentID: r.Agent, ObjectID: r.Object, StackID: r.Stack, Status: r.Status, RequestedBy: r.RequestedBy,
		CreatedAt: r.CreatedAt.UTC(), ClaimedAt: r.ClaimedAt, CompletedAt: r.CompletedAt, ExpiresAt: r.ExpiresAt.UTC(),
	}
}

func diagnosticOf(r diagnostic.Request, answer *diagnostic.Result) diagnosticJSON {
	out := diagnosticJSON{Request: diagnosticRequestOf(r)}
	if answer != nil {
		out.Result = &diagnosticResultJSON{
			ID: answer.ID, RequestID: answer.Request, PodStatuses: answer.PodStatuses, Events: answer.Events, LogTails: answer.LogTails,
			CollectedAt: answer.CollectedAt.UTC(), CreatedAt: answer.CreatedAt.UTC(),
		}
	}
	return out
}

func (n newDiagnosticJSON) diagnostic() (app.NewDiagnostic, error) {
	v, err := id.Parse[agent.ID]("agent_id", n.AgentID)
	if err != nil {
		return app.NewDiagnostic{}, fault.Newf(fault.Invalid, "invalid_diagnostic_request", "agent_id %q is not a UUID", n.AgentID)
	}
	return app.NewDiagnostic{Agent: v, RequestedBy: n.RequestedBy, RetentionMinutes: n.RetentionMinutes}, nil
}

func diagnosticRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		post("create_diagnostic_request", "/deployment-objects/{id}/diagnostics", operate(Admin), idAnd[stack.ObjectID, newDiagnosticJSON],
			func(ctx context.Context, r of[stack.ObjectID, newDiagnosticJSON]) (diagnosticRequestJSON, error) {
				n, err := r.body.diagnostic()
				if err != nil {
					return diagnosticRequestJSON{}, err
				}
				out, err := a.AskDiagnostic(ctx, who(ctx), r.id, n)
				return diagnosticRequestOf(out), err
			}),
		get("get_diagnostic", "/diagnostics/{id}", operate(AgentSelf), justID[diagnostic.ID], func(ctx context.Context, v diagnostic.ID) (diagnosticJSON, error) {
			r, answer, err := a.GetDiagnostic(ctx, who(ctx), v)
			return diagnosticOf(r, answer), err
		}),
	}
}
