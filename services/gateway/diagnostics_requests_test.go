package gateway_test

import (
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func diagnosticRequests() map[string]func(w *tenants) request {
	return map[string]func(w *tenants) request{
		"get_pending_diagnostics": func(w *tenants) request {
			w.w.ask(w.agent, w.object)
			return request{method: http.MethodGet, path: "/api/v1/agents/" + string(w.agent.id) + "/diagnostics/pending"}
		},
		"claim_diagnostic": func(w *tenants) request {
			return request{method: http.MethodPost, path: "/api/v1/diagnostics/" + string(w.w.ask(w.agent, w.object)) + "/claim"}
		},
		"submit_diagnostic_result": func(w *tenants) request {
			id := w.w.ask(w.agent, w.object)
			was, _, err := w.w.store.Diagnostics().Get(w.w.Context(), tenancy.Everything(), id)
			w.w.must(err)
			claimed, err := was.Claim(time.Now())
			w.w.must(err)
			w.w.must(w.w.store.Diagnostics().Move(w.w.Context(), was, claimed, nil))
			return request{method: http.MethodPost, path: "/api/v1/diagnostics/" + string(id) + "/result",
				body: map[string]any{"pod_statuses": "[]", "events": "[]", "collected_at": time.Now()}}
		},
	}
}
