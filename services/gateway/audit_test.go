package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

// What an admin reports in an agent's name leaves an entry in the audit log; what the agent reports of itself does not.
func TestReportsInAnothersNameAreAudited(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, admin := w.agent("a", agent.Active), w.admin()
		o := w.publish(w.stack("web").ID, "kind: ConfigMap")
		w.assign(o, a)
		r := w.gateway(options{})
		path := "/api/v1/agents/" + string(a.id)
		report := func(key pak.PAK) {
			w.Helper()
			event := map[string]any{"agent_id": a.id, "deployment_object_id": o.ID, "event_type": "DEPLOY", "status": "SUCCESS"}
			if rec := r.do(w.Context(), key, http.MethodPost, path+"/events", event); rec.Code != http.StatusCreated {
				w.Fatalf("event: got %d %s, want 201", rec.Code, rec.Body)
			}
			time.Sleep(time.Millisecond)
			health := map[string]any{"deployment_objects": []any{map[string]any{"id": o.ID, "status": "healthy", "checked_at": time.Now()}}}
			if rec := r.do(w.Context(), key, http.MethodPatch, path+"/health-status", health); rec.Code != http.StatusOK {
				w.Fatalf("health: got %d %s, want 200", rec.Code, rec.Body)
			}
		}
		entries := func() []audit.Entry {
			list, _, err := w.store.AuditLog().List(w.Context(), audit.Filter{}, audit.Page{Limit: 100})
			w.must(err)
			return list
		}
		report(a.key)
		if list := entries(); len(list) != 0 {
			t.Errorf("the agent's own reports left %+v, want nothing", list)
		}
		report(admin)
		list := entries()
		if len(list) != 2 || list[0].Action != audit.AgentHealthReported || list[1].Action != audit.AgentEventReported {
			t.Fatalf("the admin's reports left %+v, want one entry each", list)
		}
		for _, e := range list {
			if e.ResourceID != string(a.id) || e.Actor.Type != "admin" || e.Actor.Credential == "" || e.After == "" || e.Source.RequestID == "" || e.Source.IP != "192.0.2.1" {
				t.Errorf("got %+v, want the admin's report about the agent", e)
			}
		}
	})
}
