package app

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

// PolicyProblem is something about a policy's document: what makes it none, or a warning.
type PolicyProblem struct {
	Path    string // of the field: rollout.waves[1].percent; empty for the whole
	Message string
	Warning bool // it can be stored as it is
}

// PolicyReader understands the documents of placement policies.
type PolicyReader interface {
	// Read returns a document from its JSON or YAML, with everything that is to be said about it.
	Read(content []byte, yaml bool) (policy.Document, []PolicyProblem)
}

// PolicyText is a policy as somebody writes it.
type PolicyText struct {
	Content []byte
	YAML    bool // else JSON
}

// StoredPolicy is a policy with the warnings about its newest revision.
type StoredPolicy struct {
	policy.Policy
	Warnings []PolicyProblem
}

func noPolicy(id any) error {
	return fault.Newf(fault.NotFound, "placement_policy_not_found", "placement policy %v is not there", id)
}

// readPolicy returns the document of a text with the warnings about it, or what is wrong (Invalid, invalid_policy, with
// problems in the details).
func (a *App) readPolicy(x PolicyText) (policy.Document, []PolicyProblem, error) {
	d, problems := a.Policies.Read(x.Content, x.YAML)
	var warnings, errs []PolicyProblem
	for _, p := range problems {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	return d, warnings, invalidPolicy(errs)
}

func invalidPolicy(errs []PolicyProblem) error {
	if len(errs) == 0 {
		return nil
	}
	type problem struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	}
	all := make([]problem, len(errs))
	for i, e := range errs {
		all[i] = problem{e.Path, e.Message}
	}
	first := errs[0].Message
	if errs[0].Path != "" {
		first = errs[0].Path + ": " + first
	}
	if len(errs) > 1 {
		first += fmt.Sprintf(" (and %d more problems)", len(errs)-1)
	}
	return fault.New(fault.Invalid, "invalid_policy", first).With("problems", all)
}

// PolicyTag is the state of a policy that a change may be made conditional on.
func PolicyTag(p policy.Policy) string { return precondition.State(p.ID, p.Revision) }

// ListPolicies returns a page of the policies that p owns, of all for staff.
func (a *App) ListPolicies(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[policy.Policy], error) {
	out, err := a.Store.Policies().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[policy.Policy]{}, fmt.Errorf("list placement policies: %w", err)
	}
	for i := range out.Items {
		out.Items[i].Document = shownTo(p, out.Items[i].Document)
	}
	return out, nil
}

// shownTo returns a document without what its overrides write into manifests for those who see no manifests.
func shownTo(p tenancy.Principal, d policy.Document) policy.Document {
	if p.Role != tenancy.RoleViewer {
		return d
	}
	for i := range d.Overrides {
		for j := range d.Overrides[i].Patches {
			d.Overrides[i].Patches[j].JSON6902, d.Overrides[i].Patches[j].Merge = nil, nil
		}
	}
	return d
}

// ownPolicy returns a live policy to staff or its owner; anybody else learns that it is not there.
func ownPolicy(ctx context.Context, tx ports.Repositories, p tenancy.Principal, id policy.ID) (policy.Policy, error) {
	if p.Role == tenancy.RoleAgent {
		return policy.Policy{}, noPolicy(id)
	}
	out, err := tx.Policies().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return policy.Policy{}, fmt.Errorf("get placement policy: %w", err)
	}
	return out, nil
}

// GetPolicy returns a policy to staff or its owner.
func (a *App) GetPolicy(ctx context.Context, p tenancy.Principal, id policy.ID) (StoredPolicy, error) {
	out, err := ownPolicy(ctx, a.Store, p, id)
	if err != nil {
		return StoredPolicy{}, err
	}
	return a.withWarnings(p, out)
}

func (a *App) withWarnings(p tenancy.Principal, v policy.Policy) (StoredPolicy, error) {
	text, err := v.Document.Encode()
	if err != nil {
		return StoredPolicy{}, err
	}
	out := StoredPolicy{Policy: v}
	_, problems := a.Policies.Read(text, false)
	for _, problem := range problems { // what a newer release calls an error is one for whoever writes it next
		problem.Warning = true
		out.Warnings = append(out.Warnings, problem)
	}
	out.Document = shownTo(p, out.Document)
	return out, nil
}

