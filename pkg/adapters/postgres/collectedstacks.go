package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

const (
	// What is kept for a time of its own and names a stack, or an object of it, holds it.
	findCollected = `SELECT s.id FROM stacks s WHERE s.collected_at < $1
		AND NOT EXISTS (SELECT FROM assignments x WHERE x.stack_id = s.id)
		AND NOT EXISTS (SELECT FROM fleet_removals r WHERE r.stack_id = s.id)
		AND NOT EXISTS (SELECT FROM deployment_objects o JOIN agent_events e ON e.object_id = o.id WHERE o.stack_id = s.id)
		AND NOT EXISTS (SELECT FROM deployment_objects o JOIN diagnostic_requests d ON d.object_id = o.id WHERE o.stack_id = s.id)
		ORDER BY s.collected_at LIMIT $2 FOR UPDATE SKIP LOCKED`

	// Of these a stack may have many: so many at a time.
	purgeDecisions = `DELETE FROM decisions WHERE (stack_id, generation, day) IN (
		SELECT stack_id, generation, day FROM decisions WHERE stack_id = ANY ($1::uuid[]) LIMIT $2)`
	purgeRollouts = `DELETE FROM rollouts WHERE id IN (SELECT id FROM rollouts WHERE stack_id = ANY ($1::uuid[]) LIMIT $2)`
	purgeObjects  = `DELETE FROM deployment_objects WHERE id IN (SELECT id FROM deployment_objects WHERE stack_id = ANY ($1::uuid[]) LIMIT $2)`

	// Labels and the like went when the stack was collected, but for those of stacks that an earlier release has deleted.
	purgeStacks = `WITH labels AS (DELETE FROM stack_labels WHERE stack_id = ANY ($1::uuid[])),
		annotations AS (DELETE FROM stack_annotations WHERE stack_id = ANY ($1::uuid[])),
		policies AS (DELETE FROM placement_policy_stacks WHERE stack_id = ANY ($1::uuid[])),
		targets AS (DELETE FROM agent_targets WHERE stack_id = ANY ($1::uuid[])),
		releases AS (DELETE FROM drain_stacks WHERE stack_id = ANY ($1::uuid[])),
		watches AS (DELETE FROM rollout_watches WHERE stack_id = ANY ($1::uuid[])),
		placements AS (DELETE FROM stack_placements WHERE stack_id = ANY ($1::uuid[]))
		DELETE FROM stacks WHERE id = ANY ($1::uuid[])`
)

// Purge implements ports.Stacks. Foreign keys hold what comes to name an object meanwhile: then nothing goes, and the next time the
// stack is not found.
func (r stacks) Purge(ctx context.Context, before time.Time, limit int) (bool, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		gone, err := many[stack.ID](ctx, in, "find collected stacks", findCollected, micro(before), limit)
		if err != nil || len(gone) == 0 {
			return false, err
		}
		ids := column(gone, func(id stack.ID) string { return string(id) })
		for _, of := range [...]struct{ act, query string }{
			{"purge decisions", purgeDecisions}, {"purge rollouts", purgeRollouts}, {"purge deployment objects", purgeObjects},
		} {
			n, err := in.exec(ctx, of.act, of.query, ids, limit)
			if err != nil || n == int64(limit) {
				return err == nil, err
			}
		}
		_, err = in.exec(ctx, "purge stacks", purgeStacks, ids)
		return len(gone) == limit, err
	})
}
