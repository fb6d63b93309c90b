package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type history struct{ s session }

const (
	recordsWhere    = fromRecords + ` JOIN stacks s ON s.id = d.stack_id WHERE true`
	selectRecords   = `SELECT ` + recordColumns + recordsWhere
	countRecords    = `SELECT count(*)` + recordsWhere
	recordsOfStack  = ` AND d.stack_id = ?`
	recordsOfOwner  = ` AND d.stack_id = ? AND s.generator_id = ?`
	recordsUntil    = ` AND d.decided_at <= ?::timestamptz`
	recordAt        = selectRecords + ` AND d.stack_id = $1 AND d.decided_at <= $2`
	newestRecord    = ` ORDER BY d.generation DESC LIMIT 1`
	recordAtAny     = recordAt + newestRecord
	recordAtOfOwner = recordAt + ` AND s.generator_id = $3` + newestRecord
	trimRecords     = `DELETE FROM decisions WHERE day = '-infinity' AND (stack_id, generation) IN (
		SELECT d.stack_id, d.generation FROM decisions d JOIN stack_placements p ON p.stack_id = d.stack_id
		WHERE d.day = '-infinity' AND d.decided_at < $1 AND d.generation < p.generation ORDER BY d.decided_at LIMIT $2)`
	// One that comes to be used again meanwhile stays: what refers to it forbids that it goes, and it is tried again.
	trimFleets = `DELETE FROM decision_fleets WHERE id IN (SELECT f.id FROM decision_fleets f
		WHERE f.put_at < $1 AND NOT EXISTS (SELECT FROM decisions d WHERE d.fleet = f.id) LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

// recordPages lists rows: the time that the list's own rule would need is in them.
func recordPages() listing[decisionRow, decisionRow] {
	of := placement.RecordList()
	return listing[decisionRow, decisionRow]{
		list: page.List[decisionRow]{
			ID: func(r decisionRow) string { return string(r.Stack) },
			Sorts: []page.Sort[decisionRow]{{Name: of.Sorts[0].Name, Kind: of.Sorts[0].Kind, Key: func(r decisionRow) string {
				return of.Sorts[0].Key(placement.Record{Generation: r.Generation})
			}}},
			Filters: []page.Filter[decisionRow]{{Name: "at"}}, Descending: of.Descending, Chunk: of.Chunk,
		},
		act: "list decisions", rows: selectRecords, count: countRecords, id: "d.stack_id",
		sorts: map[string]string{"generation": "d.generation"}, filters: map[string]string{"at": recordsUntil},
		to: func(r decisionRow) decisionRow { return r },
	}
}

// Page implements ports.History.
func (r history) Page(ctx context.Context, scope tenancy.Scope, id stack.ID, q page.Query) (page.Page[placement.Record], error) {
	only := part{recordsOfStack, []any{uid(id)}}
	switch {
	case scope.All:
	case scope.Generator != "":
		only = part{recordsOfOwner, []any{uid(id), uid(scope.Generator)}}
	default:
		return page.Page[placement.Record]{}, nil
	}
	got, err := recordPages().page(ctx, r.s, only, q)
	if err != nil {
		return page.Page[placement.Record]{}, err
	}
	out := page.Page[placement.Record]{Items: make([]placement.Record, len(got.Items)), Next: got.Next, Total: got.Total}
	for i, row := range got.Items {
		if out.Items[i], err = row.record(); err != nil {
			return page.Page[placement.Record]{}, err
		}
	}
	return out, nil
}

// At implements ports.History.
func (r history) At(ctx context.Context, scope tenancy.Scope, id stack.ID, at time.Time) (placement.Record, error) {
	query, args, ok := views{all: recordAtAny, generator: recordAtOfOwner}.of(scope, uid(id), micro(at))
	if !ok || query == "" { // agents see none
		return placement.Record{}, noDecision(id)
	}
	row, err := one[decisionRow](ctx, r.s, "get decision of a time", noDecision(id), query, args...)
	if err != nil {
		return placement.Record{}, err
	}
	return row.record()
}

// Keep implements ports.History. A day goes whole, in a transaction of its own, which waits for others no longer than two seconds:
// what is left is left for the next time.
func (r history) Keep(ctx context.Context, before, until time.Time, limit int) (bool, error) {
	err := r.s.atomically(ctx, func(ctx context.Context, in session) error {
		return in.makeShelves(ctx, days(), until.Add(-days().width), until)
	})
	if err != nil {
		return false, err
	}
	for _, table := range days().tables {
		old, err := r.s.over(ctx, days(), table, before)
		if err != nil {
			return false, err
		}
		for _, name := range old {
			if err := r.s.atomically(ctx, func(ctx context.Context, in session) error { return in.dropDay(ctx, name) }); err != nil {
				return false, err
			}
		}
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		n, err := in.exec(ctx, "trim decisions", trimRecords, micro(before), limit)
		if err == nil && n < int64(limit) {
			n, err = in.exec(ctx, "trim fleets of decisions", trimFleets, micro(before), limit)
		}
		return n == int64(limit), err
	})
}
