package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyPolicies struct {
	in ports.Policies
	f  *faults
}

func (x faultyPolicies) Get(ctx context.Context, scope tenancy.Scope, id policy.ID) (v policy.Policy, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyPolicies) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[policy.Policy], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyPolicies) Insert(ctx context.Context, p policy.Policy) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, p)
}

func (x faultyPolicies) Revise(ctx context.Context, p policy.Policy) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Revise(ctx, p)
}

func (x faultyPolicies) Delete(ctx context.Context, id policy.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id, at)
}

func (x faultyPolicies) Revisions(ctx context.Context, scope tenancy.Scope, id policy.ID) (v []policy.Revision, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Revisions(ctx, scope, id)
}

func (x faultyPolicies) Revision(ctx context.Context, scope tenancy.Scope, id policy.ID, number int) (v policy.Revision, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Revision(ctx, scope, id, number)
}

func (x faultyPolicies) Attach(ctx context.Context, a policy.Attachment) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Attach(ctx, a)
}

func (x faultyPolicies) Detach(ctx context.Context, s stack.ID) (v policy.ID, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Detach(ctx, s)
}

func (x faultyPolicies) AttachLabel(ctx context.Context, id policy.ID, label string, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AttachLabel(ctx, id, label, at)
}

func (x faultyPolicies) DetachLabel(ctx context.Context, id policy.ID, label string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.DetachLabel(ctx, id, label)
}

func (x faultyPolicies) Effective(ctx context.Context, s stack.ID) (v *policy.Ref, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Effective(ctx, s)
}

func (x faultyPolicies) Reaches(ctx context.Context, id policy.ID) (v []stack.ID, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Reaches(ctx, id)
}

func (x faultyPolicies) Live(ctx context.Context, ids []policy.ID) (v []policy.Policy, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Live(ctx, ids)
}
