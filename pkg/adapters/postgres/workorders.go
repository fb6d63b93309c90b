package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

type workOrders struct{ s session }

func noWorkOrder(id any) error { return notFound("work_order_not_found", "work order", id) }

type workOrderRow struct {
	ID             workorder.ID     `db:"id"`
	Type           string           `db:"work_type"`
	Checksum       []byte           `db:"checksum"`
	Size           int64            `db:"size"`
	Status         workorder.Status `db:"status"`
	ClaimTimeout   int64            `db:"claim_timeout_seconds"`
	MaxRetries     int              `db:"max_retries"`
	Backoff        int64            `db:"backoff_seconds"`
	Retries        int              `db:"retry_count"`
	ClaimedBy      *agent.ID        `db:"claimed_by"`
	ClaimedAt      *time.Time       `db:"claimed_at"`
	ClaimEndsAt    *time.Time       `db:"claim_ends_at"`
	NextRetryAfter *time.Time       `db:"next_retry_after"`
	LastError      *string          `db:"last_error"`
	LastErrorAt    *time.Time       `db:"last_error_at"`
	AvailableAt    time.Time        `db:"available_at"`
	Traceparent    string           `db:"traceparent"`
	Version        int64            `db:"version"`
	CreatedAt      time.Time        `db:"created_at"`
	UpdatedAt      time.Time        `db:"updated_at"`
	Agents         pq.StringArray   `db:"agents"`
	Labels         pq.StringArray   `db:"labels"`
	Annotations    []byte           `db:"annotations"`
}

func (r workOrderRow) order() (workorder.Order, error) {
	o := workorder.Order{
		ID: r.ID, Type: r.Type, Checksum: checksumOf(r.Checksum), Size: r.Size, Status: r.Status,
		ClaimTimeout: time.Duration(r.ClaimTimeout) * time.Second, MaxRetries: r.MaxRetries, Backoff: time.Duration(r.Backoff) * time.Second, Retries: r.Retries,
		Targeting:      workorder.Targeting{Labels: r.Labels},
		NextRetryAfter: microPtr(r.NextRetryAfter), LastError: r.LastError, LastErrorAt: microPtr(r.LastErrorAt),
		AvailableAt: micro(r.AvailableAt), Traceparent: r.Traceparent, Version: r.Version, CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt),
	}
	for _, a := range r.Agents {
		o.Targeting.Agents = append(o.Targeting.Agents, agent.ID(a))
	}
	if err := json.Unmarshal(r.Annotations, &o.Targeting.Annotations); err != nil {
		return o, fmt.Errorf("read targeting of work order %s: %w", r.ID, err)
	}
	if r.ClaimedBy != nil && r.ClaimedAt != nil && r.ClaimEndsAt != nil {
		o.Claim = &workorder.Claim{Agent: *r.ClaimedBy, At: micro(*r.ClaimedAt), EndsAt: micro(*r.ClaimEndsAt)}
	}
	return o, nil
}

