package api_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	transport "github.com/colliery-io/brokkr/services/api/internal/transport/http"
)

// successes has one call for every operation of the api: about a thing of the owner generator, or of the agent itself, so
// that it succeeds for everybody who may make it. The authorization matrix and the contract check are made of it. A new
// group of routes has a file <group>_requests_test.go with a map of its own, and a line in requestGroups.
func successes() map[string]func(w *world) request {
	out := coreRequests()
	for _, group := range requestGroups() {
		maps.Copy(out, group)
	}
	return out
}

func requestGroups() []map[string]func(w *world) request {
	return []map[string]func(w *world) request{
		processRequests(), templateRequests(), credentialRequests(), joinRequests(),
		workOrderRequests(), policyRequests(), rolloutRequests(),
		clusterRequests(),
	}
}

// processRequests are those that every process answers.
func processRequests() map[string]func(w *world) request {
	root := func(path string) func(*world) request {
		return func(*world) request { return request{method: http.MethodGet, path: path, root: true} }
	}
	return map[string]func(w *world) request{
		"healthz": root("/healthz"), "readyz": root("/readyz"), "health": root("/health"), "metrics": root("/metrics"),
		"openapi": root("/docs/openapi.json"),
	}
}

func coreRequests() map[string]func(w *world) request {
	at := func(method, path string, body ...string) request {
		return request{method: method, path: path, body: strings.Join(body, "")}
	}
	agentPath := func(w *world, rest string) string { return "/agents/" + string(w.agent.ID) + rest }
	stackPath := func(w *world, rest string) string { return "/stacks/" + string(w.stack.ID) + rest }
	generatorPath := func(w *world, rest string) string { return "/generators/" + string(w.owner.ID) + rest }
	return map[string]func(w *world) request{
		"get_version": func(*world) request { return at("GET", "/version") },
		"verify_pak":  func(*world) request { return at("POST", "/auth/pak") },
		"list_paks":   func(*world) request { return at("GET", "/paks") },

		"list_agents":  func(*world) request { return at("GET", "/agents") },
		"create_agent": func(*world) request { return at("POST", "/agents", `{"name":"new","cluster_name":"c"}`) },
		"search_agent": func(w *world) request {
			return at("GET", "/agents/?name="+w.agent.Name+"&cluster_name="+w.agent.ClusterName)
		},
		"get_agent":                func(w *world) request { return at("GET", agentPath(w, "")) },
		"update_agent":             func(w *world) request { return at("PUT", agentPath(w, ""), `{"cluster_name":"moved"}`) },
		"delete_agent":             func(w *world) request { return at("DELETE", agentPath(w, "")) },
		"rotate_agent_pak":         func(w *world) request { return at("POST", agentPath(w, "/rotate-pak")) },
		"get_associated_stacks":    func(w *world) request { return at("GET", agentPath(w, "/stacks")) },
		"list_agent_registrations": func(w *world) request { return at("GET", agentPath(w, "/registrations")) },
		"agents_list_labels":       func(w *world) request { return at("GET", agentPath(w, "/labels")) },
		"agents_add_label": func(w *world) request {
			return at("POST", agentPath(w, "/labels"), `{"agent_id":"`, string(w.agent.ID), `","label":"env:x"}`)
		},
		"agents_remove_label":     func(w *world) request { return at("DELETE", agentPath(w, "/labels/prod")) },
		"agents_list_annotations": func(w *world) request { return at("GET", agentPath(w, "/annotations")) },
		"agents_add_annotation": func(w *world) request {
			return at("POST", agentPath(w, "/annotations"), `{"agent_id":"`, string(w.agent.ID), `","key":"k","value":"v"}`)
		},
		"agents_remove_annotation": func(w *world) request { return at("DELETE", agentPath(w, "/annotations/region")) },
		"list_targets":             func(w *world) request { return at("GET", agentPath(w, "/targets")) },
		"add_target": func(w *world) request {
			return at("POST", agentPath(w, "/targets"), `{"agent_id":"`, string(w.agent.ID), `","stack_id":"`, string(w.unpinned.ID), `"}`)
		},
		"remove_target": func(w *world) request { return at("DELETE", agentPath(w, "/targets/"+string(w.stack.ID))) },

		"reload_config": func(*world) request { return at("POST", "/admin/config/reload") },

		"list_audit_logs":   func(*world) request { return at("GET", "/admin/audit-logs?action=agent.*&limit=2") },
		"get_audit_log":     func(w *world) request { return at("GET", "/admin/audit-logs/"+string(w.entries()[0].ID)) },
		"verify_audit_logs": func(w *world) request { w.seal(); return at("GET", "/admin/audit-logs/verify") },
		"list_audit_chains": func(w *world) request { w.seal(); return at("GET", "/admin/audit-chains") },
		"list_audit_chain_entries": func(w *world) request {
			return at("GET", "/admin/audit-chains/"+string(w.seal())+"/entries?limit=3")
		},

		"list_generators":  func(*world) request { return at("GET", "/generators") },
		"create_generator": func(*world) request { return at("POST", "/generators", `{"name":"ci"}`) },
		"get_generator":    func(w *world) request { return at("GET", generatorPath(w, "")) },
		"update_generator": func(w *world) request {
			return at("PUT", generatorPath(w, ""), `{"name":"owner","description":"d","is_active":true,"is_system":true,"registration_policy":"open"}`)
		},
		"delete_generator":     func(w *world) request { return at("DELETE", generatorPath(w, "")) },
		"rotate_generator_pak": func(w *world) request { return at("POST", generatorPath(w, "/rotate-pak")) },
		"register_agent": func(w *world) request {
			return at("POST", "/generators/"+string(w.other.ID)+"/register", `{"agent_id":"`, string(w.agent.ID), `"}`)
		},
		"deregister_agent": func(w *world) request {
			return at("DELETE", generatorPath(w, "/register"), `{"agent_id":"`, string(w.agent.ID), `"}`)
		},
		"list_generator_registered_agents": func(w *world) request { return at("GET", generatorPath(w, "/registered-agents")) },
		"update_registered_agent": func(w *world) request {
			return at("PUT", generatorPath(w, "/registered-agents/"+string(w.pendingAgent.ID)), `{"state":"approved"}`)
		},
		"remove_registered_agent": func(w *world) request {
			return at("DELETE", generatorPath(w, "/registered-agents/"+string(w.pendingAgent.ID)))
		},

		"list_stacks": func(*world) request { return at("GET", "/stacks") },
		"create_stack": func(w *world) request {
			return at("POST", "/stacks", `{"name":"api","generator_id":"`, string(w.owner.ID), `"}`)
		},
		"get_stack": func(w *world) request { return at("GET", stackPath(w, "")) },
		"update_stack": func(w *world) request {
			return at("PUT", stackPath(w, ""), `{"id":"`, string(w.stack.ID), `","name":"renamed","description":null,"generator_id":"`, string(w.other.ID), `"}`)
		},
		"list_deleted_stacks": func(w *world) request {
			now := time.Now()
			gone := stack.Stack{ID: stack.ID(uuid.NewString()), Name: "gone-" + uuid.NewString(), Generator: w.owner.ID, Version: 1, CreatedAt: now, UpdatedAt: now}
			if err := errors.Join(w.store.Stacks().Insert(w.t.Context(), gone), w.store.Stacks().Delete(w.t.Context(), gone.ID, now)); err != nil {
				w.t.Fatal(err)
			}
			return at("GET", "/deleted-stacks")
		},
		"restore_stack": func(w *world) request {
			if err := w.store.Stacks().Delete(w.t.Context(), w.stack.ID, time.Now()); err != nil && !fault.Is(err, fault.NotFound) { // by a request before
				w.t.Fatal(err)
			}
			return at("POST", stackPath(w, "/restore"))
		},
		"delete_stack":            func(w *world) request { return at("DELETE", stackPath(w, "")) },
		"stacks_list_labels":      func(w *world) request { return at("GET", stackPath(w, "/labels")) },
		"stacks_add_label":        func(w *world) request { return at("POST", stackPath(w, "/labels"), `"env:prod"`) },
		"stacks_remove_label":     func(w *world) request { return at("DELETE", stackPath(w, "/labels/tier%2Fweb")) },
		"stacks_list_annotations": func(w *world) request { return at("GET", stackPath(w, "/annotations")) },
		"stacks_add_annotation": func(w *world) request {
			return at("POST", stackPath(w, "/annotations"), `{"stack_id":"`, string(w.stack.ID), `","key":"k","value":"v"}`)
		},
		"stacks_remove_annotation": func(w *world) request { return at("DELETE", stackPath(w, "/annotations/team")) },
		"list_deployment_objects":  func(w *world) request { return at("GET", stackPath(w, "/deployment-objects")) },
		"create_deployment_object": func(w *world) request {
			body, _ := json.Marshal(map[string]any{"yaml_content": manifest, "is_deletion_marker": false})
			return at("POST", stackPath(w, "/deployment-objects"), string(body))
		},
		"get_deployment_object": func(w *world) request { return at("GET", "/deployment-objects/"+string(w.object.ID)) },
		"diff_deployment_objects": func(w *world) request {
			return at("GET", "/deployment-objects/"+string(w.object.ID)+"/diff?against="+string(w.object.ID))
		},
		"get_deployment_health": func(w *world) request { return at("GET", "/deployment-objects/"+string(w.object.ID)+"/health") },
		"get_stack_health":      func(w *world) request { return at("GET", stackPath(w, "/health")) },
		"create_diagnostic_request": func(w *world) request {
			return at("POST", "/deployment-objects/"+string(w.object.ID)+"/diagnostics", `{"agent_id":"`, string(w.agent.ID), `","requested_by":"me"}`)
		},
		"get_diagnostic":         func(w *world) request { return at("GET", "/diagnostics/"+string(w.asked().ID)) },
		"list_fleet":             func(*world) request { return at("GET", "/fleet") },
		"get_agent_fleet_status": func(w *world) request { return at("GET", agentPath(w, "/fleet-status")) },
		"list_agent_events":      func(*world) request { return at("GET", "/agent-events") },
		"get_agent_event": func(w *world) request {
			return at("GET", "/agent-events/"+string(w.says(w.agent, "SUCCESS").ID))
		},
		"get_stack_status": func(w *world) request { return at("GET", stackPath(w, "/status")) },
		"list_telemetry_events": func(w *world) request {
			return at("GET", stackPath(w, "/events?since=2026-03-01T12:00:00Z&limit=10"))
		},
		"list_telemetry_logs": func(w *world) request { return at("GET", stackPath(w, "/logs?limit=10")) },
		"list_webhooks":       func(*world) request { return at("GET", "/webhooks") },
		"list_event_types":    func(*world) request { return at("GET", "/webhooks/event-types") },
		"create_webhook": func(*world) request {
			return at("POST", "/webhooks", `{"name":"w","url":"https://example.com/h","event_types":["stack.*"]}`)
		},
		"get_webhook":    func(w *world) request { return at("GET", "/webhooks/"+w.webhook()) },
		"update_webhook": func(w *world) request { return at("PUT", "/webhooks/"+w.webhook(), `{"enabled":false,"filters":null}`) },
		"delete_webhook": func(w *world) request { return at("DELETE", "/webhooks/"+w.webhook()) },
		"test_webhook":   func(w *world) request { return at("POST", "/webhooks/"+w.webhook()+"/test") },
		"list_deliveries": func(w *world) request {
			id := w.webhook()
			w.delivery(id)
			return at("GET", "/webhooks/"+id+"/deliveries?status=pending&limit=10&offset=0")
		},
		"list_all_deliveries": func(w *world) request {
			w.delivery(w.webhook())
			return at("GET", "/webhook-deliveries?limit=1")
		},
		"get_delivery": func(w *world) request { return at("GET", "/webhook-deliveries/"+w.delivery(w.webhook())) },
		"redeliver":    func(w *world) request { return at("POST", "/webhook-deliveries/"+w.delivery(w.webhook())+"/redeliver") },

		"get_stack_placement": func(w *world) request { return at("GET", stackPath(w, "/placement")) },
		"approve_stack_placement": func(w *world) request {
			return at("POST", "/stacks/"+string(w.held.ID)+"/placement/approve", `{"fingerprint":"f1"}`)
		},
	}
}

