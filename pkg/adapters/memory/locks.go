package memory

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
)

// locks has nothing to do but to be there: transactions that change something come one after the other here.
type locks struct{ s session }

func (r locks) still(ctx context.Context) error {
	return r.s.update(ctx, func(*change) error { return nil })
}

func (r locks) Generator(ctx context.Context, _ tenancy.GeneratorID) error   { return r.still(ctx) }
func (r locks) Agent(ctx context.Context, _ agent.ID) error                  { return r.still(ctx) }
func (r locks) Policy(ctx context.Context, _ policy.ID) error                { return r.still(ctx) }
func (r locks) Stack(ctx context.Context, _ stack.ID) error                  { return r.still(ctx) }
func (r locks) Template(ctx context.Context, _ template.ID) error            { return r.still(ctx) }
func (r locks) Webhook(ctx context.Context, _ webhook.ID) error              { return r.still(ctx) }
func (r locks) WorkOrder(ctx context.Context, _ workorder.ID) error          { return r.still(ctx) }
func (r locks) Credential(ctx context.Context, _ tenancy.CredentialID) error { return r.still(ctx) }
func (r locks) JoinToken(ctx context.Context, _ join.TokenID) error          { return r.still(ctx) }
