package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

type workOrderLog struct{ s session }

func noEntry(id any) error {
	return notFound("work_order_log_entry_not_found", "the log's entry of work order", id)
}

type workOrderLogRow struct {
	ID          workorder.ID `db:"id"`
	Type        string       `db:"work_type"`
	Checksum    []byte       `db:"checksum"`
	Size        int64        `db:"size"`
	Success     bool         `db:"success"`
	Message     *string      `db:"result_message"`
	Retries     int          `db:"retries_attempted"`
	ClaimedBy   agent.ID     `db:"claimed_by"`
	ClaimedAt   *time.Time   `db:"claimed_at"`
	CreatedAt   time.Time    `db:"created_at"`
	CompletedAt time.Time    `db:"completed_at"`
}

func (r workOrderLogRow) entry() workorder.Entry {
	return workorder.Entry{
		ID: r.ID, Type: r.Type, Checksum: checksumOf(r.Checksum), Size: r.Size, Success: r.Success, Message: r.Message, Retries: r.Retries,
		ClaimedBy: r.ClaimedBy, ClaimedAt: microPtr(r.ClaimedAt), CreatedAt: micro(r.CreatedAt), CompletedAt: micro(r.CompletedAt),
	}
}

const selectWorkOrderLog = `SELECT id, work_type, checksum, size, success, result_message, retries_attempted,
	COALESCE(claimed_by::text, '') AS claimed_by, claimed_at, created_at, completed_at FROM work_order_log`

const (
	getWorkOrderLog        = selectWorkOrderLog + ` WHERE id = $1`
	getWorkOrderLogOfAgent = selectWorkOrderLog + ` WHERE id = $1 AND claimed_by = $2`
)

// Get implements ports.WorkOrderLog.
func (r workOrderLog) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Entry, error) {
	query, args, ok := views{all: getWorkOrderLog, agent: getWorkOrderLogOfAgent}.of(scope, uid(id))
	if !ok || query == "" {
		return workorder.Entry{}, noEntry(id)
	}
	row, err := one[workOrderLogRow](ctx, r.s, "get entry of the work order log", noEntry(id), query, args...)
	if err != nil {
		return workorder.Entry{}, err
	}
	return row.entry(), nil
}

const (
	listWorkOrderLog  = selectWorkOrderLog + ` WHERE true`
	countWorkOrderLog = `SELECT count(*) FROM work_order_log WHERE true`
)

func workOrderLogPages() listing[workOrderLogRow, workorder.Entry] {
	return listing[workOrderLogRow, workorder.Entry]{
		list: workorder.LogList(), act: "list the work order log", rows: listWorkOrderLog, count: countWorkOrderLog, id: "id",
		sorts:   map[string]string{"completed_at": "completed_at"},
		filters: map[string]string{"work_type": " AND work_type = ?", "success": " AND success = ?::boolean", "agent_id": " AND claimed_by = ?"},
		to:      workOrderLogRow.entry,
	}
}

// Page implements ports.WorkOrderLog.
func (r workOrderLog) Page(ctx context.Context, q page.Query) (page.Page[workorder.Entry], error) {
	return workOrderLogPages().page(ctx, r.s, part{}, q)
}

const trimWorkOrderLog = `DELETE FROM work_order_log WHERE id = ANY (ARRAY(
	SELECT id FROM work_order_log WHERE completed_at < $1 ORDER BY completed_at LIMIT $2))`

// Trim implements ports.WorkOrderLog.
func (r workOrderLog) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim the work order log", trimWorkOrderLog, micro(before), limit)
		return int(n), err
	})
}
