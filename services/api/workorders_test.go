package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// newOrder is the body of an order for the agent, with these fields changed.
func newOrder(w *world, change map[string]any) string {
	body := map[string]any{"work_type": "custom", "yaml_content": manifest, "target_agent_ids": []string{string(w.agent.ID)}}
	for k, v := range change {
		body[k] = v
	}
	text, err := json.Marshal(body)
	must(w.t, err)
	return string(text)
}

func TestAWorkOrderThatCannotBeDoneIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for name, tc := range map[string]struct {
		change     map[string]any
		code, says string
	}{
		"no manifests":     {map[string]any{"yaml_content": "---\n"}, "invalid_work_order", "no manifests"},
		"broken manifests": {map[string]any{"yaml_content": "kind: ConfigMap\n"}, "invalid_work_order", "document 1"},
		"many retries":     {map[string]any{"max_retries": 101}, "invalid_work_order", "max_retries"},
		"nobody":           {map[string]any{"target_agent_ids": nil}, "no_targeting_specified", "targeting"},
		"a stranger":       {map[string]any{"target_agent_ids": []string{uuid.NewString()}}, "invalid_work_order", "agent"},
	} {
		rec := w.do(asAdmin, request{method: http.MethodPost, path: "/work-orders", body: newOrder(w, tc.change)})
		if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), `"`+tc.code+`"`) || !strings.Contains(rec.Body.String(), tc.says) {
			t.Errorf("%s: got %d %s, want 400 %s that says %q", name, rec.Code, rec.Body, tc.code, tc.says)
		}
	}
}

func TestAWorkOrderRingsForItsAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	o := decode[wire.WorkOrder](t, w.ok(asAdmin, request{method: http.MethodPost, path: "/work-orders", body: newOrder(w, nil)}))
	if o.MaxRetries != 3 || o.BackoffSeconds != 60 || o.ClaimTimeoutSeconds != 3600 || o.Status != "PENDING" || o.YAMLContent != manifest {
		t.Errorf("got %+v, want a pending order with the defaults", o)
	}
	pending, err := w.store.Works().Pending(t.Context(), []agent.ID{w.agent.ID, w.otherAgent.ID}, o.CreatedAt)
	must(t, err)
	if len(pending) != 1 || pending[w.agent.ID].WorkOrders != 1 {
		t.Errorf("pending: got %+v, want one for the agent alone", pending)
	}
}