func TestEveryMountedRouteIsDocumentedAndGuarded(t *testing.T) {
	t.Parallel()
	ops := accesstest.Operations(loadContract(t).doc)
	mounted := map[string]bool{}
	for _, r := range transport.Routes(nil, "") {
		mounted[r.Op] = true
		want := accesstest.Operation{ID: r.Op, Method: r.Method, Path: strings.TrimPrefix(r.Path, transport.Prefix), Access: r.Access, Success: r.Status}
		if diff := cmp.Diff(want, ops[r.Op]); diff != "" {
			t.Errorf("%s differs between route (-) and OpenAPI document (+):\n%s", r.Op, diff)
		}
		if successes()[r.Op] == nil {
			t.Errorf("%s has no test", r.Op)
		}
	}
	for op, d := range ops {
		if d.Service == accesstest.API && !mounted[op] {
			t.Errorf("%s is documented as the api's, but not mounted", op)
		}
	}
}

func TestEveryRouteSucceedsAsDocumentedAndIsMeasured(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	ops := accesstest.Operations(c.doc)
	for op, build := range successes() {
		if ops[op].Service == accesstest.Process { // no routes of the table
			continue
		}
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			rec := w.checked(asAdmin, build(w))
			if rec.Code != ops[op].Success {
				t.Fatalf("status %d, want %d: %s", rec.Code, ops[op].Success, rec.Body)
			}
			if rec.Code == http.StatusNoContent && rec.Body.Len() != 0 {
				t.Errorf("a 204 has the body %s", rec.Body)
			}
			if !measured(t, w, op) {
				t.Error("the operation was not measured")
			}
		})
	}
}

func measured(t *testing.T, w *world, op string) bool {
	t.Helper()
	families, err := w.tel.Registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "brokkr_operation_duration_seconds" && l.GetName() == "operation" && l.GetValue() == op {
					return m.GetHistogram().GetSampleCount() == 1
				}
			}
		}
	}
	return false
}
