package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// changeAgent runs one change of what belongs to an agent, with the event that placement hears.
func (a *App) changeAgent(ctx context.Context, id agent.ID, act audit.Action, what string, data map[string]any, fn func(ctx context.Context, tx ports.Repositories) error) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		if err := a.did(ctx, tx, changedPart(act, string(id), data)); err != nil {
			return err
		}
		data["agent_id"], data["change"] = id, what
		return tx.Outbox().Append(ctx, a.agentEvent(ctx, event.AgentChanged, id, a.now(), data))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// AgentLabels returns the agent's labels to an admin or to itself.
func (a *App) AgentLabels(ctx context.Context, p tenancy.Principal, id agent.ID) ([]agent.Label, error) {
	if _, err := a.GetAgent(ctx, p, id); err != nil {
		return nil, err
	}
	out, err := a.Store.Agents().Labels(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the agent's labels: %w", err)
	}
	return out, nil
}

// AddAgentLabel labels an agent; a label that it has already is a Conflict.
func (a *App) AddAgentLabel(ctx context.Context, p tenancy.Principal, id agent.ID, label, plan string) (agent.Label, error) {
	if err := agent.CheckLabel(label); err != nil {
		return agent.Label{}, err
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, AddLabels: []string{label}}), plan); err != nil {
		return agent.Label{}, err
	}
	l := agent.Label{ID: agent.LabelID(newID()), Agent: id, Label: label}
	err := a.changeAgent(ctx, id, audit.AgentLabelAdded, "add label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Agents().AddLabel(ctx, l)
	})
	return l, err
}

// RemoveAgentLabel takes a label from an agent.
func (a *App) RemoveAgentLabel(ctx context.Context, p tenancy.Principal, id agent.ID, label, plan string) error {
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, RemoveLabels: []string{label}}), plan); err != nil {
		return err
	}
	return a.changeAgent(ctx, id, audit.AgentLabelRemoved, "remove label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Agents().Get(ctx, tenancy.Everything(), id); err != nil {
			return err
		}
		return tx.Agents().RemoveLabel(ctx, id, label)
	})
}

// AgentAnnotations returns the agent's annotations to an admin or to itself.
func (a *App) AgentAnnotations(ctx context.Context, p tenancy.Principal, id agent.ID) ([]agent.Annotation, error) {
	if _, err := a.GetAgent(ctx, p, id); err != nil {
		return nil, err
	}
	out, err := a.Store.Agents().Annotations(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the agent's annotations: %w", err)
	}
	return out, nil
}

// AddAgentAnnotation annotates an agent; a key that it has already is a Conflict.
func (a *App) AddAgentAnnotation(ctx context.Context, p tenancy.Principal, id agent.ID, key, value, plan string) (agent.Annotation, error) {
	if err := stack.CheckAnnotation(key, value); err != nil {
		return agent.Annotation{}, err
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, SetAnnotations: map[string]string{key: value}}), plan); err != nil {
		return agent.Annotation{}, err
	}
	an := agent.Annotation{ID: agent.AnnotationID(newID()), Agent: id, Key: key, Value: value}
	err := a.changeAgent(ctx, id, audit.AgentAnnotationAdded, "add annotation", map[string]any{"key": key}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Agents().AddAnnotation(ctx, an)
	})
	return an, err
}

// RemoveAgentAnnotation takes an annotation from an agent.
func (a *App) RemoveAgentAnnotation(ctx context.Context, p tenancy.Principal, id agent.ID, key, plan string) error {
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, RemoveAnnotations: []string{key}}), plan); err != nil {
		return err
	}
	return a.changeAgent(ctx, id, audit.AgentAnnotationRemoved, "remove annotation", map[string]any{"key": key}, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Agents().Get(ctx, tenancy.Everything(), id); err != nil {
			return err
		}
		return tx.Agents().RemoveAnnotation(ctx, id, key)
	})
}

// AgentTargets returns the agent's explicit targets to an admin or to itself.
func (a *App) AgentTargets(ctx context.Context, p tenancy.Principal, id agent.ID) ([]agent.Target, error) {
	if _, err := a.GetAgent(ctx, p, id); err != nil {
		return nil, err
	}
	out, err := a.Store.Agents().Targets(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the agent's targets: %w", err)
	}
	return out, nil
}

// targetStack returns the stack that p wants to pin. A generator hears the same of another tenant's stack as of one
// that does not exist.
func targetStack(ctx context.Context, tx ports.Repositories, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	st, err := tx.Stacks().Get(ctx, tenancy.ScopeOf(p), s)
	if fault.Is(err, fault.NotFound) && !p.IsStaff() {
		return stack.Stack{}, fault.Newf(fault.Forbidden, "target_generator_mismatch", "stack %s does not belong to your generator", s)
	}
	return st, err
}

// AddTarget pins a stack to an agent. Stack and agent must have an approved registration between them, whoever asks.
func (a *App) AddTarget(ctx context.Context, p tenancy.Principal, id agent.ID, s stack.ID) (agent.Target, error) {
	t := agent.Target{ID: agent.TargetID(newID()), Agent: id, Stack: s}
	err := a.changeAgent(ctx, id, audit.AgentTargetAdded, "add target", map[string]any{"stack_id": s}, func(ctx context.Context, tx ports.Repositories) error {
		st, err := targetStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if p.IsStaff() {
			if _, err := tx.Agents().Get(ctx, tenancy.Everything(), id); err != nil {
				return err
			}
		}
		r, err := tx.Registrations().Get(ctx, id, st.Generator)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("get registration: %w", err)
		}
		if err != nil || r.State != tenancy.RegistrationApproved {
			return fault.Newf(fault.Forbidden, "agent_not_registered", "agent %s has no approved registration with generator %s", id, st.Generator)
		}
		return tx.Agents().AddTarget(ctx, t)
	})
	return t, err
}

// RemoveTarget takes the pin from an agent.
func (a *App) RemoveTarget(ctx context.Context, p tenancy.Principal, id agent.ID, s stack.ID) error {
	return a.changeAgent(ctx, id, audit.AgentTargetRemoved, "remove target", map[string]any{"stack_id": s}, func(ctx context.Context, tx ports.Repositories) error {
		if !p.IsStaff() {
			if _, err := targetStack(ctx, tx, p, s); err != nil {
				return err
			}
		}
		return tx.Agents().RemoveTarget(ctx, id, s)
	})
}
