package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
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

// Orders and their log are found by what published clients ask for.
func TestWorkOrdersAreFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	open, good, bad := w.workOrder(), w.finishedWorkOrder(true), w.finishedWorkOrder(false)
	claimed, err := w.workOrder().ClaimFor(w.agent.ID, time.Now().UTC())
	must(t, err)
	must(t, w.store.WorkOrders().Update(t.Context(), claimed))
	for path, want := range map[string][]workorder.ID{
		"/work-orders":                                   {claimed.ID, open.ID},
		"/work-orders?status=CLAIMED":                    {claimed.ID},
		"/work-orders?status=PENDING":                    {open.ID},
		"/work-orders?work_type=build":                   nil,
		"/work-orders?work_type=custom":                  {claimed.ID, open.ID},
		"/work-order-log":                                {bad.ID, good.ID},
		"/work-order-log?success=true":                   {good.ID},
		"/work-order-log?success=false":                  {bad.ID},
		"/work-order-log?limit=1":                        {bad.ID},
		"/work-order-log?work_type=build":                nil,
		"/work-order-log?agent_id=" + string(w.agent.ID): nil, // nobody had claimed them
	} {
		var got []workorder.ID
		for _, o := range answer[[]struct{ ID workorder.ID }](w, asAdmin, http.MethodGet, path, "") {
			got = append(got, o.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
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
