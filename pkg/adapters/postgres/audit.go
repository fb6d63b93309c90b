package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type auditLog struct{ s session }

const insertAudit = `INSERT INTO audit_log (period, id, at, actor_type, actor_id, credential_id, action, resource_type, resource_id,
		before, after, details, request_id, ip, user_agent, traceparent, hash)
	SELECT date_trunc('month', e.at AT TIME ZONE 'UTC')::date, e.* FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::uuid[],
		$6::text[], $7::text[], $8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bytea[])
		AS e (id, at, actor_type, actor_id, credential_id, action, resource_type, resource_id, before, after, details, request_id, ip, user_agent, traceparent, hash)`

// Append implements ports.AuditLog.
func (r auditLog) Append(ctx context.Context, entries ...audit.Entry) error {
	details := make([]string, len(entries))
	for i, e := range entries {
		if err := e.Check(); err != nil {
			return err
		}
		details[i] = "{}"
		if len(e.Details) > 0 {
			text, err := json.Marshal(e.Details)
			if err != nil {
				return err
			}
			details[i] = string(text)
		}
	}
	if len(entries) == 0 {
		return ctx.Err()
	}
	text := func(of func(audit.Entry) string) any { return column(entries, of) }
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "append to the audit log", insertAudit,
			text(func(e audit.Entry) string { return string(e.ID) }),
			column(entries, func(e audit.Entry) time.Time { return micro(e.At) }),
			text(func(e audit.Entry) string { return e.Actor.Type }),
			column(entries, func(e audit.Entry) *string { return uidPtr(e.Actor.ID) }),
			column(entries, func(e audit.Entry) *string { return uidPtr(e.Actor.Credential) }),
			text(func(e audit.Entry) string { return string(e.Action) }),
			text(func(e audit.Entry) string { return e.ResourceType }),
			column(entries, func(e audit.Entry) *string { return uidPtr(e.ResourceID) }),
			text(func(e audit.Entry) string { return string(e.Before) }),
			text(func(e audit.Entry) string { return string(e.After) }),
			pq.Array(details),
			text(func(e audit.Entry) string { return e.Source.RequestID }),
			text(func(e audit.Entry) string { return e.Source.IP }),
			text(func(e audit.Entry) string { return e.Source.UserAgent }),
			text(func(e audit.Entry) string { return e.Source.Traceparent }),
			column(entries, func(e audit.Entry) []byte { return e.Hash[:] }))
		return err
	})
}

type auditRow struct {
	ID           audit.ID             `db:"id"`
	At           time.Time            `db:"at"`
	ActorType    string               `db:"actor_type"`
	ActorID      string               `db:"actor_id"`
	Credential   tenancy.CredentialID `db:"credential_id"`
	Action       audit.Action         `db:"action"`
	ResourceType string               `db:"resource_type"`
	ResourceID   string               `db:"resource_id"`
	Before       audit.Digest         `db:"before"`
	After        audit.Digest         `db:"after"`
	Details      []byte               `db:"details"`
	RequestID    string               `db:"request_id"`
	IP           string               `db:"ip"`
	UserAgent    string               `db:"user_agent"`
	Traceparent  string               `db:"traceparent"`
	Hash         []byte               `db:"hash"`
	Seq          int64                `db:"seq"`
	Link         []byte               `db:"link"`
	ActorName    string               `db:"actor_name"`
}

func (r auditRow) entry() audit.Entry {
	e := audit.Entry{
		ID: r.ID, At: micro(r.At), Actor: audit.Actor{Type: r.ActorType, ID: r.ActorID, Credential: r.Credential},
		Action: r.Action, ResourceType: r.ResourceType, ResourceID: r.ResourceID, Before: r.Before, After: r.After,
		Source: audit.Source{RequestID: r.RequestID, IP: r.IP, UserAgent: r.UserAgent, Traceparent: r.Traceparent},
		Seq:    r.Seq, ActorName: r.ActorName,
	}
	copy(e.Hash[:], r.Hash)
	copy(e.Link[:], r.Link)
	// What somebody has made unreadable is told by the hash, which then is another one.
	if json.Unmarshal(r.Details, &e.Details) != nil || len(e.Details) == 0 {
		e.Details = nil
	}
	return e
}

const auditColumns = `l.id, l.at, l.actor_type, COALESCE(l.actor_id::text, '') AS actor_id, COALESCE(l.credential_id::text, '') AS credential_id,
	l.action, l.resource_type, COALESCE(l.resource_id::text, '') AS resource_id, l.before, l.after, l.details, l.request_id, l.ip, l.user_agent,
	l.traceparent, l.hash, COALESCE(l.seq, 0) AS seq, l.link,
	COALESCE(CASE l.actor_type WHEN 'generator' THEN g.name WHEN 'agent' THEN a.name ELSE l.actor_type END, '') AS actor_name`

const auditNames = ` LEFT JOIN generators g ON l.actor_type = 'generator' AND g.id = l.actor_id
	LEFT JOIN agents a ON l.actor_type = 'agent' AND a.id = l.actor_id`

const getAudit = `SELECT ` + auditColumns + ` FROM audit_log l` + auditNames + ` WHERE l.id = $1`

