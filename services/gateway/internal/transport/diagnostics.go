package transport

import (
	"context"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

func diagnosticOf(r diagnostic.Request) wire.DiagnosticRequest {
	return wire.DiagnosticRequest{
		ID: string(r.ID), AgentID: string(r.Agent), DeploymentObjectID: string(r.Object), StackID: string(r.Stack), Status: string(r.Status),
		RequestedBy: r.RequestedBy, CreatedAt: r.CreatedAt.UTC(), ClaimedAt: r.ClaimedAt, CompletedAt: r.CompletedAt, ExpiresAt: r.ExpiresAt.UTC(),
	}
}

func diagnosticResultOf(r diagnostic.Result) wire.DiagnosticResult {
	return wire.DiagnosticResult{
		ID: string(r.ID), RequestID: string(r.Request), CreatedAt: r.CreatedAt.UTC(),
		DiagnosticAnswer: wire.DiagnosticAnswer{PodStatuses: r.PodStatuses, Events: r.Events, LogTails: r.LogTails, CollectedAt: r.CollectedAt.UTC()},
	}
}

func diagnosticRoutes(g *app.Gateway) []rpc.Route {
	return []rpc.Route{
		rpc.New(rpc.Info{Op: "get_pending_diagnostics", Method: http.MethodGet, Path: "/api/v1/agents/{id}/diagnostics/pending", Status: http.StatusOK, Access: identity.AgentSelf},
			path, func(ctx context.Context, id string) ([]wire.DiagnosticRequest, error) {
				list, err := g.Diagnostics(ctx, identity.Of(ctx), id)
				return each(list, diagnosticOf), err
			}),
		rpc.New(rpc.Info{Op: "claim_diagnostic", Method: http.MethodPost, Path: "/api/v1/diagnostics/{id}/claim", Status: http.StatusOK, Access: identity.AgentSelf},
			path, func(ctx context.Context, id string) (wire.DiagnosticRequest, error) {
				r, err := g.ClaimDiagnostic(ctx, identity.Of(ctx), id)
				return diagnosticOf(r), err
			}),
		rpc.New(rpc.Info{Op: "submit_diagnostic_result", Method: http.MethodPost, Path: "/api/v1/diagnostics/{id}/result", Status: http.StatusCreated, Access: identity.AgentItself},
			body(rpc.JSON[wire.DiagnosticAnswer]), func(ctx context.Context, r with[wire.DiagnosticAnswer]) (wire.DiagnosticResult, error) {
				out, err := g.AnswerDiagnostic(ctx, identity.Of(ctx), r.id, app.Answer(r.body))
				return diagnosticResultOf(out), err
			}),
	}
}