func ordersOf(rows []workOrderRow, err error) ([]workorder.Order, error) {
	if err != nil {
		return nil, err
	}
	out := make([]workorder.Order, len(rows))
	for i, row := range rows {
		if out[i], err = row.order(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const selectWorkOrders = `SELECT w.id, w.work_type, w.checksum, w.size, w.status, w.claim_timeout_seconds, w.max_retries, w.backoff_seconds, w.retry_count,
	w.claimed_by, w.claimed_at, w.claim_ends_at, w.next_retry_after, w.last_error, w.last_error_at, w.available_at, w.traceparent, w.version,
	w.created_at, w.updated_at,
	ARRAY(SELECT t.agent_id::text FROM work_order_agents t WHERE t.work_order_id = w.id ORDER BY t.agent_id) AS agents,
	ARRAY(SELECT t.label FROM work_order_labels t WHERE t.work_order_id = w.id ORDER BY t.label) AS labels,
	COALESCE((SELECT jsonb_object_agg(t.key, t.value) FROM work_order_annotations t WHERE t.work_order_id = w.id), '{}') AS annotations
	FROM work_orders w`

// forAgent holds for the orders that are for agent $2.
const forAgent = `(EXISTS (SELECT FROM work_order_agents t WHERE t.work_order_id = w.id AND t.agent_id = $2)
	OR EXISTS (SELECT FROM work_order_labels t JOIN agent_labels l ON l.label = t.label WHERE t.work_order_id = w.id AND l.agent_id = $2)
	OR EXISTS (SELECT FROM work_order_annotations t JOIN agent_annotations n ON n.key = t.key AND n.value = t.value
		WHERE t.work_order_id = w.id AND n.agent_id = $2))`

const (
	getWorkOrder        = selectWorkOrders + ` WHERE w.id = $1`
	getWorkOrderOfAgent = selectWorkOrders + ` WHERE w.id = $1 AND (w.claimed_by = $2 OR ` + forAgent + `)`
)

// Get implements ports.WorkOrders.
func (r workOrders) Get(ctx context.Context, scope tenancy.Scope, id workorder.ID) (workorder.Order, error) {
	query, args, ok := views{all: getWorkOrder, agent: getWorkOrderOfAgent}.of(scope, uid(id))
	if !ok || query == "" {
		return workorder.Order{}, noWorkOrder(id)
	}
	row, err := one[workOrderRow](ctx, r.s, "get work order", noWorkOrder(id), query, args...)
	if err != nil {
		return workorder.Order{}, err
	}
	return row.order()
}

const (
	listWorkOrders  = selectWorkOrders + ` WHERE true`
	countWorkOrders = `SELECT count(*) FROM work_orders w WHERE true`
)

func workOrderPages() listing[workOrderRow, workOrderRow] {
	return listing[workOrderRow, workOrderRow]{
		list: page.Of(workorder.List(), func(r workOrderRow) workorder.Order { return workorder.Order{ID: r.ID, CreatedAt: r.CreatedAt} }),
		act:  "list work orders", rows: listWorkOrders, count: countWorkOrders, id: "w.id",
		sorts:   map[string]string{"created_at": "w.created_at"},
		filters: map[string]string{"status": " AND w.status = ?", "work_type": " AND w.work_type = ?", "agent_id": " AND w.claimed_by = ?"},
		to:      same[workOrderRow],
	}
}

// Page implements ports.WorkOrders.
func (r workOrders) Page(ctx context.Context, q page.Query) (page.Page[workorder.Order], error) {
	rows, err := workOrderPages().page(ctx, r.s, part{}, q)
	return read(rows, err, workOrderRow.order)
}

const claimableWorkOrders = selectWorkOrders + ` WHERE w.status = 'PENDING' AND ($1 = '' OR w.work_type = $1) AND ` + forAgent + `
	ORDER BY w.available_at, w.id LIMIT $3`

// Claimable implements ports.WorkOrders.
func (r workOrders) Claimable(ctx context.Context, a agent.ID, kind string, limit int) ([]workorder.Order, error) {
	return ordersOf(many[workOrderRow](ctx, r.s, "list claimable work orders", claimableWorkOrders, kind, uid(a), limit))
}

const workOrdersClaimedBy = selectWorkOrders + ` WHERE w.claimed_by = $1 ORDER BY w.claimed_at, w.id`

// ClaimedBy implements ports.WorkOrders.
func (r workOrders) ClaimedBy(ctx context.Context, a agent.ID) ([]workorder.Order, error) {
	return ordersOf(many[workOrderRow](ctx, r.s, "list claimed work orders", workOrdersClaimedBy, uid(a)))
}

const dueWorkOrders = selectWorkOrders + ` WHERE (w.status = 'CLAIMED' AND w.claim_ends_at <= $1)
	OR (w.status = 'RETRY_PENDING' AND w.next_retry_after <= $1) OR (w.status = 'PENDING' AND w.available_at <= $2)
	ORDER BY w.id LIMIT $3`

// Due implements ports.WorkOrders.
func (r workOrders) Due(ctx context.Context, now, unclaimed time.Time, limit int) ([]workorder.Order, error) {
	return ordersOf(many[workOrderRow](ctx, r.s, "list due work orders", dueWorkOrders, micro(now), micro(unclaimed), limit))
}

const insertWorkOrder = `INSERT INTO work_orders (id, work_type, checksum, size, status, claim_timeout_seconds, max_retries, backoff_seconds, retry_count,
		claimed_by, claimed_at, claim_ends_at, next_retry_after, last_error, last_error_at, available_at, traceparent, version, created_at, updated_at)
	SELECT $1, $2, b.sha256, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20 FROM blobs b WHERE b.sha256 = $3`

const insertWorkOrderTargets = `WITH agents AS (INSERT INTO work_order_agents (work_order_id, agent_id) SELECT $1, v FROM unnest($2::uuid[]) AS u (v) ON CONFLICT DO NOTHING),
	labels AS (INSERT INTO work_order_labels (work_order_id, label) SELECT $1, v FROM unnest($3::text[]) AS u (v) ON CONFLICT DO NOTHING)
	INSERT INTO work_order_annotations (work_order_id, key, value) SELECT $1, k, v FROM unnest($4::text[], $5::text[]) AS u (k, v)`

// Insert implements ports.WorkOrders.
func (r workOrders) Insert(ctx context.Context, o workorder.Order) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		for _, a := range slices.Sorted(slices.Values(o.Targeting.Agents)) {
			if err := in.keepAgent(ctx, a); err != nil {
				return err
			}
		}
		c := claimColumns(o)
		n, err := in.exec(ctx, "insert work order", insertWorkOrder, uid(o.ID), o.Type, bytesOf(o.Checksum), o.Size, string(o.Status),
			int64(o.ClaimTimeout/time.Second), o.MaxRetries, int64(o.Backoff/time.Second), o.Retries, c.by, c.at, c.endsAt,
			microPtr(o.NextRetryAfter), printablePtr(o.LastError), microPtr(o.LastErrorAt), micro(o.AvailableAt), o.Traceparent, o.Version,
			micro(o.CreatedAt), micro(o.UpdatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return noBlob(o.Checksum)
		}
		keys, values := make([]string, 0, len(o.Targeting.Annotations)), make([]string, 0, len(o.Targeting.Annotations))
		for k, v := range o.Targeting.Annotations {
			keys, values = append(keys, k), append(values, v)
		}
		_, err = in.exec(ctx, "insert targets of work order", insertWorkOrderTargets, uid(o.ID), uids(o.Targeting.Agents),
			pq.Array(append([]string{}, o.Targeting.Labels...)), pq.Array(keys), pq.Array(values))
		return err
	})
}

type claimed struct {
	by         *string
	at, endsAt *time.Time
}

func claimColumns(o workorder.Order) claimed {
	if o.Claim == nil {
		return claimed{}
	}
	return claimed{by: uidPtr(o.Claim.Agent), at: microPtr(&o.Claim.At), endsAt: microPtr(&o.Claim.EndsAt)}
}

const updateWorkOrder = `UPDATE work_orders SET status = $3, claimed_by = $4, claimed_at = $5, claim_ends_at = $6, retry_count = $7, next_retry_after = $8,
	last_error = $9, last_error_at = $10, available_at = $11, updated_at = $12, version = version + 1 WHERE id = $1 AND version = $2`

// Update implements ports.WorkOrders.
func (r workOrders) Update(ctx context.Context, o workorder.Order) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		c := claimColumns(o)
		n, err := in.exec(ctx, "update work order", updateWorkOrder, uid(o.ID), o.Version, string(o.Status), c.by, c.at, c.endsAt, o.Retries,
			microPtr(o.NextRetryAfter), printablePtr(o.LastError), microPtr(o.LastErrorAt), micro(o.AvailableAt), micro(o.UpdatedAt))
		if err == nil && n == 0 {
			return stale("work order", o.ID)
		}
		return err
	})
}

const finishWorkOrder = `WITH done AS (DELETE FROM work_orders WHERE id = $1 AND version = $2 RETURNING checksum, size)
	INSERT INTO work_order_log (id, work_type, checksum, size, success, result_message, retries_attempted, claimed_by, claimed_at, created_at, completed_at)
	SELECT $1, $3, done.checksum, done.size, $4, $5, $6, $7, $8, $9, $10 FROM done`

// Finish implements ports.WorkOrders.
func (r workOrders) Finish(ctx context.Context, version int64, e workorder.Entry) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "finish work order", finishWorkOrder, uid(e.ID), version, e.Type, e.Success, printablePtr(e.Message), e.Retries,
			uidPtr(e.ClaimedBy), microPtr(e.ClaimedAt), micro(e.CreatedAt), micro(e.CompletedAt))
		if err == nil && n == 0 {
			return stale("work order", e.ID)
		}
		return err
	})
}

const deleteWorkOrder = `DELETE FROM work_orders WHERE id = $1`

// Delete implements ports.WorkOrders.
func (r workOrders) Delete(ctx context.Context, id workorder.ID) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete work order", deleteWorkOrder, uid(id))
		if err == nil && n == 0 {
			return noWorkOrder(id)
		}
		return err
	})
}
