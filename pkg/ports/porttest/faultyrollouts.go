package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyRollouts struct {
	in ports.Rollouts
	f  *faults
}

func (x faultyRollouts) Get(ctx context.Context, scope tenancy.Scope, id rollout.ID) (v rollout.Rollout, governs bool, err error) {
	if err = x.f.next(); err != nil {
		return v, false, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyRollouts) OfStack(ctx context.Context, s stack.ID, limit int) ([]rollout.Rollout, error) {
	if err := x.f.next(); err != nil {
		return nil, err
	}
	return x.in.OfStack(ctx, s, limit)
}

func (x faultyRollouts) History(ctx context.Context, id rollout.ID) ([]rollout.Transition, error) {
	if err := x.f.next(); err != nil {
		return nil, err
	}
	return x.in.History(ctx, id)
}

func (x faultyRollouts) Governing(ctx context.Context, stacks []stack.ID) (map[stack.ID]rollout.Rollout, error) {
	if err := x.f.next(); err != nil {
		return nil, err
	}
	return x.in.Governing(ctx, stacks)
}

func (x faultyRollouts) Statuses(ctx context.Context, stacks []stack.ID) (map[stack.ID]map[agent.ID]delivery.Status, error) {
	if err := x.f.next(); err != nil {
		return nil, err
	}
	return x.in.Statuses(ctx, stacks)
}

func (x faultyRollouts) Save(ctx context.Context, w ports.RolloutWrite) (int64, error) {
	if err := x.f.next(); err != nil {
		return 0, err
	}
	return x.in.Save(ctx, w)
}

func (x faultyRollouts) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := x.f.next(); err != nil {
		return 0, err
	}
	return x.in.Trim(ctx, before, limit)
}
