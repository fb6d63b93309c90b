package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type stacks struct{ s session }

func noStack(id any) error { return notFound("stack_not_found", "stack", id) }

func (r stacks) Get(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error) {
	return read(ctx, r.s, func(s *state) (stack.Stack, error) {
		st, ok := s.liveStack(id)
		if !ok || !s.seesStack(scope, st) {
			return stack.Stack{}, noStack(id)
		}
		return copyStack(st), nil
	})
}

func (r stacks) ByName(ctx context.Context, g tenancy.GeneratorID, name string) (stack.Stack, error) {
	return read(ctx, r.s, func(s *state) (stack.Stack, error) {
		id, ok := s.stackNames.get(two{string(g), name})
		if !ok {
			return stack.Stack{}, noStack(name)
		}
		st, _ := s.liveStack(id)
		return copyStack(st), nil
	})
}

func (r stacks) List(ctx context.Context, scope tenancy.Scope) ([]stack.Stack, error) {
	return read(ctx, r.s, func(s *state) ([]stack.Stack, error) {
		var out []stack.Stack
		s.stackNames.each(func(_ two, id stack.ID) bool {
			if st, ok := s.liveStack(id); ok && s.seesStack(scope, st) {
				out = append(out, copyStack(st))
			}
			return true
		})
		slices.SortFunc(out, func(x, y stack.Stack) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
		})
		return out, nil
	})
}

func (r stacks) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error) {
	return read(ctx, r.s, func(s *state) (page.Page[stack.Stack], error) {
		var all []stack.Stack
		s.stackNames.each(func(_ two, id stack.ID) bool {
			if st, ok := s.liveStack(id); ok && s.seesStack(scope, st) && s.fits(st, q) {
				all = append(all, copyStack(st))
			}
			return true
		})
		return stack.List().Cut(all, q), nil
	})
}

func (r stacks) Insert(ctx context.Context, st stack.Stack) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveGenerator(st.Generator); !ok {
			return noGenerator(st.Generator)
		}
		name := two{string(st.Generator), st.Name}
		if c.stackNames.has(name) {
			return duplicate("stacks_name", "stack", st.Name)
		}
		if c.stacks.has(one(st.ID)) {
			return duplicate("stacks_pkey", "stack", st.ID)
		}
		st = copyStack(st)
		st.DeletedAt, st.Version = nil, max(st.Version, 1)
		c.stacks.put(one(st.ID), st)
		c.stackNames.put(name, st.ID)
		return nil
	})
}

func (r stacks) Update(ctx context.Context, st stack.Stack) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.liveStack(st.ID)
		if !ok {
			return noStack(st.ID)
		}
		if stored.Version != st.Version {
			return stale("stack", st.ID)
		}
		name := two{string(stored.Generator), st.Name}
		if holder, taken := c.stackNames.get(name); taken && holder != st.ID {
			return duplicate("stacks_name", "stack", st.Name)
		}
		c.stackNames.drop(two{string(stored.Generator), stored.Name})
		c.stackNames.put(name, st.ID)
		st = copyStack(st)
		stored.Name, stored.Description, stored.Treatment, stored.UpdatedAt = st.Name, st.Description, st.Treatment, st.UpdatedAt
		stored.Version++
		c.stacks.put(one(st.ID), stored)
		return nil
	})
}

func (r stacks) Delete(ctx context.Context, id stack.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		st, ok := c.liveStack(id)
		if !ok {
			return noStack(id)
		}
		c.stackNames.drop(two{string(st.Generator), st.Name})
		at = micro(at)
		st.DeletedAt, st.UpdatedAt = &at, at
		st.Version++
		c.stacks.put(one(id), st)
		c.deletedStacks.put(one(id), nothing{})
		return nil
	})
}

func (r stacks) Labels(ctx context.Context, id stack.ID) ([]stack.Label, error) {
	return read(ctx, r.s, func(s *state) ([]stack.Label, error) { return valuesOf(s.stackLabels, string(id)), nil })
}

func (r stacks) AddLabel(ctx context.Context, l stack.Label) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveStack(l.Stack); !ok {
			return noStack(l.Stack)
		}
		k := two{string(l.Stack), l.Label}
		if c.stackLabels.has(k) {
			return duplicate("stack_labels_label", "label", l.Label)
		}
		c.stackLabels.put(k, l)
		c.touchStack(l.Stack)
		return nil
	})
}

func (r stacks) RemoveLabel(ctx context.Context, id stack.ID, label string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.stackLabels.drop(two{string(id), label}) {
			return notFound("stack_label_not_found", "label", label)
		}
		c.touchStack(id)
		return nil
	})
}

func (r stacks) Annotations(ctx context.Context, id stack.ID) ([]stack.Annotation, error) {
	return read(ctx, r.s, func(s *state) ([]stack.Annotation, error) {
		return valuesOf(s.stackAnnotations, string(id)), nil
	})
}

func (r stacks) AddAnnotation(ctx context.Context, a stack.Annotation) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveStack(a.Stack); !ok {
			return noStack(a.Stack)
		}
		k := two{string(a.Stack), a.Key}
		if c.stackAnnotations.has(k) {
			return duplicate("stack_annotations_key", "annotation", a.Key)
		}
		c.stackAnnotations.put(k, a)
		c.touchStack(a.Stack)
		return nil
	})
}

func (r stacks) RemoveAnnotation(ctx context.Context, id stack.ID, key string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.stackAnnotations.drop(two{string(id), key}) {
			return notFound("stack_annotation_not_found", "annotation", key)
		}
		c.touchStack(id)
		return nil
	})
}
