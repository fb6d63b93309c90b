package api_test

import (
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// policy is one of the owner's, attached to the label tier/web and to the stack that is no target yet. The first call stores it.
func (w *world) policy() policy.Policy {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now()
	if p, err := w.store.Policies().Get(ctx, tenancy.Everything(), w.policyID); err == nil {
		return p
	}
	p := policy.Policy{ID: w.policyID, Generator: w.owner.ID, Name: "eu", CreatedAt: now, UpdatedAt: now, Document: policy.Document{
		Name: "eu", Clusters: &policy.Selector{Labels: []string{"prod"}},
		Overrides: []policy.Override{{Patches: []policy.Patch{{Target: policy.PatchTarget{Kind: "ConfigMap"}, Merge: []byte(`{"data":{"k":"canary-value"}}`)}}}},
	}}
	must(w.t, w.store.Policies().Insert(ctx, p))
	must(w.t, w.store.Policies().AttachLabel(ctx, p.ID, "tier/web", now))
	must(w.t, w.store.Policies().Attach(ctx, policy.Attachment{Policy: p.ID, Stack: w.unpinned.ID, At: now}))
	return p
}

func policyRequests() map[string]func(w *world) request {
	of := func(method, rest, body string) func(w *world) request {
		return func(w *world) request {
			return request{method: method, path: "/placement-policies/" + string(w.policy().ID) + rest, body: body}
		}
	}
	const document = `{"name":"new","clusters":{"labels":["prod"]},"strategy":{"type":"count","count":{"min":1,"max":2}}}`
	return map[string]func(w *world) request{
		"list_placement_policies": func(w *world) request {
			w.policy()
			return request{method: http.MethodGet, path: "/placement-policies"}
		},
		"create_placement_policy": func(*world) request {
			return request{method: http.MethodPost, path: "/placement-policies", body: document}
		},
		"plan_placement": func(w *world) request {
			return request{method: http.MethodPost, path: "/placement/plan", body: `{"agents":[{"agent_id":"` + string(w.agent.ID) + `","remove_labels":["prod"],"drain":true}]}`}
		},
		"list_stack_placements": func(w *world) request {
			return request{method: http.MethodGet, path: "/stacks/" + string(w.held.ID) + "/placement/history"}
		},
		"get_agent_placement": func(w *world) request {
			return request{method: http.MethodGet, path: "/agents/" + string(w.agent.ID) + "/placement"}
		},
		"get_placement_policy":            of(http.MethodGet, "", ""),
		"update_placement_policy":         of(http.MethodPut, "", document),
		"delete_placement_policy":         of(http.MethodDelete, "?detach=true", ""),
		"list_placement_policy_revisions": of(http.MethodGet, "/revisions", ""),
		"get_placement_policy_revision":   of(http.MethodGet, "/revisions/1", ""),
		"attach_placement_policy_label":   of(http.MethodPut, "/stack-labels/team%2Fx", ""),
		"detach_placement_policy_label":   of(http.MethodDelete, "/stack-labels/tier%2Fweb", ""),
		"get_stack_placement_policy": func(w *world) request {
			w.policy()
			return request{method: http.MethodGet, path: "/stacks/" + string(w.stack.ID) + "/placement-policy"}
		},
		"attach_placement_policy": func(w *world) request {
			return request{method: http.MethodPut, path: "/stacks/" + string(w.stack.ID) + "/placement-policy", body: `{"policy_id":"` + string(w.policy().ID) + `"}`}
		},
		"detach_placement_policy": func(w *world) request {
			w.policy()
			return request{method: http.MethodDelete, path: "/stacks/" + string(w.unpinned.ID) + "/placement-policy"}
		},
	}
}
