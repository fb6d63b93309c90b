package memory

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func (r agents) Labels(ctx context.Context, id agent.ID) ([]agent.Label, error) {
	return read(ctx, r.s, func(s *state) ([]agent.Label, error) { return valuesOf(s.agentLabels, string(id)), nil })
}

func (r agents) AddLabel(ctx context.Context, l agent.Label) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(l.Agent); !ok {
			return noAgent(l.Agent)
		}
		k := two{string(l.Agent), l.Label}
		if c.agentLabels.has(k) {
			return duplicate("agent_labels_label", "label", l.Label)
		}
		c.agentLabels.put(k, l)
		c.touchAgent(l.Agent)
		return nil
	})
}

func (r agents) RemoveLabel(ctx context.Context, id agent.ID, label string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.agentLabels.drop(two{string(id), label}) {
			return notFound("agent_label_not_found", "label", label)
		}
		c.touchAgent(id)
		return nil
	})
}

func (r agents) Annotations(ctx context.Context, id agent.ID) ([]agent.Annotation, error) {
	return read(ctx, r.s, func(s *state) ([]agent.Annotation, error) {
		return valuesOf(s.agentAnnotations, string(id)), nil
	})
}

func (r agents) AddAnnotation(ctx context.Context, a agent.Annotation) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(a.Agent); !ok {
			return noAgent(a.Agent)
		}
		k := two{string(a.Agent), a.Key}
		if c.agentAnnotations.has(k) {
			return duplicate("agent_annotations_key", "annotation", a.Key)
		}
		c.agentAnnotations.put(k, a)
		c.touchAgent(a.Agent)
		return nil
	})
}

func (r agents) RemoveAnnotation(ctx context.Context, id agent.ID, key string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.agentAnnotations.drop(two{string(id), key}) {
			return notFound("agent_annotation_not_found", "annotation", key)
		}
		c.touchAgent(id)
		return nil
	})
}

func (r agents) Targets(ctx context.Context, id agent.ID) ([]agent.Target, error) {
	return read(ctx, r.s, func(s *state) ([]agent.Target, error) { return valuesOf(s.targets, string(id)), nil })
}

func (r agents) AddTarget(ctx context.Context, t agent.Target) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(t.Agent); !ok {
			return noAgent(t.Agent)
		}
		if _, ok := c.liveStack(t.Stack); !ok {
			return noStack(t.Stack)
		}
		k := two{string(t.Agent), string(t.Stack)}
		if c.targets.has(k) {
			return duplicate("agent_targets_stack", "target", t.Stack)
		}
		c.targets.put(k, t)
		c.stackTargets.put(two{string(t.Stack), string(t.Agent)}, nothing{})
		c.touchAgent(t.Agent)
		return nil
	})
}

func (r agents) RemoveTarget(ctx context.Context, id agent.ID, s stack.ID) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.dropTarget(id, s) {
			return notFound("agent_target_not_found", "target", s)
		}
		c.touchAgent(id)
		return nil
	})
}
