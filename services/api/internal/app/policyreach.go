package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// StackPolicy returns which policy decides about a stack, to staff or its owner; NotFound if none does.
func (a *App) StackPolicy(ctx context.Context, p tenancy.Principal, s stack.ID) (policy.Ref, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return policy.Ref{}, err
	}
	ref, err := a.Store.Policies().Effective(ctx, s)
	if err != nil {
		return policy.Ref{}, fmt.Errorf("get the policy of the stack: %w", err)
	}
	if ref == nil {
		return policy.Ref{}, fault.New(fault.NotFound, "placement_policy_not_attached", "no placement policy reaches the stack; it is placed by targets, labels and annotations")
	}
	return *ref, nil
}

// AttachedPolicy is a policy that was given to a stack. The warnings tell what it asks for and the fleet does not have, and what
// its overrides do nothing to.
type AttachedPolicy struct {
	policy.Ref
	Warnings []PolicyProblem
}

// AttachPolicy gives a stack a policy of its own generator in place of any that it has by id, by staff or the owner.
func (a *App) AttachPolicy(ctx context.Context, p tenancy.Principal, s stack.ID, id policy.ID) (AttachedPolicy, error) {
	var out policy.Policy
	var tried, reviewed []PolicyProblem
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if out, err = tx.Policies().Get(ctx, tenancy.Scope{Generator: v.Generator}, id); err != nil {
			return err
		}
		if tried, err = a.tryOverrides(ctx, tx, out.Document, []stack.ID{s}, func(placement.Subject) bool { return true }); err != nil {
			return err
		}
		if reviewed, err = a.review(ctx, tx, v.Generator, out.Document); err != nil {
			return err
		}
		if err := tx.Policies().Attach(ctx, policy.Attachment{Policy: id, Stack: s, At: a.now()}); err != nil {
			return err
		}
		if err := a.noCycleOf(ctx, tx, v); err != nil {
			return err
		}
		return a.reaches(ctx, tx, audit.StackPolicyAttached, event.PolicyAttached, out, s, "")
	})
	if err != nil {
		return AttachedPolicy{}, fmt.Errorf("attach the placement policy: %w", err)
	}
	ref := policy.Ref{ID: out.ID, Name: out.Name, Revision: out.Revision, By: policy.ByStack}
	stored, err := a.withWarnings(p, out)
	return AttachedPolicy{Ref: ref, Warnings: slices.Concat(stored.Warnings, tried, reviewed)}, err
}

// reaches notes that a policy came to a stack or a label, or went.
func (a *App) reaches(ctx context.Context, tx ports.Repositories, did audit.Action, t event.Type, p policy.Policy, s stack.ID, label string) error {
	entry, data := audit.Did(did, string(p.ID), nil, nil), map[string]any{}
	if s != "" {
		entry, data["stack_id"] = audit.Did(did, string(s), nil, nil).With("policy_id", string(p.ID)), s
	}
	entry = entry.With("policy", p.Name)
	if label != "" {
		entry, data["stack_label"] = entry.With("stack_label", label), label
	}
	if err := a.did(ctx, tx, entry); err != nil {
		return err
	}
	e := a.policyEvent(ctx, t, p, data)
	e.Stack = s
	return tx.Outbox().Append(ctx, e)
}

// DetachPolicy takes from a stack the policy that it has by id, by staff or the owner. One that reaches it by a label
// decides then: Refused (dependency_cycle) if stacks would wait for one another for ever so.
func (a *App) DetachPolicy(ctx context.Context, p tenancy.Principal, s stack.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		id, err := tx.Policies().Detach(ctx, s)
		if err != nil {
			return err
		}
		was, err := tx.Policies().Get(ctx, tenancy.Scope{Generator: v.Generator}, id)
		if err != nil {
			return err
		}
		if err := a.noCycleOf(ctx, tx, v); err != nil {
			return err
		}
		return a.reaches(ctx, tx, audit.StackPolicyDetached, event.PolicyDetached, was, s, "")
	})
	if err != nil {
		return fmt.Errorf("detach the placement policy: %w", err)
	}
	return nil
}

// AttachPolicyLabel lets a policy reach every stack of its generator with this label, by staff or its owner. A second time
// changes nothing.
func (a *App) AttachPolicyLabel(ctx context.Context, p tenancy.Principal, id policy.ID, label string) (StoredPolicy, error) {
	if err := stack.CheckLabel(label); err != nil {
		return StoredPolicy{}, err
	}
	var out policy.Policy
	var reviewed []PolicyProblem
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		var err error
		if out, err = ownPolicy(ctx, tx, p, id); err != nil {
			return err
		}
		if reviewed, err = a.review(ctx, tx, out.Generator, out.Document); err != nil {
			return err
		}
		if slices.Contains(out.Labels, label) {
			return nil
		}
		if len(out.Labels) >= policy.MaxLabels {
			return fault.Newf(fault.Refused, "too_many_labels", "the policy is attached to %d labels, which is as many as are allowed", policy.MaxLabels)
		}
		if err := tx.Policies().AttachLabel(ctx, id, label, a.now()); err != nil {
			return err
		}
		reached, err := tx.Policies().Reaches(ctx, id)
		if err != nil {
			return err
		}
		tried, err := a.tryOverrides(ctx, tx, out.Document, reached, func(sub placement.Subject) bool { return sub.Labels[label] })
		if err != nil {
			return err
		}
		reviewed = slices.Concat(tried, reviewed)
		if err := a.noCycleBy(ctx, tx, out.Generator, id); err != nil {
			return err
		}
		if err := a.reaches(ctx, tx, audit.PolicyAttached, event.PolicyAttached, out, "", label); err != nil {
			return err
		}
		out, err = ownPolicy(ctx, tx, p, id)
		return err
	})
	if err != nil {
		return StoredPolicy{}, fmt.Errorf("attach the placement policy to a label: %w", err)
	}
	stored, err := a.withWarnings(p, out)
	stored.Warnings = append(stored.Warnings, reviewed...)
	return stored, err
}

// DetachPolicyLabel undoes AttachPolicyLabel. Other policies may decide then: Refused (dependency_cycle) if stacks would wait for
// one another for ever so.
func (a *App) DetachPolicyLabel(ctx context.Context, p tenancy.Principal, id policy.ID, label string) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		v, err := ownPolicy(ctx, tx, p, id)
		if err != nil {
			return err
		}
		reached, err := tx.Policies().Reaches(ctx, id)
		if err != nil {
			return err
		}
		if err := tx.Policies().DetachLabel(ctx, id, label); err != nil {
			return err
		}
		if err := a.noCycleWithout(ctx, tx, v.Generator, reached); err != nil {
			return err
		}
		return a.reaches(ctx, tx, audit.PolicyDetached, event.PolicyDetached, v, "", label)
	})
	if err != nil {
		return fmt.Errorf("detach the placement policy from a label: %w", err)
	}
	return nil
}