// Get implements ports.AuditLog.
func (r auditLog) Get(ctx context.Context, id audit.ID) (audit.Entry, error) {
	row, err := one[auditRow](ctx, r.s, "get audit log entry", notFound("audit_log_not_found", "audit log entry", id), getAudit, uid(id))
	if err != nil {
		return audit.Entry{}, err
	}
	return row.entry(), nil
}

// The bounds of time come first, so that whole partitions are left out.
const auditFilter = ` WHERE l.at >= $1 AND l.at < $2 AND l.period >= date_trunc('month', $1 AT TIME ZONE 'UTC')::date AND l.period <= $2::timestamptz::date + 1
	AND ($3 = '' OR l.actor_type = $3) AND ($4::uuid IS NULL OR l.actor_id = $4) AND starts_with(l.action, $5) AND (NOT $6 OR l.action = $5)
	AND ($7 = '' OR l.resource_type = $7) AND ($8::uuid IS NULL OR l.resource_id = $8)`

const countAudit = `SELECT count(*) FROM audit_log l` + auditFilter

const listAudit = `SELECT ` + auditColumns + ` FROM (SELECT * FROM audit_log l` + auditFilter + ` AND (l.at, l.id) < ($9, $10::uuid)
	ORDER BY l.at DESC, l.id DESC OFFSET $11 LIMIT $12) l` + auditNames + ` ORDER BY l.at DESC, l.id DESC`

const lastUUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// List implements ports.AuditLog.
func (r auditLog) List(ctx context.Context, f audit.Filter, p audit.Page) ([]audit.Entry, int, error) {
	prefix, whole := f.ActionPrefix()
	from, to := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if !f.From.IsZero() {
		from = f.From.UTC()
	}
	if !f.To.IsZero() {
		to = f.To.UTC()
	}
	args := []any{from, to, f.ActorType, uid(f.ActorID), prefix, whole, f.ResourceType, uid(f.ResourceID)}
	if (f.ActorID != "" && uid(f.ActorID) == nil) || (f.ResourceID != "" && uid(f.ResourceID) == nil) {
		return []audit.Entry{}, 0, ctx.Err()
	}
	total, err := one[int](ctx, r.s, "count audit log entries", nil, countAudit, args...)
	if err != nil {
		return nil, 0, err
	}
	before, id := to, lastUUID
	if p.After != nil {
		before, id = micro(p.After.At), string(p.After.ID)
	}
	rows, err := many[auditRow](ctx, r.s, "list audit log entries", listAudit, append(args, before, id, p.Offset, p.Limit)...)
	out, err := convert(rows, err, auditRow.entry)
	return out, total, err
}

const sealedAudit = `SELECT ` + auditColumns + ` FROM audit_log l` + auditNames + `
	WHERE l.period = $1 AND l.seq > $2 ORDER BY l.seq LIMIT $3`

// Sealed implements ports.AuditLog.
func (r auditLog) Sealed(ctx context.Context, p audit.Period, seq int64, limit int) ([]audit.Entry, error) {
	rows, err := many[auditRow](ctx, r.s, "read sealed audit log entries", sealedAudit, p.Start(), seq, limit)
	return convert(rows, err, auditRow.entry)
}

const countWaiting = `SELECT count(*) FROM audit_log WHERE seq IS NULL`

// Waiting implements ports.AuditLog.
func (r auditLog) Waiting(ctx context.Context) (int, error) {
	return one[int](ctx, r.s, "count unsealed audit log entries", nil, countWaiting)
}

type chainRow struct {
	Period      time.Time     `db:"period"`
	Number      int           `db:"number"`
	AfterPeriod sql.NullTime  `db:"after_period"`
	AfterSeq    sql.NullInt64 `db:"after_seq"`
	AfterLink   []byte        `db:"after_link"`
	Entries     int64         `db:"entries"`
	Head        []byte        `db:"head"`
	DroppedAt   *time.Time    `db:"dropped_at"`
}

func (r chainRow) chain() audit.Chain {
	c := audit.Chain{Period: audit.PeriodOf(r.Period), Number: r.Number, Entries: r.Entries, DroppedAt: microPtr(r.DroppedAt)}
	copy(c.Head[:], r.Head)
	if r.AfterPeriod.Valid {
		c.After = &audit.Point{Period: audit.PeriodOf(r.AfterPeriod.Time), Seq: r.AfterSeq.Int64}
		copy(c.After.Link[:], r.AfterLink)
	}
	return c
}

const selectChains = `SELECT period, number, after_period, after_seq, after_link, entries, head, dropped_at FROM audit_chains ORDER BY number`

// Chains implements ports.AuditLog.
func (r auditLog) Chains(ctx context.Context) ([]audit.Chain, error) {
	rows, err := many[chainRow](ctx, r.s, "list audit chains", selectChains)
	return convert(rows, err, chainRow.chain)
}

// unsealed is the code of a period that cannot be dropped yet.
func unsealed(p audit.Period) error {
	return fault.Newf(fault.Refused, "audit_not_sealed", "entries of %s are not sealed yet", p)
}
