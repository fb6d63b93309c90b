package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type deliveries struct{ s session }

func noDelivery(id webhook.DeliveryID) error { return notFound("delivery_not_found", "delivery", id) }

type deliveryRow struct {
	ID            webhook.DeliveryID `db:"id"`
	Ordinal       int64              `db:"ordinal"`
	Subscription  webhook.ID         `db:"subscription_id"`
	EventType     event.Type         `db:"event_type"`
	EventID       string             `db:"event_id"`
	Payload       string             `db:"payload"`
	TargetLabels  pq.StringArray     `db:"target_labels"`
	Status        webhook.Status     `db:"status"`
	AcquiredBy    *agent.ID          `db:"acquired_by"`
	AcquiredUntil *time.Time         `db:"acquired_until"`
	Attempts      int                `db:"attempts"`
	LastAttemptAt *time.Time         `db:"last_attempt_at"`
	NextRetryAt   *time.Time         `db:"next_retry_at"`
	LastError     *string            `db:"last_error"`
	CreatedAt     time.Time          `db:"created_at"`
	CompletedAt   *time.Time         `db:"completed_at"`
}

func (r deliveryRow) delivery() webhook.Delivery {
	return webhook.Delivery{
		ID: r.ID, Subscription: r.Subscription, EventType: r.EventType, EventID: r.EventID, Payload: r.Payload, TargetLabels: r.TargetLabels,
		Status: r.Status, AcquiredBy: r.AcquiredBy, AcquiredUntil: microPtr(r.AcquiredUntil), Attempts: r.Attempts,
		LastAttemptAt: microPtr(r.LastAttemptAt), NextRetryAt: microPtr(r.NextRetryAt), LastError: r.LastError,
		CreatedAt: micro(r.CreatedAt), CompletedAt: microPtr(r.CompletedAt), Ordinal: r.Ordinal,
	}
}

const enqueueDeliveries = `WITH put AS (
		INSERT INTO webhook_deliveries (id, subscription_id, event_type, event_id, payload, target_labels, due_at, created_at)
		SELECT e.id, s.id, e.event_type, e.event_id, e.payload, s.target_labels, clock_timestamp(), clock_timestamp()
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
			WITH ORDINALITY AS e (id, subscription_id, event_type, event_id, payload, ordinal)
		JOIN webhook_subscriptions s ON s.id = e.subscription_id
		ORDER BY e.ordinal
		ON CONFLICT ON CONSTRAINT webhook_deliveries_once DO NOTHING
		RETURNING target_labels),
	counted AS (SELECT count(*) AS n, count(target_labels) AS far FROM put)
	SELECT n FROM counted, LATERAL (SELECT CASE WHEN n > 0 THEN pg_notify($6, '')::text END, CASE WHEN far > 0 THEN pg_notify($7, '')::text END) told`

// Enqueue implements ports.Deliveries.
func (r deliveries) Enqueue(ctx context.Context, list []webhook.Delivery) (int, error) {
	if len(list) == 0 {
		return 0, r.s.alive(ctx)
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		return one[int](ctx, in, "enqueue deliveries", nil, enqueueDeliveries,
			column(list, func(d webhook.Delivery) *string { return uidPtr(d.ID) }),
			column(list, func(d webhook.Delivery) *string { return uidPtr(d.Subscription) }),
			column(list, func(d webhook.Delivery) string { return string(d.EventType) }),
			column(list, func(d webhook.Delivery) string { return d.EventID }),
			column(list, func(d webhook.Delivery) string { return printable(d.Payload) }),
			ports.WebhooksDue, ports.WorkGrew)
	})
}

// alive is what a call answers that has nothing to do.
func (s session) alive(ctx context.Context) error {
	if s.store.closed.Load() {
		return closedFault()
	}
	return ctx.Err()
}

