package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type decisions struct{ s session }

// asJSON returns v as a text that a jsonb column takes: Postgres stores no NUL in it.
func asJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode decision: %w", err)
	}
	return strings.ReplaceAll(string(text), `\u0000`, `\ufffd`), nil
}

const (
	recordColumns = `d.stack_id, d.generation, COALESCE(d.object_id::text, '') AS object_id, d.decision, COALESCE(f.packed, '') || d.packed AS packed, d.cause, d.traceparent, d.decided_at`
	fromRecords   = ` FROM decisions d LEFT JOIN decision_fleets f ON f.id = d.fleet`
)

type decisionRow struct {
	Stack       stack.ID       `db:"stack_id"`
	Generation  int64          `db:"generation"`
	Object      stack.ObjectID `db:"object_id"`
	Decision    []byte         `db:"decision"` // of an earlier release
	Packed      []byte         `db:"packed"`
	Cause       string         `db:"cause"`
	Traceparent string         `db:"traceparent"`
	DecidedAt   time.Time      `db:"decided_at"`
}

func (r decisionRow) record() (placement.Record, error) {
	rec := placement.Record{
		Stack: r.Stack, Generation: r.Generation, Object: r.Object, Cause: r.Cause, Traceparent: r.Traceparent, At: micro(r.DecidedAt),
	}
	var err error
	if r.Packed != nil {
		rec.Decision, err = placement.Unpack(r.Packed)
	} else {
		err = json.Unmarshal(r.Decision, &rec.Decision)
	}
	if err != nil {
		return placement.Record{}, fmt.Errorf("read decision %d of stack %s: %w", r.Generation, r.Stack, err)
	}
	return rec, nil
}

func noDecision(s stack.ID) error {
	return notFound("decision_not_found", "a decision for stack", s)
}

const latestDecision = `SELECT ` + recordColumns + `, p.hold` + fromRecords + ` JOIN stack_placements p ON p.stack_id = d.stack_id
	WHERE d.stack_id = $1 ORDER BY d.generation DESC LIMIT 1`

// Latest implements ports.Decisions.
func (r decisions) Latest(ctx context.Context, s stack.ID) (placement.Record, *placement.Hold, error) {
	row, err := one[struct {
		decisionRow
		Hold []byte `db:"hold"`
	}](ctx, r.s, "get newest decision", noDecision(s), latestDecision, uid(s))
	if err != nil {
		return placement.Record{}, nil, err
	}
	rec, err := row.record()
	if err != nil {
		return placement.Record{}, nil, err
	}
	hold, err := holdOf(row.Hold)
	return rec, hold, err
}

func holdOf(text []byte) (*placement.Hold, error) {
	if text == nil {
		return nil, nil
	}
	var h placement.Hold
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, fmt.Errorf("read hold: %w", err)
	}
	return &h, nil
}

const approveHold = `UPDATE stack_placements SET approved = generation WHERE stack_id = $1 AND hold ->> 'fingerprint' = $2`

// Approve implements ports.Decisions.
func (r decisions) Approve(ctx context.Context, s stack.ID, fingerprint string) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "approve hold", approveHold, uid(s), fingerprint)
		if err == nil && n == 0 {
			return fault.Newf(fault.Refused, "nothing_to_approve", "no decision with this fingerprint waits for stack %s", s)
		}
		return err
	})
}
