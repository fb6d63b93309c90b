package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// RolloutWrite is what one step, or one act of somebody, stores of a rollout.
type RolloutWrite struct {
	Rollout     rollout.Rollout  // Version is the one on which it rests; 0: it is new
	Governs     bool             // it says which object the stack's clusters have; one a stack
	Members     []rollout.Member // those that are new or have changed
	Transitions []rollout.Transition
	DependsOn   []stack.ID // stacks whose reports it waits for, beside its own
}

// Rollouts are the ways of deployment objects across clusters. A generator's scope sees those of its own stacks, an agent's none.
// An unknown rollout is NotFound, code rollout_not_found.
type Rollouts interface {
	// Get returns a rollout with its members by agent id, and whether it governs its stack.
	Get(ctx context.Context, scope tenancy.Scope, id rollout.ID) (r rollout.Rollout, governs bool, err error)
	// OfStack returns the stack's rollouts without their members, newest first, at most limit.
	OfStack(ctx context.Context, s stack.ID, limit int) ([]rollout.Rollout, error)
	// History returns the transitions of a rollout in the order in which they were stored.
	History(ctx context.Context, id rollout.ID) ([]rollout.Transition, error)
	// Governing returns the rollouts that govern these stacks, or all that govern one if stacks is nil, with members by agent id.
	Governing(ctx context.Context, stacks []stack.ID) (map[stack.ID]rollout.Rollout, error)
	// Statuses returns what agents last reported of these stacks.
	Statuses(ctx context.Context, stacks []stack.ID) (map[stack.ID]map[agent.ID]delivery.Status, error)
	// Save stores the rollout with what has changed, and returns its new version. One that is not in the version that it
	// rests on is a Conflict, and so is a second one that governs a stack. The object must be one of the stack
	// (else NotFound, code deployment_object_not_found). While the rollout is open, assignments of its stack are Watched,
	// and while it waits, those of the stacks that it depends on.
	Save(ctx context.Context, w RolloutWrite) (int64, error)
	// Trim deletes rollouts that govern nothing and ended before, at most limit, with all that belongs to them, and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}