const selectDeliveries = `SELECT id, ordinal, subscription_id, event_type, event_id, payload, target_labels, status, acquired_by, acquired_until,
	attempts, last_attempt_at, next_retry_at, last_error, created_at, completed_at FROM webhook_deliveries`

const getDelivery = selectDeliveries + ` WHERE id = $1`

// Get implements ports.Deliveries.
func (r deliveries) Get(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	row, err := one[deliveryRow](ctx, r.s, "get delivery", noDelivery(id), getDelivery, uid(id))
	return row.delivery(), err
}

const (
	listDeliveries  = selectDeliveries + ` WHERE true`
	countDeliveries = `SELECT count(*) FROM webhook_deliveries WHERE true`
)

func deliveryPages() listing[deliveryRow, webhook.Delivery] {
	return listing[deliveryRow, webhook.Delivery]{
		list: webhook.DeliveryList(), act: "list deliveries", rows: listDeliveries, count: countDeliveries,
		sorts: map[string]string{"created_at": "ordinal"}, alone: true,
		filters: map[string]string{"subscription_id": " AND subscription_id = ?", "status": " AND status = ?", "event_type": " AND event_type = ?"},
		to:      deliveryRow.delivery,
	}
}

// Page implements ports.Deliveries.
func (r deliveries) Page(ctx context.Context, q page.Query) (page.Page[webhook.Delivery], error) {
	return deliveryPages().page(ctx, r.s, part{}, q)
}

type callRow struct {
	deliveryRow
	sealedTarget
	TimeoutMS  int64     `db:"timeout_ms"`
	MaxRetries int       `db:"max_retries"`
	WasDue     time.Time `db:"was_due"`
}

// calls returns claimed rows by when they became due. Each target is opened once. What has a target that cannot be opened is
// settled as failed: a key may come back.
func (r deliveries) calls(ctx context.Context, rows []callRow, holder agent.ID) ([]webhook.Call, error) {
	slices.SortFunc(rows, func(x, y callRow) int {
		return cmp.Or(x.WasDue.Compare(y.WasDue), cmp.Compare(x.Ordinal, y.Ordinal))
	})
	type opened struct {
		target webhook.Target
		err    error
	}
	targets := map[webhook.ID]opened{}
	out := make([]webhook.Call, 0, len(rows))
	var broken []webhook.Settlement
	for _, row := range rows {
		t, known := targets[row.Subscription]
		if !known {
			t.target, t.err = r.s.openTarget(row.Subscription, row.sealedTarget)
			targets[row.Subscription] = t
		}
		d := row.delivery()
		if t.err != nil {
			broken = append(broken, webhook.Settle(d.ID, d.Attempts, row.MaxRetries, webhook.Outcome{Error: t.err.Error()}, *d.LastAttemptAt, evenly))
			continue
		}
		out = append(out, webhook.Call{Delivery: d, Target: t.target, Timeout: time.Duration(row.TimeoutMS) * time.Millisecond, MaxRetries: row.MaxRetries})
	}
	_, err := r.Settle(ctx, holder, broken)
	return out, err
}

const evenly = 0.5 // no jitter: nobody is called

const returnCalls = ` RETURNING d.id, d.ordinal, d.subscription_id, d.event_type, d.event_id, d.payload, d.target_labels, d.status, d.acquired_by,
	d.acquired_until, d.attempts, d.last_attempt_at, d.next_retry_at, d.last_error, d.created_at, d.completed_at,
	due.target, due.key_id, due.wrapped, due.timeout_ms, due.max_retries, due.was_due`

