package http

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/pkg/workorderjson"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type newWorkOrderJSON struct {
	WorkType            string         `json:"work_type"`
	YAMLContent         string         `json:"yaml_content"`
	MaxRetries          *int32         `json:"max_retries"`
	BackoffSeconds      *int32         `json:"backoff_seconds"`
	ClaimTimeoutSeconds *int32         `json:"claim_timeout_seconds"`
	TargetAgentIDs      []string       `json:"target_agent_ids"`
	Targeting           *targetingJSON `json:"targeting"`
}

type targetingJSON struct {
	AgentIDs    []string          `json:"agent_ids"`
	Labels      []string          `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// spec reads what is ordered; agents may be named in either of two places, which are joined.
func (n newWorkOrderJSON) spec() (workorder.Spec, error) {
	out := workorder.Spec{Type: n.WorkType, MaxRetries: n.MaxRetries, Backoff: n.BackoffSeconds, ClaimTimeout: n.ClaimTimeoutSeconds}
	named := n.TargetAgentIDs
	if n.Targeting != nil {
		named = append(named, n.Targeting.AgentIDs...)
		out.Targeting.Labels, out.Targeting.Annotations = n.Targeting.Labels, n.Targeting.Annotations
	}
	for _, text := range named {
		a, err := id.Parse[agent.ID]("agent id", text)
		if err != nil {
			return out, err
		}
		out.Targeting.Agents = append(out.Targeting.Agents, a)
	}
	return out, nil
}

// withContents is how many orders' manifests are in memory at a time while a list is written.
const withContents = 10

// workOrderRoutes are those by which admins order work. Agents take it at the gateway.
func workOrderRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		rpc.FilledList(listInfo("list_work_orders", "/work-orders", operate(Admin)), workorder.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[workorder.Order], error) {
			return a.ListWorkOrders(ctx, q)
		}, withContents, func(ctx context.Context, list []workorder.Order) ([]wire.WorkOrder, error) {
			all, err := a.WorkOrderContents(ctx, list)
			return each(all, workOrderOf), err
		}),
		post("create_work_order", "/work-orders", operate(Admin), rpc.JSON[newWorkOrderJSON], func(ctx context.Context, n newWorkOrderJSON) (wire.WorkOrder, error) {
			spec, err := n.spec()
			if err != nil {
				return wire.WorkOrder{}, err
			}
			o, err := a.CreateWorkOrder(ctx, spec, []byte(n.YAMLContent))
			return workOrderOf(o), err
		}),
		get("get_work_order", "/work-orders/{id}", operate(Admin), justID[workorder.ID], func(ctx context.Context, id workorder.ID) (rpc.Tagged, error) {
			o, err := a.GetWorkOrder(ctx, id)
			return rpc.Tagged{Tag: app.WorkOrderTag(o.Order), Body: workOrderOf(o)}, err
		}),
		del("delete_work_order", "/work-orders/{id}", operate(Admin), justID[workorder.ID], a.DeleteWorkOrder).Conditional(),
		rpc.FilledList(listInfo("list_work_order_log", "/work-order-log", operate(Admin)), workorder.LogList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[workorder.Entry], error) {
			return a.ListWorkOrderLog(ctx, q)
		}, withContents, func(ctx context.Context, list []workorder.Entry) ([]wire.WorkOrderLog, error) {
			all, err := a.WorkOrderLogContents(ctx, list)
			return each(all, workOrderEntryOf), err
		}),
		get("get_work_order_log", "/work-order-log/{id}", operate(Admin), justID[workorder.ID], func(ctx context.Context, id workorder.ID) (wire.WorkOrderLog, error) {
			e, err := a.GetWorkOrderLog(ctx, id)
			return workOrderEntryOf(e), err
		}),
	}
}

func workOrderOf(o app.WorkOrder) wire.WorkOrder { return workorderjson.Order(o.Order, o.Content) }

func workOrderEntryOf(e app.WorkOrderEntry) wire.WorkOrderLog {
	return workorderjson.Entry(e.Entry, e.Content)
}
