package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type removals struct{ s session }

type removalRow struct {
	Stack stack.ID  `db:"stack_id"`
	Count int       `db:"count"`
	At    time.Time `db:"at"`
}

const removalsSince = `SELECT stack_id, count, at FROM fleet_removals WHERE at > $1 ORDER BY at, id`

// Since implements ports.Removals.
func (r removals) Since(ctx context.Context, after time.Time) ([]placement.Removal, error) {
	rows, err := many[removalRow](ctx, r.s, "read removals", removalsSince, micro(after))
	return convert(rows, err, func(x removalRow) placement.Removal {
		return placement.Removal{Stack: x.Stack, Count: x.Count, At: micro(x.At)}
	})
}

const countAssigned = `SELECT count(*) FROM assignments WHERE state = 'assigned'`

// Assigned implements ports.Removals.
func (r removals) Assigned(ctx context.Context) (int, error) {
	return one[int](ctx, r.s, "count assignments", nil, countAssigned)
}

const (
	// countingRemovals is the key of the lock under which they are counted and added.
	countingRemovals = 0x62726f6b6b720d
	lockRemovals     = `SELECT pg_advisory_xact_lock($1)`
	countRemovals    = `SELECT COALESCE(sum(count), 0)::bigint FROM fleet_removals WHERE at > $1`
	addRemovals      = `INSERT INTO fleet_removals (stack_id, count, at) SELECT * FROM unnest($1::uuid[], $2::int[], $3::timestamptz[])`
	trimRemovals     = `DELETE FROM fleet_removals WHERE id IN (SELECT id FROM fleet_removals WHERE at < $1 ORDER BY at, id LIMIT $2)`
)

// Add implements ports.Removals.
func (r removals) Add(ctx context.Context, after time.Time, most int, list ...placement.Removal) error {
	if len(list) == 0 {
		return ctx.Err()
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if _, err := in.exec(ctx, "lock removals", lockRemovals, int64(countingRemovals)); err != nil {
			return err
		}
		n, err := one[int](ctx, in, "count removals", nil, countRemovals, micro(after))
		if err != nil {
			return err
		}
		if n > most {
			return fault.Newf(fault.Conflict, "stale", "stacks were taken away from %d clusters of late, where a decision rests on at most %d", n, most)
		}
		_, err = in.exec(ctx, "add removals", addRemovals,
			column(list, func(x placement.Removal) string { return string(x.Stack) }),
			column(list, func(x placement.Removal) int64 { return int64(x.Count) }),
			column(list, func(x placement.Removal) time.Time { return micro(x.At) }))
		return err
	})
}

// Trim implements ports.Removals.
func (r removals) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim removals", trimRemovals, micro(before), limit)
		return int(n), err
	})
}