// policyEvent is an event about a policy, which reaches stacks of its generator alone.
func (a *App) policyEvent(ctx context.Context, t event.Type, p policy.Policy, data map[string]any) event.Event {
	data["policy_id"], data["name"], data["revision"] = p.ID, p.Name, p.Revision
	e := a.occurred(ctx, t, a.now(), data)
	e.Generator = p.Generator
	return e
}

// CreatePolicy stores a policy: a generator its own, staff one of the generator that is named, or of the admin-generator. What it
// asks for and the fleet does not have is told in the warnings.
func (a *App) CreatePolicy(ctx context.Context, p tenancy.Principal, generator string, x PolicyText) (StoredPolicy, error) {
	d, warnings, err := a.readPolicy(x)
	if err != nil {
		return StoredPolicy{}, err
	}
	if p.Role == tenancy.RoleGenerator && generator != "" && generator != string(p.Generator) {
		return StoredPolicy{}, fault.New(fault.Forbidden, "placement_policy_generator_mismatch", "generator_id is not your generator; leave it out")
	}
	var out policy.Policy
	var reviewed []PolicyProblem
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		g, err := a.ownerOfNew(ctx, tx, p, generator)
		if err != nil {
			return err
		}
		if reviewed, err = a.review(ctx, tx, g.ID, d); err != nil {
			return err
		}
		at := a.now()
		out = policy.Policy{ID: policy.ID(newID()), Generator: g.ID, Name: d.Name, Revision: 1, Document: d, CreatedAt: at, UpdatedAt: at}
		if err := tx.Policies().Insert(ctx, out); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.PolicyCreated, string(out.ID), nil, out).With("name", out.Name)); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.policyEvent(ctx, event.PolicyCreated, out, map[string]any{}))
	})
	if err != nil {
		return StoredPolicy{}, fmt.Errorf("create placement policy: %w", err)
	}
	return StoredPolicy{Policy: out, Warnings: append(warnings, reviewed...)}, nil
}

// UpdatePolicy stores the next revision of a policy, by staff or its owner. A document that says what the newest revision
// says makes none. Stacks that would wait for one another for ever are Refused (dependency_cycle). With the id of a plan it is stored only if it would still come to what the plan says.
func (a *App) UpdatePolicy(ctx context.Context, p tenancy.Principal, id policy.ID, x PolicyText, plan string) (StoredPolicy, error) {
	d, warnings, err := a.readPolicy(x)
	if err != nil {
		return StoredPolicy{}, err
	}
	if err := a.stillTrue(ctx, p, PlanRequest{Policy: &PlannedPolicy{ID: id, Text: x}}, plan); err != nil {
		return StoredPolicy{}, err
	}
	var out policy.Policy
	var tried, reviewed []PolicyProblem
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Policy(ctx, id); err != nil {
			return err
		}
		before, err := ownPolicy(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, PolicyTag(before)); err != nil {
			return err
		}
		if reviewed, err = a.review(ctx, tx, before.Generator, d); err != nil {
			return err
		}
		out = before
		if same, err := saysTheSame(before.Document, d); same || err != nil {
			return err
		}
		more, err := a.tryWhereItDecides(ctx, tx, id, d)
		if err != nil {
			return err
		}
		tried = more
		next := before
		next.Name, next.Document, next.UpdatedAt = d.Name, d, a.now()
		if err := tx.Policies().Revise(ctx, next); err != nil {
			return err
		}
		if err := a.noCycleBy(ctx, tx, before.Generator, id); err != nil {
			return err
		}
		if out, err = tx.Policies().Get(ctx, tenancy.ScopeOf(p), id); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.PolicyUpdated, string(id), before, out).With("revision", fmt.Sprint(out.Revision))); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.policyEvent(ctx, event.PolicyChanged, out, map[string]any{}))
	})
	if err != nil {
		return StoredPolicy{}, fmt.Errorf("update placement policy: %w", err)
	}
	return StoredPolicy{Policy: out, Warnings: slices.Concat(warnings, tried, reviewed)}, nil
}

