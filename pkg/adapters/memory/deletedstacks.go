package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// deletedStack returns a stack that is deleted and has not been collected.
func (s *state) deletedStack(id stack.ID) (stack.Stack, bool) {
	if !s.deletedStacks.has(one(id)) {
		return stack.Stack{}, false
	}
	return s.stacks.get(one(id))
}

func (r stacks) Deleted(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error) {
	return read(ctx, r.s, func(s *state) (stack.Stack, error) {
		st, ok := s.deletedStack(id)
		if !ok || !scope.Owns(st.Generator) {
			return stack.Stack{}, noStack(id)
		}
		return copyStack(st), nil
	})
}

func (r stacks) DeletedPage(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error) {
	return read(ctx, r.s, func(s *state) (page.Page[stack.Stack], error) {
		var all []stack.Stack
		s.deletedStacks.each(func(k one, _ nothing) bool {
			st, _ := s.stacks.get(k)
			if _, live := s.liveGenerator(st.Generator); live && scope.Owns(st.Generator) && s.fits(st, q) {
				all = append(all, copyStack(st))
			}
			return true
		})
		return stack.DeletedList().Cut(all, q), nil
	})
}

// fits reports whether a stack has the labels and annotations of q.
func (s *state) fits(st stack.Stack, q page.Query) bool {
	return hasAll(s.stackLabels, string(st.ID), q.Labels) &&
		annotated(s.stackAnnotations, string(st.ID), q.Annotations, func(a stack.Annotation) string { return a.Value })
}

func (r stacks) Restore(ctx context.Context, id stack.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		st, ok := c.deletedStack(id)
		if !ok {
			return noStack(id)
		}
		if _, ok := c.liveGenerator(st.Generator); !ok {
			return noGenerator(st.Generator)
		}
		name := two{string(st.Generator), st.Name}
		if c.stackNames.has(name) {
			return duplicate("stacks_name", "stack", st.Name)
		}
		st.DeletedAt, st.UpdatedAt = nil, micro(at)
		st.Version++
		c.stacks.put(one(id), st)
		c.stackNames.put(name, id)
		c.deletedStacks.drop(one(id))
		return nil
	})
}

func (r stacks) Collect(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var gone []stack.Stack
		c.deletedStacks.each(func(k one, _ nothing) bool {
			st, _ := c.stacks.get(k)
			if st.DeletedAt.Before(micro(before)) && len(keysOf(c.stackAgents, string(k))) == 0 {
				gone = append(gone, st)
			}
			return true
		})
		slices.SortFunc(gone, func(x, y stack.Stack) int { return x.DeletedAt.Compare(*y.DeletedAt) })
		gone = gone[:min(len(gone), limit)]
		for _, st := range gone {
			c.collect(st.ID)
		}
		return len(gone), nil
	})
}

// collect drops what a deleted stack has kept.
func (c *change) collect(id stack.ID) {
	c.deletedStacks.drop(one(id))
	c.collectedStacks.put(one(id), micro(c.now()))
	for _, l := range keysOf(c.stackLabels, string(id)) {
		c.stackLabels.drop(two{string(id), l})
	}
	for _, k := range keysOf(c.stackAnnotations, string(id)) {
		c.stackAnnotations.drop(two{string(id), k})
	}
	c.detachPolicy(id)
	for _, owner := range keysOf(c.stackTargets, string(id)) {
		c.dropTarget(agent.ID(owner), id)
		c.touchAgent(agent.ID(owner))
	}
}
