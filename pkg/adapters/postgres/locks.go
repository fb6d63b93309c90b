package postgres

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

type locks struct{ s session }

// Not FOR UPDATE: rows that refer to the thing may be written meanwhile.
const (
	stillGenerator = `SELECT 1 FROM generators WHERE id = $1 FOR NO KEY UPDATE`
	stillAgent     = `SELECT 1 FROM agents WHERE id = $1 FOR NO KEY UPDATE`
	stillPolicy    = `SELECT 1 FROM placement_policies WHERE id = $1 FOR NO KEY UPDATE`
	stillTemplate  = `SELECT 1 FROM templates WHERE id = $1 FOR NO KEY UPDATE`
	stillWebhook   = `SELECT 1 FROM webhook_subscriptions WHERE id = $1 FOR NO KEY UPDATE`
	stillWorkOrder = `SELECT 1 FROM work_orders WHERE id = $1 FOR NO KEY UPDATE`
	stillJoinToken = `SELECT 1 FROM join_tokens WHERE id = $1 FOR NO KEY UPDATE`
	stillStack     = `SELECT 1 FROM stacks WHERE id = $1 FOR NO KEY UPDATE`
)

// Generator implements ports.Locks.
func (r locks) Generator(ctx context.Context, id tenancy.GeneratorID) error {
	_, err := r.s.exec(ctx, "hold generator", stillGenerator, uid(id))
	return err
}

// Agent implements ports.Locks.
func (r locks) Agent(ctx context.Context, id agent.ID) error {
	_, err := r.s.exec(ctx, "hold agent", stillAgent, uid(id))
	return err
}

// Stack implements ports.Locks.
func (r locks) Stack(ctx context.Context, id stack.ID) error {
	_, err := r.s.exec(ctx, "hold stack", stillStack, uid(id))
	return err
}

// Policy implements ports.Locks.
func (r locks) Policy(ctx context.Context, id policy.ID) error {
	_, err := r.s.exec(ctx, "hold policy", stillPolicy, uid(id))
	return err
}

// Template implements ports.Locks.
func (r locks) Template(ctx context.Context, id template.ID) error {
	_, err := r.s.exec(ctx, "hold template", stillTemplate, uid(id))
	return err
}

// Webhook implements ports.Locks.
func (r locks) Webhook(ctx context.Context, id webhook.ID) error {
	_, err := r.s.exec(ctx, "hold webhook", stillWebhook, uid(id))
	return err
}

// WorkOrder implements ports.Locks.
func (r locks) WorkOrder(ctx context.Context, id workorder.ID) error {
	_, err := r.s.exec(ctx, "hold work order", stillWorkOrder, uid(id))
	return err
}

// Credential implements ports.Locks.
func (r locks) Credential(ctx context.Context, id tenancy.CredentialID) error {
	_, err := lockedCredentials(ctx, r.s, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// JoinToken implements ports.Locks.
func (r locks) JoinToken(ctx context.Context, id join.TokenID) error {
	_, err := r.s.exec(ctx, "hold join token", stillJoinToken, uid(id))
	return err
}