// The subscriptions come in any order, so that those that are last by name are not last each time.
const claimDeliveries = `WITH busy AS MATERIALIZED (SELECT b.id, b.n FROM unnest($1::uuid[], $2::int[]) AS b (id, n)),
	asked AS MATERIALIZED (
		SELECT s.id, s.target, s.key_id, s.wrapped, s.timeout_ms, s.max_retries, $3::int - COALESCE(b.n, 0) AS room
		FROM webhook_subscriptions s LEFT JOIN busy b ON b.id = s.id WHERE s.enabled ORDER BY random()),
	due AS MATERIALIZED (
		SELECT a.*, d.id AS delivery, d.due_at AS was_due FROM asked a CROSS JOIN LATERAL (
			SELECT w.id, w.due_at FROM webhook_deliveries w
			WHERE w.subscription_id = a.id AND w.status IN ('pending', 'failed', 'acquired') AND w.due_at <= statement_timestamp()
				AND w.target_labels IS NULL AND NOT (w.status = 'acquired' AND w.attempts > a.max_retries)
			ORDER BY w.due_at LIMIT GREATEST(0, a.room) FOR UPDATE SKIP LOCKED) d
		LIMIT $4)
	UPDATE webhook_deliveries d SET status = 'acquired', acquired_by = NULL, attempts = d.attempts + 1, last_attempt_at = now.at, next_retry_at = NULL,
		acquired_until = now.at + (due.timeout_ms + $5::bigint) * interval '1 millisecond',
		due_at = now.at + (due.timeout_ms + $5::bigint) * interval '1 millisecond'
	FROM due, (SELECT clock_timestamp() AS at) now WHERE d.id = due.delivery` + returnCalls

// Claim implements ports.Deliveries.
func (r deliveries) Claim(ctx context.Context, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	ids, counts := make([]string, 0, len(q.Busy)), make([]int64, 0, len(q.Busy))
	for id, n := range q.Busy {
		if uid(id) != nil {
			ids, counts = append(ids, string(id)), append(counts, int64(n))
		}
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) ([]webhook.Call, error) {
		rows, err := many[callRow](ctx, in, "claim deliveries", claimDeliveries,
			pq.Array(ids), pq.Array(counts), q.Each, max(0, q.Limit), grace.Milliseconds())
		if err != nil {
			return nil, err
		}
		return deliveries{in}.calls(ctx, rows, "")
	})
}

const claimForAgent = `WITH mine AS MATERIALIZED (
		SELECT COALESCE(array_agg(l.label), '{}') AS labels FROM agent_labels l WHERE l.agent_id = $1),
	held AS MATERIALIZED (
		SELECT h.subscription_id AS id, count(*) AS n FROM webhook_deliveries h
		WHERE h.acquired_by = $1 AND h.status = 'acquired' AND h.due_at > statement_timestamp() GROUP BY h.subscription_id),
	asked AS MATERIALIZED (
		SELECT s.id, s.target, s.key_id, s.wrapped, s.timeout_ms, s.max_retries, $3::int - COALESCE(h.n, 0) AS room
		FROM webhook_subscriptions s LEFT JOIN held h ON h.id = s.id WHERE s.enabled ORDER BY random()),
	due AS MATERIALIZED (
		SELECT a.*, d.id AS delivery, d.due_at AS was_due FROM asked a CROSS JOIN mine m CROSS JOIN LATERAL (
			SELECT w.id, w.due_at FROM webhook_deliveries w
			WHERE w.subscription_id = a.id AND w.status IN ('pending', 'failed', 'acquired') AND w.due_at <= statement_timestamp()
				AND w.target_labels IS NOT NULL AND w.target_labels <@ m.labels AND NOT (w.status = 'acquired' AND w.attempts > a.max_retries)
			ORDER BY w.due_at, w.ordinal LIMIT GREATEST(0, a.room) FOR UPDATE SKIP LOCKED) d
		LIMIT $2)
	UPDATE webhook_deliveries d SET status = 'acquired', acquired_by = $1, attempts = d.attempts + 1, last_attempt_at = now.at, next_retry_at = NULL,
		acquired_until = now.at + GREATEST($4::bigint, due.timeout_ms + $5::bigint) * interval '1 millisecond',
		due_at = now.at + GREATEST($4::bigint, due.timeout_ms + $5::bigint) * interval '1 millisecond'
	FROM due, (SELECT clock_timestamp() AS at) now WHERE d.id = due.delivery` + returnCalls

