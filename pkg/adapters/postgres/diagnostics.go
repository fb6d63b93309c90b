package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type diagnostics struct{ s session }

func noDiagnostic(id any) error { return notFound("diagnostic_not_found", "diagnostic request", id) }

type diagnosticRow struct {
	ID          diagnostic.ID     `db:"id"`
	Agent       agent.ID          `db:"agent_id"`
	Object      stack.ObjectID    `db:"object_id"`
	Stack       stack.ID          `db:"stack_id"`
	Status      diagnostic.Status `db:"status"`
	RequestedBy *string           `db:"requested_by"`
	CreatedAt   time.Time         `db:"created_at"`
	ClaimedAt   *time.Time        `db:"claimed_at"`
	CompletedAt *time.Time        `db:"completed_at"`
	ExpiresAt   time.Time         `db:"expires_at"`
}

func (r diagnosticRow) request() diagnostic.Request {
	d := diagnostic.Request(r)
	d.CreatedAt, d.ClaimedAt, d.CompletedAt, d.ExpiresAt = micro(r.CreatedAt), microPtr(r.ClaimedAt), microPtr(r.CompletedAt), micro(r.ExpiresAt)
	return d
}

const insertDiagnostic = `INSERT INTO diagnostic_requests (id, agent_id, object_id, status, requested_by, created_at, expires_at)
	SELECT $1, $2, o.id, 'pending', $4, $5, $6 FROM deployment_objects o WHERE o.id = $3 AND o.deleted_at IS NULL`

// Insert implements ports.Diagnostics.
func (r diagnostics) Insert(ctx context.Context, d diagnostic.Request) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepAgent(ctx, d.Agent); err != nil {
			return err
		}
		n, err := in.exec(ctx, "insert diagnostic request", insertDiagnostic, uid(d.ID), uid(d.Agent), uid(d.Object),
			printablePtr(d.RequestedBy), micro(d.CreatedAt), micro(d.ExpiresAt))
		if err == nil && n == 0 {
			return noObject(d.Object)
		}
		return err
	})
}

const selectDiagnostics = `SELECT d.id, d.agent_id, d.object_id, o.stack_id, d.status, d.requested_by, d.created_at, d.claimed_at,
		d.completed_at, d.expires_at
	FROM diagnostic_requests d JOIN deployment_objects o ON o.id = d.object_id`

const (
	getDiagnostic        = selectDiagnostics + ` WHERE d.id = $1`
	getDiagnosticOfAgent = getDiagnostic + ` AND d.agent_id = $2`
	resultOfDiagnostic   = `SELECT id, request_id, pod_statuses, events, log_tails, collected_at, created_at
		FROM diagnostic_results WHERE request_id = $1`
)

type diagnosticResultRow struct {
	ID          diagnostic.ResultID `db:"id"`
	Request     diagnostic.ID       `db:"request_id"`
	PodStatuses string              `db:"pod_statuses"`
	Events      string              `db:"events"`
	LogTails    *string             `db:"log_tails"`
	CollectedAt time.Time           `db:"collected_at"`
	CreatedAt   time.Time           `db:"created_at"`
}

// Get implements ports.Diagnostics.
func (r diagnostics) Get(ctx context.Context, scope tenancy.Scope, id diagnostic.ID) (diagnostic.Request, *diagnostic.Result, error) {
	missing := noDiagnostic(id)
	query, args := getDiagnostic, []any{uid(id)}
	if !scope.All {
		if scope.Agent == "" {
			return diagnostic.Request{}, nil, missing
		}
		query, args = getDiagnosticOfAgent, append(args, uid(scope.Agent))
	}
	row, err := one[diagnosticRow](ctx, r.s, "get diagnostic request", missing, query, args...)
	if err != nil || row.Status != diagnostic.Completed {
		return row.request(), nil, err
	}
	// Trimmed between the two: it is gone.
	answer, err := one[diagnosticResultRow](ctx, r.s, "get diagnostic result", missing, resultOfDiagnostic, uid(id))
	result := diagnostic.Result(answer)
	result.CollectedAt, result.CreatedAt = micro(answer.CollectedAt), micro(answer.CreatedAt)
	return row.request(), &result, err
}

const openDiagnostics = selectDiagnostics + ` WHERE d.agent_id = $1 AND d.status <> 'completed' AND d.expires_at > $2
		AND (d.status = 'pending' OR d.claimed_at <= $2::timestamptz - $3::interval)
	ORDER BY d.created_at, d.id LIMIT $4`

// Open implements ports.Diagnostics.
func (r diagnostics) Open(ctx context.Context, a agent.ID, now time.Time, limit int) ([]diagnostic.Request, error) {
	rows, err := many[diagnosticRow](ctx, r.s, "list open diagnostic requests", openDiagnostics, uid(a), micro(now), interval(diagnostic.ClaimFor), limit)
	return convert(rows, err, diagnosticRow.request)
}

func interval(d time.Duration) string { return fmt.Sprintf("%d seconds", int64(d.Seconds())) }

const (
	moveDiagnostic = `UPDATE diagnostic_requests SET status = $4, claimed_at = $5, completed_at = $6
		WHERE id = $1 AND status = $2 AND claimed_at IS NOT DISTINCT FROM $3`
	insertDiagnosticResult = `INSERT INTO diagnostic_results (request_id, id, pod_statuses, events, log_tails, collected_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

// Move implements ports.Diagnostics.
func (r diagnostics) Move(ctx context.Context, was, next diagnostic.Request, answer *diagnostic.Result) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "move diagnostic request", moveDiagnostic, uid(was.ID), string(was.Status), microPtr(was.ClaimedAt),
			string(next.Status), microPtr(next.ClaimedAt), microPtr(next.CompletedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			if _, err := one[diagnosticRow](ctx, in, "get diagnostic request", noDiagnostic(was.ID), getDiagnostic, uid(was.ID)); err != nil {
				return err
			}
			return stale("diagnostic request", was.ID)
		}
		if answer == nil {
			return nil
		}
		_, err = in.exec(ctx, "insert diagnostic result", insertDiagnosticResult, uid(was.ID), uid(answer.ID), printable(answer.PodStatuses),
			printable(answer.Events), printablePtr(answer.LogTails), micro(answer.CollectedAt), micro(answer.CreatedAt))
		return err
	})
}

const trimDiagnostics = `DELETE FROM diagnostic_requests WHERE id IN (SELECT id FROM diagnostic_requests
	WHERE expires_at <= $1 AND (status = 'completed' OR expires_at <= $1::timestamptz - $2::interval) ORDER BY expires_at LIMIT $3)`

// Trim implements ports.Diagnostics.
func (r diagnostics) Trim(ctx context.Context, now time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim diagnostics", trimDiagnostics, micro(now), interval(diagnostic.Remembered), limit)
		return int(n), err
	})
}
