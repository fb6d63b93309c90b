package http

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	policyJSON struct {
		ID          policy.ID           `json:"id"`
		CreatedAt   time.Time           `json:"created_at"`
		UpdatedAt   time.Time           `json:"updated_at"`
		GeneratorID tenancy.GeneratorID `json:"generator_id"`
		Name        string              `json:"name"`
		Revision    int                 `json:"revision"`
		Document    json.RawMessage     `json:"document"`
		Stacks      int                 `json:"stacks"`
		StackLabels []string            `json:"stack_labels"`
		Warnings    []problemJSON       `json:"warnings"`
	}
	problemJSON struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	}
	policyRevisionJSON struct {
		PolicyID  policy.ID        `json:"policy_id"`
		Revision  int              `json:"revision"`
		CreatedAt time.Time        `json:"created_at"`
		Document  *json.RawMessage `json:"document,omitempty"`
	}
	policyRefJSON struct {
		PolicyID policy.ID `json:"policy_id"`
		Name     string    `json:"name"`
		Revision int       `json:"revision"`
		By       policy.By `json:"by"`
		Label    *string   `json:"stack_label"`
	}
	attachedPolicyJSON struct {
		policyRefJSON
		Warnings []problemJSON `json:"warnings"`
	}
	policyAttachmentJSON struct {
		PolicyID string `json:"policy_id"`
	}
)

// documentOf returns a document as JSON; it is one, because it was read as one.
func documentOf(d policy.Document) json.RawMessage {
	text, err := d.Encode()
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

func policyOf(p policy.Policy) policyJSON { return storedPolicyOf(app.StoredPolicy{Policy: p}) }

func storedPolicyOf(p app.StoredPolicy) policyJSON {
	return policyJSON{
		ID: p.ID, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(), GeneratorID: p.Generator, Name: p.Name, Revision: p.Revision,
		Document: documentOf(p.Document), Stacks: p.Stacks, StackLabels: each(p.Labels, func(l string) string { return l }),
		Warnings: each(p.Warnings, func(w app.PolicyProblem) problemJSON { return problemJSON{w.Path, w.Message} }),
	}
}

func policyTagged(p app.StoredPolicy) rpc.Tagged {
	return rpc.Tagged{Tag: app.PolicyTag(p.Policy), Body: storedPolicyOf(p)}
}

func policyRefOf(r policy.Ref) policyRefJSON {
	out := policyRefJSON{PolicyID: r.ID, Name: r.Name, Revision: r.Revision, By: r.By}
	if r.By == policy.ByLabel {
		out.Label = &r.Label
	}
	return out
}

func attachedPolicyOf(p app.AttachedPolicy) attachedPolicyJSON {
	return attachedPolicyJSON{policyRefOf(p.Ref), each(p.Warnings, func(w app.PolicyProblem) problemJSON { return problemJSON{w.Path, w.Message} })}
}

// policyText reads a policy's document, as JSON or YAML.
func policyText(r *http.Request) (app.PolicyText, error) {
	ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	yaml := err == nil && isYAML(ct)
	if !yaml {
		if err := rpc.IsJSON(r); err != nil {
			return app.PolicyText{}, err
		}
	}
	content, err := io.ReadAll(r.Body)
	return app.PolicyText{Content: content, YAML: yaml}, err
}

type newPolicy struct {
	generator string
	text      app.PolicyText
}

// newPolicyBody reads ?generator_id= and a document.
func newPolicyBody(r *http.Request) (newPolicy, error) {
	out := newPolicy{}
	if g := r.URL.Query().Get("generator_id"); g != "" {
		var err error
		if out.generator, err = id.Parse[string]("generator_id", g); err != nil {
			return out, err
		}
	}
	var err error
	out.text, err = policyText(r)
	return out, err
}

type newRevision struct {
	text app.PolicyText
	plan string
}

// newRevisionBody reads ?plan= and a document.
func newRevisionBody(r *http.Request) (newRevision, error) {
	text, err := policyText(r)
	return newRevision{text: text, plan: r.URL.Query().Get("plan")}, err
}

// policyDeletion reads {id} and ?detach=.
func policyDeletion(r *http.Request) (of[policy.ID, bool], error) {
	return idWith[policy.ID](r, func(r *http.Request) (bool, error) { return flag(r, "detach") })
}

// policyRevisionID reads {id} and {revision}.
func policyRevisionID(r *http.Request) (of[policy.ID, int], error) {
	return idWith[policy.ID](r, func(r *http.Request) (int, error) {
		s, err := segment(r, "revision")
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 1 {
			return 0, fault.Newf(fault.Invalid, "invalid_revision", "%q is not the number of a revision", s)
		}
		return int(n), nil
	})
}

func policyRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_placement_policies", "/placement-policies", view(Generator), policy.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[policy.Policy], error) {
			return a.ListPolicies(ctx, who(ctx), q)
		}, policyOf),
		post("create_placement_policy", "/placement-policies", operate(Generator), newPolicyBody, func(ctx context.Context, n newPolicy) (policyJSON, error) {
			out, err := a.CreatePolicy(ctx, who(ctx), n.generator, n.text)
			return storedPolicyOf(out), err
		}),
		get("get_placement_policy", "/placement-policies/{id}", view(GeneratorOwner), justID[policy.ID], func(ctx context.Context, v policy.ID) (rpc.Tagged, error) {
			out, err := a.GetPolicy(ctx, who(ctx), v)
			return policyTagged(out), err
		}),
		put("update_placement_policy", "/placement-policies/{id}", operate(GeneratorOwner),
			func(r *http.Request) (of[policy.ID, newRevision], error) {
				return idWith[policy.ID](r, newRevisionBody)
			},
			func(ctx context.Context, r of[policy.ID, newRevision]) (rpc.Tagged, error) {
				out, err := a.UpdatePolicy(ctx, who(ctx), r.id, r.body.text, r.body.plan)
				return policyTagged(out), err
			}).Conditional(),
		del("delete_placement_policy", "/placement-policies/{id}", operate(GeneratorOwner), policyDeletion, func(ctx context.Context, r of[policy.ID, bool]) error {
			return a.DeletePolicy(ctx, who(ctx), r.id, r.body)
		}).Conditional(),
		list("list_placement_policy_revisions", "/placement-policies/{id}/revisions", view(GeneratorOwner), policy.RevisionList(), justID[policy.ID],
			rpc.Short(policy.RevisionList(), func(ctx context.Context, v policy.ID) ([]policy.Revision, error) {
				return a.PolicyRevisions(ctx, who(ctx), v)
			}), func(r policy.Revision) policyRevisionJSON {
				return policyRevisionJSON{PolicyID: r.Policy, Revision: r.Number, CreatedAt: r.CreatedAt.UTC()}
			}),
		get("get_placement_policy_revision", "/placement-policies/{id}/revisions/{revision}", view(GeneratorOwner), policyRevisionID, func(ctx context.Context, r of[policy.ID, int]) (policyRevisionJSON, error) {
			out, err := a.PolicyRevision(ctx, who(ctx), r.id, r.body)
			d := documentOf(out.Document)
			return policyRevisionJSON{PolicyID: out.Policy, Revision: out.Number, CreatedAt: out.CreatedAt.UTC(), Document: &d}, err
		}),
	}
}

func policyReachRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		put("attach_placement_policy_label", "/placement-policies/{id}/stack-labels/{label}", operate(GeneratorOwner), idAndText[policy.ID]("label"), func(ctx context.Context, r part[policy.ID, string]) (rpc.Tagged, error) {
			out, err := a.AttachPolicyLabel(ctx, who(ctx), r.id, r.key)
			return policyTagged(out), err
		}),
		del("detach_placement_policy_label", "/placement-policies/{id}/stack-labels/{label}", operate(GeneratorOwner), idAndText[policy.ID]("label"), func(ctx context.Context, r part[policy.ID, string]) error {
			return a.DetachPolicyLabel(ctx, who(ctx), r.id, r.key)
		}),
		get("get_stack_placement_policy", "/stacks/{id}/placement-policy", view(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) (policyRefJSON, error) {
			out, err := a.StackPolicy(ctx, who(ctx), s)
			return policyRefOf(out), err
		}),
		put("attach_placement_policy", "/stacks/{id}/placement-policy", operate(GeneratorOwner), idAnd[stack.ID, policyAttachmentJSON], func(ctx context.Context, r of[stack.ID, policyAttachmentJSON]) (attachedPolicyJSON, error) {
			v, err := id.Parse[policy.ID]("policy_id", r.body.PolicyID)
			if err != nil {
				return attachedPolicyJSON{}, err
			}
			out, err := a.AttachPolicy(ctx, who(ctx), r.id, v)
			return attachedPolicyOf(out), err
		}),
		del("detach_placement_policy", "/stacks/{id}/placement-policy", operate(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) error {
			return a.DetachPolicy(ctx, who(ctx), s)
		}),
	}
}