// ClaimFor implements ports.Deliveries.
func (r deliveries) ClaimFor(ctx context.Context, a agent.ID, ttl, grace time.Duration, q ports.Quota) ([]webhook.Call, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) ([]webhook.Call, error) {
		if err := in.keepAgent(ctx, a); err != nil {
			return nil, err
		}
		rows, err := many[callRow](ctx, in, "claim deliveries for agent", claimForAgent, uid(a), max(0, q.Limit), q.Each, ttl.Milliseconds(), grace.Milliseconds())
		if err != nil {
			return nil, err
		}
		return deliveries{in}.calls(ctx, rows, a)
	})
}

// Each subscription's first is the first of its index.
const firstDue = `SELECT d.due_at FROM webhook_subscriptions s CROSS JOIN LATERAL (
		SELECT w.due_at FROM webhook_deliveries w WHERE w.subscription_id = s.id AND w.status IN ('pending', 'failed', 'acquired')
			AND w.target_labels IS NULL AND NOT (w.status = 'acquired' AND w.attempts > s.max_retries) ORDER BY w.due_at LIMIT 1) d
	WHERE s.enabled ORDER BY d.due_at LIMIT 1`

// Due implements ports.Deliveries.
func (r deliveries) Due(ctx context.Context) (time.Time, bool, error) {
	rows, err := many[time.Time](ctx, r.s, "first delivery that is due", firstDue)
	if err != nil || len(rows) == 0 {
		return time.Time{}, false, err
	}
	return micro(rows[0]), true, nil
}

const ringDue = `SELECT found.at FROM (SELECT statement_timestamp() AS at, EXISTS (SELECT FROM webhook_deliveries w
		WHERE w.status IN ('pending', 'failed', 'acquired') AND w.target_labels IS NOT NULL AND w.due_at > $1 AND w.due_at <= statement_timestamp()) AS any) found,
	LATERAL (SELECT CASE WHEN found.any THEN pg_notify($2, '')::text END) told`

// RingDue implements ports.Deliveries.
func (r deliveries) RingDue(ctx context.Context, after time.Time) (time.Time, error) {
	at, err := one[time.Time](ctx, r.s, "ring for deliveries that are due", nil, ringDue, micro(after), ports.WorkGrew)
	return micro(at), err
}

const settleDeliveries = `UPDATE webhook_deliveries d SET status = x.status, last_error = x.error, next_retry_at = x.retry_at, acquired_until = NULL,
		due_at = COALESCE(x.retry_at, d.due_at), completed_at = CASE WHEN x.status = 'failed' THEN NULL ELSE x.at END
	FROM unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[]) AS x (id, attempt, status, at, retry_at, error)
	WHERE d.id = x.id AND d.status = 'acquired' AND d.attempts = x.attempt AND d.acquired_by IS NOT DISTINCT FROM $7::uuid`

// Settle implements ports.Deliveries.
func (r deliveries) Settle(ctx context.Context, holder agent.ID, list []webhook.Settlement) (int, error) {
	if len(list) == 0 {
		return 0, r.s.alive(ctx)
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "settle deliveries", settleDeliveries,
			column(list, func(x webhook.Settlement) *string { return uidPtr(x.ID) }),
			column(list, func(x webhook.Settlement) int64 { return int64(x.Attempt) }),
			column(list, func(x webhook.Settlement) string { return string(x.Status) }),
			column(list, func(x webhook.Settlement) time.Time { return micro(x.At) }),
			column(list, func(x webhook.Settlement) *time.Time { return microPtr(x.RetryAt) }),
			column(list, func(x webhook.Settlement) *string { return printablePtr(x.Error) }),
			uid(holder))
		return int(n), err
	})
}

