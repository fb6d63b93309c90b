package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyStacks struct {
	in ports.Stacks
	f  *faults
}

func (x faultyStacks) Get(ctx context.Context, scope tenancy.Scope, id stack.ID) (v stack.Stack, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyStacks) ByName(ctx context.Context, g tenancy.GeneratorID, name string) (v stack.Stack, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ByName(ctx, g, name)
}

func (x faultyStacks) List(ctx context.Context, scope tenancy.Scope) (v []stack.Stack, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.List(ctx, scope)
}

func (x faultyStacks) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[stack.Stack], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyStacks) Insert(ctx context.Context, s stack.Stack) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, s)
}

func (x faultyStacks) Update(ctx context.Context, s stack.Stack) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Update(ctx, s)
}

func (x faultyStacks) Delete(ctx context.Context, id stack.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id, at)
}

func (x faultyStacks) Deleted(ctx context.Context, scope tenancy.Scope, id stack.ID) (v stack.Stack, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Deleted(ctx, scope, id)
}

func (x faultyStacks) DeletedPage(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[stack.Stack], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.DeletedPage(ctx, scope, q)
}

func (x faultyStacks) Restore(ctx context.Context, id stack.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Restore(ctx, id, at)
}

func (x faultyStacks) Collect(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return 0, err
	}
	return x.in.Collect(ctx, before, limit)
}

func (x faultyStacks) Purge(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.Purge(ctx, before, limit)
}

func (x faultyStacks) Labels(ctx context.Context, id stack.ID) (v []stack.Label, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Labels(ctx, id)
}

func (x faultyStacks) AddLabel(ctx context.Context, l stack.Label) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddLabel(ctx, l)
}

func (x faultyStacks) RemoveLabel(ctx context.Context, id stack.ID, label string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveLabel(ctx, id, label)
}

func (x faultyStacks) Annotations(ctx context.Context, id stack.ID) (v []stack.Annotation, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Annotations(ctx, id)
}

func (x faultyStacks) AddAnnotation(ctx context.Context, a stack.Annotation) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddAnnotation(ctx, a)
}

func (x faultyStacks) RemoveAnnotation(ctx context.Context, id stack.ID, key string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveAnnotation(ctx, id, key)
}

type faultyObjects struct {
	in ports.Objects
	f  *faults
}

func (x faultyObjects) Insert(ctx context.Context, o stack.Object) (v stack.Object, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Insert(ctx, o)
}

func (x faultyObjects) Get(ctx context.Context, scope tenancy.Scope, id stack.ObjectID) (v stack.Object, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyObjects) Newest(ctx context.Context, s stack.ID) (v stack.Object, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Newest(ctx, s)
}

func (x faultyObjects) OfStack(ctx context.Context, s stack.ID) (v []stack.Object, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.OfStack(ctx, s)
}

func (x faultyObjects) Page(ctx context.Context, s stack.ID, q page.Query) (v page.Page[stack.Object], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, s, q)
}

type faultyBlobs struct {
	in ports.Blobs
	f  *faults
}

func (x faultyBlobs) Put(ctx context.Context, content []byte) (v stack.Checksum, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Put(ctx, content)
}

func (x faultyBlobs) Get(ctx context.Context, sum stack.Checksum) (v []byte, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, sum)
}

func (x faultyBlobs) GetMany(ctx context.Context, sums []stack.Checksum) (v map[stack.Checksum][]byte, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.GetMany(ctx, sums)
}

func (x faultyBlobs) Trim(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return n, err
	}
	return x.in.Trim(ctx, before, limit)
}

type faultySecrets struct {
	in ports.Secrets
	f  *faults
}

func (x faultySecrets) Rewrap(ctx context.Context, limit int) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Rewrap(ctx, limit)
}

func (x faultySecrets) Usage(ctx context.Context) (v map[string]int64, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Usage(ctx)
}
