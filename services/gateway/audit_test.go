package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/colliery-io/brokkr/api/openapi"
	"github.com/colliery-io/brokkr/internal/accesstest"
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

// Every operation of the gateway that an admin may call and that changes something leaves exactly the entry that the document
// promises; called by the agent itself it leaves none.
func TestEveryChangeOfTheGatewayLeavesOneAuditEntry(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	for op, build := range successes() {
		method, said, access := operation(doc, op)
		if method == http.MethodGet && said == "" {
			continue
		}
		if said == "" {
			t.Errorf("%s: x-brokkr-audit is missing in the document", op)
		}
		for _, as := range []string{accesstest.Admin, accesstest.AgentSelf} {
			want := audit.Action(said)
			if as == accesstest.AgentSelf || said == "none" {
				want = ""
			}
			t.Run(op+" by "+as, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(w *world) {
					all := newTenants(w)
					rec := all.call(as, build(all))
					if as == accesstest.Admin && rec.Code >= 400 && said == "none" {
						return // it is not for admins
					}
					if rec.Code >= 400 {
						t.Fatalf("%s: got %d %s", access, rec.Code, rec.Body)
					}
					list, _, err := w.store.AuditLog().List(w.Context(), audit.Filter{}, audit.Page{Limit: 100})
					w.must(err)
					switch {
					case want == "" && len(list) != 0:
						t.Errorf("left %+v, want nothing", list)
					case want != "" && (len(list) != 1 || list[0].Action != want || list[0].ResourceID == "" || list[0].After == "" || list[0].Actor.Type != "admin"):
						t.Errorf("left %+v, want one entry %s with a resource and a digest", list, want)
					}
				})
			})
		}
	}
}

// operation returns the method, x-brokkr-audit and x-brokkr-access of an operation.
func operation(doc *openapi3.T, id string) (string, string, string) {
	for _, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == id {
				said, _ := op.Extensions["x-brokkr-audit"].(string)
				access, _ := op.Extensions["x-brokkr-access"].(string)
				return method, said, access
			}
		}
	}
	return http.MethodGet, "", "" // of every process
}