const (
	lockDelivery = `SELECT status = 'acquired' AND due_at > clock_timestamp() FROM webhook_deliveries WHERE id = $1 FOR UPDATE`
	redeliver    = `WITH again AS (
			UPDATE webhook_deliveries d SET status = 'pending', attempts = 0, due_at = clock_timestamp(), target_labels = s.target_labels,
				acquired_by = NULL, acquired_until = NULL, next_retry_at = NULL, completed_at = NULL
			FROM webhook_subscriptions s WHERE s.id = d.subscription_id AND d.id = $1 RETURNING d.target_labels)
		SELECT concat(pg_notify($2, '')::text, CASE WHEN target_labels IS NOT NULL THEN pg_notify($3, '')::text END) FROM again`
)

// Redeliver implements ports.Deliveries.
func (r deliveries) Redeliver(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (webhook.Delivery, error) {
		tried, err := one[bool](ctx, in, "lock delivery", noDelivery(id), lockDelivery, uid(id))
		if err != nil {
			return webhook.Delivery{}, err
		}
		if tried {
			return webhook.Delivery{}, fault.Newf(fault.Refused, "delivery_in_progress", "delivery %s is being tried right now", id)
		}
		if _, err := one[string](ctx, in, "redeliver", noDelivery(id), redeliver, uid(id), ports.WebhooksDue, ports.WorkGrew); err != nil {
			return webhook.Delivery{}, err
		}
		return deliveries{in}.Get(ctx, id)
	})
}

// pendingWebhooks is a part of pendingWork.
const pendingWebhooks = `SELECT a.agent_id, 'webhooks' AS kind, sum(d.n)::bigint AS n, max(d.newest) AS newest
	FROM (SELECT w.target_labels, count(*) AS n, max(w.due_at) AS newest
		FROM webhook_deliveries w JOIN webhook_subscriptions s ON s.id = w.subscription_id
		WHERE w.status IN ('pending', 'failed', 'acquired') AND w.due_at <= $2::timestamptz AND w.target_labels IS NOT NULL
			AND s.enabled AND NOT (w.status = 'acquired' AND w.attempts > s.max_retries)
		GROUP BY w.target_labels OFFSET 0) AS d
	JOIN (SELECT l.agent_id, array_agg(l.label) AS labels FROM agent_labels l WHERE l.agent_id = ANY ($1::uuid[]) GROUP BY l.agent_id) AS a
		ON d.target_labels <@ a.labels
	GROUP BY a.agent_id`

const (
	buryDeliveries = `UPDATE webhook_deliveries d SET status = 'dead', last_error = $2, completed_at = clock_timestamp(), acquired_until = NULL
		WHERE d.id IN (SELECT w.id FROM webhook_subscriptions s JOIN webhook_deliveries w ON w.subscription_id = s.id
			WHERE w.status = 'acquired' AND w.due_at <= statement_timestamp() AND w.attempts > s.max_retries
			LIMIT $1 FOR UPDATE OF w SKIP LOCKED)`
	// The oldest by order of insertion are the oldest by time, but for moments.
	trimDeliveries = `DELETE FROM webhook_deliveries WHERE created_at < $1 AND ordinal IN (SELECT ordinal FROM webhook_deliveries ORDER BY ordinal LIMIT $2)`

	lostText = "the last attempt never ended: whoever made it stopped, or did not report in time"
)

// Sweep implements ports.Deliveries.
func (r deliveries) Sweep(ctx context.Context, before time.Time, limit int) (int, int, error) {
	var buried, trimmed int64
	err := r.s.atomically(ctx, func(ctx context.Context, in session) (err error) {
		if trimmed, err = in.exec(ctx, "trim deliveries", trimDeliveries, micro(before), limit); err != nil {
			return err
		}
		buried, err = in.exec(ctx, "bury deliveries", buryDeliveries, limit, lostText)
		return err
	})
	return int(buried), int(trimmed), err
}
