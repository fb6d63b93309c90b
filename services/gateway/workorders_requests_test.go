package gateway_test

import (
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

// workOrder stores an order for these agents.
func (w *world) workOrder(spec workorder.Spec, to ...subject) workorder.Order {
	w.Helper()
	return w.workOrderOf(spec, configMap("work"), to...)
}

func (w *world) workOrderOf(spec workorder.Spec, content string, to ...subject) workorder.Order {
	w.Helper()
	sum, err := w.store.Blobs().Put(w.Context(), []byte(content))
	w.must(err)
	for _, a := range to {
		spec.Targeting.Agents = append(spec.Targeting.Agents, a.id)
	}
	spec.Type = workorder.TypeCustom
	o, err := workorder.New(workorder.ID(uuid.NewString()), spec, sum, int64(len(content)), time.Now().UTC())
	w.must(err)
	w.must(w.store.WorkOrders().Insert(w.Context(), o))
	return o
}

func (w *world) claimedBy(o workorder.Order, a agent.ID) workorder.Order {
	w.Helper()
	o, err := o.ClaimFor(a, time.Now().UTC())
	w.must(err)
	w.must(w.store.WorkOrders().Update(w.Context(), o))
	return o
}

// order makes one for the agent of the matrix and remembers its id as that of another's thing.
func (w *tenants) order(claimed bool) string {
	o := w.w.workOrder(workorder.Spec{}, w.agent)
	if claimed {
		w.w.claimedBy(o, w.agent.id)
	}
	w.orders = append(w.orders, string(o.ID))
	return "/api/v1/work-orders/" + string(o.ID)
}

func workOrderRequests() map[string]func(w *tenants) request {
	type object = map[string]any
	return map[string]func(w *tenants) request{
		"list_pending_for_agent": func(w *tenants) request {
			w.order(false)
			return request{method: "GET", path: "/api/v1/agents/" + string(w.agent.id) + "/work-orders/pending?work_type=custom"}
		},
		"list_claimed_for_agent": func(w *tenants) request {
			w.order(true)
			return request{method: "GET", path: "/api/v1/agents/" + string(w.agent.id) + "/work-orders/claimed"}
		},
		"claim_work_order": func(w *tenants) request {
			return request{method: "POST", path: w.order(false) + "/claim", body: object{"agent_id": w.agent.id}}
		},
		"renew_work_order": func(w *tenants) request {
			return request{method: "POST", path: w.order(true) + "/renew", body: object{"lease_seconds": 30}}
		},
		"complete_work_order": func(w *tenants) request {
			return request{method: "POST", path: w.order(true) + "/complete", body: object{"success": true, "message": "done"}}
		},
	}
}
