package ports

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

// Locks keep a thing still from when a transaction reads it to when the transaction ends: who changes or deletes it
// meanwhile waits, and so does who holds it too. What is not there is not held, and no error: reading it tells. Outside of a
// transaction nothing is held.
type Locks interface {
	Generator(ctx context.Context, id tenancy.GeneratorID) error
	Agent(ctx context.Context, id agent.ID) error
	Stack(ctx context.Context, id stack.ID) error
	// Policy also keeps the policy from being attached meanwhile.
	Policy(ctx context.Context, id policy.ID) error
	Template(ctx context.Context, id template.ID) error
	Webhook(ctx context.Context, id webhook.ID) error
	WorkOrder(ctx context.Context, id workorder.ID) error
	// Credential of an admin holds those of all admins, as Keyring.End does, so that nobody who ends another waits for it in vain.
	Credential(ctx context.Context, id tenancy.CredentialID) error
	// JoinToken also keeps the token from being used meanwhile.
	JoinToken(ctx context.Context, id join.TokenID) error
}
