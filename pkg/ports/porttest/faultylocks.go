package porttest

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyLocks struct {
	in ports.Locks
	f  *faults
}

func (x faultyLocks) Generator(ctx context.Context, id tenancy.GeneratorID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Generator(ctx, id)
}

func (x faultyLocks) Agent(ctx context.Context, id agent.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Agent(ctx, id)
}

func (x faultyLocks) Stack(ctx context.Context, id stack.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Stack(ctx, id)
}

func (x faultyLocks) Policy(ctx context.Context, id policy.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Policy(ctx, id)
}

func (x faultyLocks) Template(ctx context.Context, id template.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Template(ctx, id)
}

func (x faultyLocks) Webhook(ctx context.Context, id webhook.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Webhook(ctx, id)
}

func (x faultyLocks) WorkOrder(ctx context.Context, id workorder.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.WorkOrder(ctx, id)
}

func (x faultyLocks) Credential(ctx context.Context, id tenancy.CredentialID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Credential(ctx, id)
}

func (x faultyLocks) JoinToken(ctx context.Context, id join.TokenID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.JoinToken(ctx, id)
}
