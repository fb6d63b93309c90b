package memory

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type objects struct{ s session }

func noObject(id any) error {
	return notFound("deployment_object_not_found", "deployment object", id)
}

func (r objects) Insert(ctx context.Context, o stack.Object) (stack.Object, error) {
	return write(ctx, r.s, func(c *change) (stack.Object, error) {
		if _, ok := c.liveStack(o.Stack); !ok {
			return stack.Object{}, noStack(o.Stack)
		}
		if !c.blobs.has(one(o.Checksum)) {
			return stack.Object{}, noBlob(o.Checksum)
		}
		if c.objects.has(one(o.ID)) {
			return stack.Object{}, duplicate("deployment_objects_pkey", "deployment object", o.ID)
		}
		if o.Origin != nil && !c.templates.has(one(o.Origin.Template)) {
			return stack.Object{}, noTemplate(o.Origin.Template)
		}
		o = copyObject(o)
		o.DeletedAt = nil
		o.Sequence = stack.Sequence(c.sequences.object.Add(1))
		c.objects.put(one(o.ID), o)
		c.stackObjects.put(numbered{string(o.Stack), int64(o.Sequence)}, o.ID)
		c.touchStack(o.Stack)
		return copyObject(o), nil
	})
}

func (r objects) Get(ctx context.Context, scope tenancy.Scope, id stack.ObjectID) (stack.Object, error) {
	return read(ctx, r.s, func(s *state) (stack.Object, error) {
		o, ok := s.objects.get(one(id))
		if !ok || o.DeletedAt != nil {
			return stack.Object{}, noObject(id)
		}
		if st, _ := s.stacks.get(one(o.Stack)); !s.seesStack(scope, st) {
			return stack.Object{}, noObject(id)
		}
		return copyObject(o), nil
	})
}

func (r objects) Newest(ctx context.Context, id stack.ID) (stack.Object, error) {
	return read(ctx, r.s, func(s *state) (stack.Object, error) {
		o, ok := s.newest(id)
		if !ok {
			return stack.Object{}, noObject("of stack " + string(id))
		}
		return copyObject(o), nil
	})
}

func (r objects) OfStack(ctx context.Context, id stack.ID) ([]stack.Object, error) {
	return read(ctx, r.s, func(s *state) ([]stack.Object, error) {
		var out []stack.Object
		s.stackObjects.back(numbered{string(id), maxSequence}, func(k numbered, oid stack.ObjectID) bool {
			if k.a != string(id) {
				return false
			}
			if o, ok := s.objects.get(one(oid)); ok && o.DeletedAt == nil {
				out = append(out, copyObject(o))
			}
			return true
		})
		return out, nil
	})
}

func (r objects) Page(ctx context.Context, id stack.ID, q page.Query) (page.Page[stack.Object], error) {
	all, err := r.OfStack(ctx, id)
	if err != nil {
		return page.Page[stack.Object]{}, err
	}
	return stack.ObjectList().Cut(all, q), nil
}
