package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

const deletedStack = `SELECT s.id, s.name, s.description, s.generator_id, s.treatment, s.version, s.created_at, s.updated_at, s.deleted_at
	FROM stacks s WHERE s.id = $1 AND s.deleted_at IS NOT NULL AND s.collected_at IS NULL`

const deletedStackOfGenerator = deletedStack + ` AND s.generator_id = $2`

// Deleted implements ports.Stacks. Agents see none: nothing of it is assigned to be kept.
func (r stacks) Deleted(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error) {
	if scope.Agent != "" && !scope.All {
		return stack.Stack{}, noStack(id)
	}
	query, args, ok := views{all: deletedStack, generator: deletedStackOfGenerator}.of(scope, uid(id))
	if !ok {
		return stack.Stack{}, noStack(id)
	}
	row, err := one[stackRow](ctx, r.s, "get deleted stack", noStack(id), query, args...)
	return row.stack(), err
}

const (
	deletedStacks = ` FROM stacks s WHERE s.deleted_at IS NOT NULL AND s.collected_at IS NULL
		AND EXISTS (SELECT FROM generators g WHERE g.id = s.generator_id AND g.deleted_at IS NULL)`
	selectDeletedStacks = `SELECT s.id, s.name, s.description, s.generator_id, s.treatment, s.version, s.created_at, s.updated_at, s.deleted_at` + deletedStacks
	countDeletedStacks  = `SELECT count(*)` + deletedStacks
)

func deletedStackPages() listing[stackRow, stack.Stack] {
	out := stackPages()
	out.list, out.act, out.rows, out.count = stack.DeletedList(), "list deleted stacks", selectDeletedStacks, countDeletedStacks
	out.sorts = map[string]string{"deleted_at": "s.deleted_at"}
	return out
}

// DeletedPage implements ports.Stacks.
func (r stacks) DeletedPage(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error) {
	only := part{text: nobody}
	if scope.All || scope.Generator != "" {
		only = views{all: "", generator: stacksOfGenerator}.only(scope)
	}
	return deletedStackPages().page(ctx, r.s, only, q)
}

const restoreStack = `UPDATE stacks SET deleted_at = NULL, updated_at = $2, version = version + 1
	WHERE id = $1 AND deleted_at IS NOT NULL AND collected_at IS NULL`

// Restore implements ports.Stacks. The generator is held before the stack, as where a stack is made.
func (r stacks) Restore(ctx context.Context, id stack.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		st, err := (stacks{in}).Deleted(ctx, tenancy.Everything(), id)
		if err != nil {
			return err
		}
		if err := in.keepGenerator(ctx, st.Generator); err != nil {
			return err
		}
		n, err := in.exec(ctx, "restore stack", restoreStack, uid(id), micro(at))
		if err == nil && n == 0 {
			return noStack(id)
		}
		return err
	})
}

const collectStacks = `WITH gone AS (
		SELECT s.id FROM stacks s WHERE s.deleted_at < $1 AND s.collected_at IS NULL
			AND NOT EXISTS (SELECT FROM assignments x WHERE x.stack_id = s.id)
		ORDER BY s.deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED),
	labels AS (DELETE FROM stack_labels WHERE stack_id IN (SELECT id FROM gone)),
	annotations AS (DELETE FROM stack_annotations WHERE stack_id IN (SELECT id FROM gone)),
	policies AS (DELETE FROM placement_policy_stacks WHERE stack_id IN (SELECT id FROM gone)),
	targets AS (DELETE FROM agent_targets WHERE stack_id IN (SELECT id FROM gone) RETURNING agent_id),
	touched AS (UPDATE agents SET version = version + 1 WHERE id IN (SELECT agent_id FROM targets))
	UPDATE stacks SET collected_at = now() WHERE id IN (SELECT id FROM gone)`

// Collect implements ports.Stacks.
func (r stacks) Collect(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "collect deleted stacks", collectStacks, micro(before), limit)
		return int(n), err
	})
}
