package api_test

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// workOrder stores an order for the owner's agent.
func (w *world) workOrder() workorder.Order {
	w.t.Helper()
	sum, err := w.store.Blobs().Put(w.t.Context(), []byte(manifest))
	must(w.t, err)
	o, err := workorder.New(workorder.ID(uuid.NewString()), workorder.Spec{
		Type: workorder.TypeCustom, Targeting: workorder.Targeting{Agents: []agent.ID{w.agent.ID}},
	}, sum, int64(len(manifest)), time.Now().UTC())
	must(w.t, err)
	must(w.t, w.store.WorkOrders().Insert(w.t.Context(), o))
	return o
}

// finishedWorkOrder is one that is in the log.
func (w *world) finishedWorkOrder(success bool) workorder.Entry {
	w.t.Helper()
	o := w.workOrder()
	_, e, err := o.Complete(workorder.Completer{Anybody: true}, workorder.Result{Success: success}, time.Now().UTC())
	must(w.t, err)
	must(w.t, ports.FinishWorkOrder(w.t.Context(), w.store, o, *e, uuid.NewString()))
	return *e
}

func workOrderRequests() map[string]func(w *world) request {
	return map[string]func(w *world) request{
		"list_work_orders": func(w *world) request {
			w.workOrder()
			return request{method: http.MethodGet, path: "/work-orders?status=PENDING&work_type=custom"}
		},
		"create_work_order": func(w *world) request {
			return request{method: http.MethodPost, path: "/work-orders", body: `{"work_type":"custom","yaml_content":"kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n",` +
				`"targeting":{"labels":["prod"],"annotations":{"region":"eu"}},"target_agent_ids":["` + string(w.agent.ID) + `"]}`}
		},
		"get_work_order": func(w *world) request {
			return request{method: http.MethodGet, path: "/work-orders/" + string(w.workOrder().ID)}
		},
		"delete_work_order": func(w *world) request {
			return request{method: http.MethodDelete, path: "/work-orders/" + string(w.workOrder().ID)}
		},
		"list_work_order_log": func(w *world) request {
			w.finishedWorkOrder(true)
			return request{method: http.MethodGet, path: "/work-order-log?success=true&work_type=custom&limit=5"}
		},
		"get_work_order_log": func(w *world) request {
			return request{method: http.MethodGet, path: "/work-order-log/" + string(w.finishedWorkOrder(false).ID)}
		},
	}
}
