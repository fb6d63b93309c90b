package postgres

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type agentLabelRow struct {
	ID    agent.LabelID `db:"id"`
	Agent agent.ID      `db:"agent_id"`
	Label string        `db:"label"`
}

const agentLabels = `SELECT id, agent_id, label FROM agent_labels WHERE agent_id = $1 ORDER BY label`

// Labels implements ports.Agents.
func (r agents) Labels(ctx context.Context, id agent.ID) ([]agent.Label, error) {
	rows, err := many[agentLabelRow](ctx, r.s, "list labels of agent", agentLabels, uid(id))
	return convert(rows, err, func(l agentLabelRow) agent.Label { return agent.Label(l) })
}

const addAgentLabel = `INSERT INTO agent_labels (id, agent_id, label) VALUES ($1, $2, $3)`

// AddLabel implements ports.Agents.
func (r agents) AddLabel(ctx context.Context, l agent.Label) error {
	return r.add(ctx, l.Agent, "add label to agent", addAgentLabel, uid(l.ID), uid(l.Agent), l.Label)
}

const removeAgentLabel = `DELETE FROM agent_labels WHERE agent_id = $1 AND label = $2`

// RemoveLabel implements ports.Agents.
func (r agents) RemoveLabel(ctx context.Context, id agent.ID, label string) error {
	return r.remove(ctx, id, notFound("agent_label_not_found", "label", label), "remove label of agent", removeAgentLabel, uid(id), label)
}

type agentAnnotationRow struct {
	ID    agent.AnnotationID `db:"id"`
	Agent agent.ID           `db:"agent_id"`
	Key   string             `db:"key"`
	Value string             `db:"value"`
}

const agentAnnotations = `SELECT id, agent_id, key, value FROM agent_annotations WHERE agent_id = $1 ORDER BY key`

// Annotations implements ports.Agents.
func (r agents) Annotations(ctx context.Context, id agent.ID) ([]agent.Annotation, error) {
	rows, err := many[agentAnnotationRow](ctx, r.s, "list annotations of agent", agentAnnotations, uid(id))
	return convert(rows, err, func(a agentAnnotationRow) agent.Annotation { return agent.Annotation(a) })
}

const addAgentAnnotation = `INSERT INTO agent_annotations (id, agent_id, key, value) VALUES ($1, $2, $3, $4)`

// AddAnnotation implements ports.Agents.
func (r agents) AddAnnotation(ctx context.Context, a agent.Annotation) error {
	return r.add(ctx, a.Agent, "add annotation to agent", addAgentAnnotation, uid(a.ID), uid(a.Agent), a.Key, a.Value)
}

const removeAgentAnnotation = `DELETE FROM agent_annotations WHERE agent_id = $1 AND key = $2`

// RemoveAnnotation implements ports.Agents.
func (r agents) RemoveAnnotation(ctx context.Context, id agent.ID, key string) error {
	return r.remove(ctx, id, notFound("agent_annotation_not_found", "annotation", key), "remove annotation of agent", removeAgentAnnotation, uid(id), key)
}

type targetRow struct {
	ID    agent.TargetID `db:"id"`
	Agent agent.ID       `db:"agent_id"`
	Stack stack.ID       `db:"stack_id"`
}

const agentTargets = `SELECT id, agent_id, stack_id FROM agent_targets WHERE agent_id = $1 ORDER BY stack_id`

// Targets implements ports.Agents.
func (r agents) Targets(ctx context.Context, id agent.ID) ([]agent.Target, error) {
	rows, err := many[targetRow](ctx, r.s, "list targets of agent", agentTargets, uid(id))
	return convert(rows, err, func(t targetRow) agent.Target { return agent.Target(t) })
}

const addAgentTarget = `INSERT INTO agent_targets (id, agent_id, stack_id) VALUES ($1, $2, $3)`

// AddTarget implements ports.Agents.
func (r agents) AddTarget(ctx context.Context, t agent.Target) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepStack(ctx, t.Stack); err != nil {
			return err
		}
		return agents{in}.add(ctx, t.Agent, "add target to agent", addAgentTarget, uid(t.ID), uid(t.Agent), uid(t.Stack))
	})
}

const removeAgentTarget = `DELETE FROM agent_targets WHERE agent_id = $1 AND stack_id = $2`

// RemoveTarget implements ports.Agents.
func (r agents) RemoveTarget(ctx context.Context, id agent.ID, s stack.ID) error {
	return r.remove(ctx, id, notFound("agent_target_not_found", "target", s), "remove target of agent", removeAgentTarget, uid(id), uid(s))
}

// add inserts a part of a live agent.
func (r agents) add(ctx context.Context, id agent.ID, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.touchLiveAgent(ctx, id); err != nil {
			return err
		}
		_, err := in.exec(ctx, act, query, args...)
		return err
	})
}

// remove deletes a part of an agent, or returns missing.
func (r agents) remove(ctx context.Context, id agent.ID, missing error, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, act, query, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing
		}
		return in.touchAgent(ctx, id)
	})
}