func saysTheSame(a, b policy.Document) (bool, error) {
	x, err := a.Encode()
	if err != nil {
		return false, err
	}
	y, err := b.Encode()
	return bytes.Equal(x, y), err
}

// DeletePolicy deletes a policy, by staff or its owner. One that is attached is Refused, unless it is to be detached from
// everything. Other policies may decide then: Refused (dependency_cycle) if stacks would wait for one another for ever so.
func (a *App) DeletePolicy(ctx context.Context, p tenancy.Principal, id policy.ID, detach bool) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Policy(ctx, id); err != nil { // nobody attaches it between the look and the deletion
			return err
		}
		v, err := ownPolicy(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, PolicyTag(v)); err != nil {
			return err
		}
		if v.Attached() && !detach {
			return fault.Newf(fault.Refused, "placement_policy_attached", "the policy is attached to %d stacks and to the labels %q; detach it first, or delete with detach=true", v.Stacks, v.Labels).
				With("stacks", v.Stacks).With("stack_labels", append([]string{}, v.Labels...))
		}
		reached, err := tx.Policies().Reaches(ctx, id)
		if err != nil {
			return err
		}
		if err := a.dropPolicy(ctx, tx, v); err != nil {
			return err
		}
		return a.noCycleWithout(ctx, tx, v.Generator, reached)
	})
	if err != nil {
		return fmt.Errorf("delete placement policy: %w", err)
	}
	return nil
}

func (a *App) dropPolicy(ctx context.Context, tx ports.Repositories, v policy.Policy) error {
	if err := tx.Policies().Delete(ctx, v.ID, a.now()); err != nil {
		return err
	}
	if err := a.did(ctx, tx, audit.Did(audit.PolicyDeleted, string(v.ID), v, nil).With("name", v.Name)); err != nil {
		return err
	}
	return tx.Outbox().Append(ctx, a.policyEvent(ctx, event.PolicyDeleted, v, map[string]any{}))
}

// dropPolicies deletes what policies a generator has. The generator's deletion is the audit entry.
func (a *App) dropPolicies(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID) error {
	scope, at := tenancy.Scope{Generator: g}, a.now()
	for {
		some, err := tx.Policies().Page(ctx, scope, policy.List().All(page.DefaultLimit))
		if err != nil {
			return fmt.Errorf("list its placement policies: %w", err)
		}
		for _, v := range some.Items {
			if err := tx.Locks().Policy(ctx, v.ID); err != nil {
				return err
			}
			if err := tx.Policies().Delete(ctx, v.ID, at); err != nil {
				return fmt.Errorf("delete placement policy %s: %w", v.ID, err)
			}
		}
		if some.Next == nil {
			return nil
		}
	}
}

// PolicyRevisions returns the kept revisions of a policy, without documents, to staff or its owner.
func (a *App) PolicyRevisions(ctx context.Context, p tenancy.Principal, id policy.ID) ([]policy.Revision, error) {
	if p.Role == tenancy.RoleAgent {
		return nil, noPolicy(id)
	}
	out, err := a.Store.Policies().Revisions(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return nil, fmt.Errorf("list revisions of placement policy: %w", err)
	}
	return out, nil
}

// PolicyRevision returns one revision of a policy to staff or its owner.
func (a *App) PolicyRevision(ctx context.Context, p tenancy.Principal, id policy.ID, number int) (policy.Revision, error) {
	if p.Role == tenancy.RoleAgent {
		return policy.Revision{}, noPolicy(id)
	}
	out, err := a.Store.Policies().Revision(ctx, tenancy.ScopeOf(p), id, number)
	if err != nil {
		return policy.Revision{}, fmt.Errorf("get revision of placement policy: %w", err)
	}
	out.Document = shownTo(p, out.Document)
	return out, nil
}
