package cycle

import (
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// reached returns the stacks about which another policy, or another revision of theirs, may decide after ev: what it was
// attached to or detached from, and what it decides about as far as the snapshot knows.
func (w *world) reached(ev event.Event) []stack.ID {
	var out []stack.ID
	if ev.Stack != "" {
		out = append(out, ev.Stack)
	}
	id, _ := ev.Data["policy_id"].(string)
	label, _ := ev.Data["stack_label"].(string)
	for s := range w.index.policies[policy.ID(id)] {
		out = append(out, s)
	}
	if label != "" {
		for s := range w.index.labels[own{ev.Generator, label}] {
			out = append(out, s)
		}
	}
	return out
}

// forget drops what is remembered of policies that decide about no stack any longer, and of stacks that are gone.
func (e *Engine) forget() {
	w := e.world
	for id := range e.policies {
		if _, decides := w.index.policies[id]; decides {
			continue
		}
		if old, ok := e.ready[id]; ok {
			e.triggers.decisions.remove(old.compiled.Reads(), id)
			e.triggers.overrides.remove(old.compiled.OverridesRead(), id)
		}
		delete(e.policies, id)
		delete(e.ready, id)
		delete(e.peering, id)
	}
	for id := range e.retry {
		if _, there := w.subjects[id]; !there {
			delete(e.retry, id)
		}
	}
}
