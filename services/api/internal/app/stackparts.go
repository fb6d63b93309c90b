package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// changeStack runs one change of what belongs to a stack of p, with the event that placement hears.
func (a *App) changeStack(ctx context.Context, p tenancy.Principal, s stack.ID, act audit.Action, what string, data map[string]any, fn func(ctx context.Context, tx ports.Repositories) error) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		if err := a.did(ctx, tx, changedPart(act, string(s), data)); err != nil {
			return err
		}
		data["stack_id"], data["change"] = s, what
		return tx.Outbox().Append(ctx, a.stackEvent(ctx, event.StackChanged, v, a.now(), data))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// StackLabels returns the stack's labels to an admin, its owner, or an agent that has it.
func (a *App) StackLabels(ctx context.Context, p tenancy.Principal, s stack.ID) ([]stack.Label, error) {
	if _, err := a.readStack(ctx, p, s); err != nil {
		return nil, err
	}
	out, err := a.Store.Stacks().Labels(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("list the stack's labels: %w", err)
	}
	return out, nil
}

// AddStackLabel labels a stack; a label that it has already is a Conflict. One by which a policy comes to the stack that lets
// stacks wait for one another for ever is Refused (dependency_cycle).
func (a *App) AddStackLabel(ctx context.Context, p tenancy.Principal, s stack.ID, label string) (stack.Label, error) {
	if err := stack.CheckLabel(label); err != nil {
		return stack.Label{}, err
	}
	l := stack.Label{ID: stack.LabelID(newID()), Stack: s, Label: label}
	err := a.changeStack(ctx, p, s, audit.StackLabelAdded, "add label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Stacks().AddLabel(ctx, l); err != nil {
			return err
		}
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		return a.noCycleOf(ctx, tx, v)
	})
	return l, err
}

// RemoveStackLabel takes a label from a stack. Another policy may decide then: Refused (dependency_cycle) if stacks would wait for
// one another for ever so.
func (a *App) RemoveStackLabel(ctx context.Context, p tenancy.Principal, s stack.ID, label string) error {
	return a.changeStack(ctx, p, s, audit.StackLabelRemoved, "remove label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		before, err := tx.Policies().Effective(ctx, s)
		if err != nil {
			return err
		}
		if err := tx.Stacks().RemoveLabel(ctx, s, label); err != nil {
			return err
		}
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		return a.noCycleUnless(ctx, tx, v, before)
	})
}

// StackAnnotations returns the stack's annotations to an admin, its owner, or an agent that has it.
func (a *App) StackAnnotations(ctx context.Context, p tenancy.Principal, s stack.ID) ([]stack.Annotation, error) {
	if _, err := a.readStack(ctx, p, s); err != nil {
		return nil, err
	}
	out, err := a.Store.Stacks().Annotations(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("list the stack's annotations: %w", err)
	}
	return out, nil
}

// AddStackAnnotation annotates a stack; a key that it has already is a Conflict.
func (a *App) AddStackAnnotation(ctx context.Context, p tenancy.Principal, s stack.ID, key, value string) (stack.Annotation, error) {
	if err := stack.CheckAnnotation(key, value); err != nil {
		return stack.Annotation{}, err
	}
	an := stack.Annotation{ID: stack.AnnotationID(newID()), Stack: s, Key: key, Value: value}
	err := a.changeStack(ctx, p, s, audit.StackAnnotationAdded, "add annotation", map[string]any{"key": key}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Stacks().AddAnnotation(ctx, an)
	})
	return an, err
}

// RemoveStackAnnotation takes an annotation from a stack.
func (a *App) RemoveStackAnnotation(ctx context.Context, p tenancy.Principal, s stack.ID, key string) error {
	return a.changeStack(ctx, p, s, audit.StackAnnotationRemoved, "remove annotation", map[string]any{"key": key}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Stacks().RemoveAnnotation(ctx, s, key)
	})
}
