package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/pkg/workorderjson"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

type claimRequest struct {
	AgentID string `json:"agent_id"`
}

type renewRequest struct {
	LeaseSeconds *int64 `json:"lease_seconds"`
}

type completeRequest struct {
	Success   bool    `json:"success"`
	Message   *string `json:"message"`
	Retryable *bool   `json:"retryable"`
}

type retryScheduled struct {
	Status string `json:"status"`
}

func workType(r *http.Request) (with[string], error) {
	return with[string]{id: rpc.Var(r, "agent_id"), body: r.URL.Query().Get("work_type")}, nil
}

func behind(r *http.Request) (with[string], error) {
	return with[string]{id: rpc.Var(r, "agent_id"), body: r.URL.Query().Get("after")}, nil
}

// workOrderRoutes are those by which agents take work.
func workOrderRoutes(g *app.Gateway) []rpc.Route {
	assigned := "admin|" + identity.AgentAssigned
	return []rpc.Route{
		rpc.New(rpc.Info{Op: "list_pending_for_agent", Method: http.MethodGet, Path: "/api/v1/agents/{agent_id}/work-orders/pending", Status: http.StatusOK, Access: identity.AgentSelf},
			workType, func(ctx context.Context, r with[string]) ([]wire.WorkOrder, error) {
				list, err := g.PendingWorkOrders(ctx, identity.Of(ctx), r.id, r.body)
				return each(list, workOrderOf), err
			}),
		rpc.New(rpc.Info{Op: "list_claimed_for_agent", Method: http.MethodGet, Path: "/api/v1/agents/{agent_id}/work-orders/claimed", Status: http.StatusOK, Access: identity.AgentSelf},
			behind, func(ctx context.Context, r with[string]) ([]wire.WorkOrder, error) {
				list, err := g.ClaimedWorkOrders(ctx, identity.Of(ctx), r.id, r.body)
				return each(list, workOrderOf), err
			}),
		rpc.New(rpc.Info{Op: "claim_work_order", Method: http.MethodPost, Path: "/api/v1/work-orders/{id}/claim", Status: http.StatusOK, Access: assigned},
			body(rpc.JSON[claimRequest]), func(ctx context.Context, r with[claimRequest]) (wire.WorkOrder, error) {
				o, err := g.ClaimWorkOrder(ctx, identity.Of(ctx), r.id, r.body.AgentID)
				return workOrderOf(o), err
			}),
		rpc.New(rpc.Info{Op: "renew_work_order", Method: http.MethodPost, Path: "/api/v1/work-orders/{id}/renew", Status: http.StatusOK, Access: assigned},
			body(rpc.OptionalJSON[renewRequest]), func(ctx context.Context, r with[renewRequest]) (wire.WorkOrderClaim, error) {
				lease := workorder.DefaultLease
				if s := r.body.LeaseSeconds; s != nil {
					lease = time.Duration(min(max(*s, 0), int64(workorder.MaxLease/time.Second)+1)) * time.Second
				}
				o, err := g.RenewWorkOrder(ctx, identity.Of(ctx), r.id, lease)
				return claimOf(o), err
			}),
		rpc.New(rpc.Info{Op: "complete_work_order", Method: http.MethodPost, Path: "/api/v1/work-orders/{id}/complete", Status: http.StatusOK, Access: assigned},
			body(rpc.JSON[completeRequest]), func(ctx context.Context, r with[completeRequest]) (any, error) {
				result := workorder.Result{Success: r.body.Success, Message: r.body.Message, Retryable: r.body.Retryable == nil || *r.body.Retryable}
				e, err := g.CompleteWorkOrder(ctx, identity.Of(ctx), r.id, result)
				switch {
				case err != nil:
					return nil, err
				case e == nil:
					return rpc.WithStatus{Status: http.StatusAccepted, Body: retryScheduled{Status: "retry_scheduled"}}, nil
				default:
					return workOrderLogOf(*e), nil
				}
			}),
	}
}

func workOrderOf(o app.WorkOrder) wire.WorkOrder { return workorderjson.Order(o.Order, o.Content) }

// claimOf returns the message about an order's claim.
func claimOf(o workorder.Order) wire.WorkOrderClaim {
	out := wire.WorkOrderClaim{ID: string(o.ID), Status: string(o.Status)}
	if o.Claim != nil {
		by, at, ends := string(o.Claim.Agent), o.Claim.At.UTC(), o.Claim.EndsAt.UTC()
		out.ClaimedBy, out.ClaimedAt, out.ClaimEndsAt = &by, &at, &ends
	}
	return out
}

func workOrderLogOf(e app.WorkOrderEntry) wire.WorkOrderLog {
	return workorderjson.Entry(e.Entry, e.Content)
}
