package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
)

type auditKeeper struct{ s session }

// One at a time seals or drops; those who append and those who read do not wait for it.
const lockChains = `LOCK TABLE audit_chains IN SHARE ROW EXCLUSIVE MODE`

const waitingAudit = `SELECT id, at, hash FROM audit_log WHERE seq IS NULL ORDER BY period, at, id LIMIT $1`

const linkAudit = `UPDATE audit_log l SET seq = u.seq, link = u.link
	FROM unnest($2::uuid[], $3::bigint[], $4::bytea[]) AS u (id, seq, link) WHERE l.period = $1 AND l.id = u.id`

const putChain = `INSERT INTO audit_chains (period, after_period, after_seq, after_link, entries, head, number) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (period) DO UPDATE SET entries = EXCLUDED.entries, head = EXCLUDED.head`

// Seal implements ports.AuditKeeper. What is not committed is not seen, and so sealed later; that it may be older than what is
// sealed already does no harm, for the order of the chain is that of sealing.
func (r auditKeeper) Seal(ctx context.Context, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		if _, err := in.exec(ctx, "lock audit chains", lockChains); err != nil {
			return 0, err
		}
		rows, err := many[auditRow](ctx, in, "read unsealed audit log entries", waitingAudit, limit)
		if err != nil || len(rows) == 0 {
			return 0, err
		}
		chains, err := auditLog{in}.Chains(ctx)
		if err != nil {
			return 0, err
		}
		done := len(rows)
		for len(rows) > 0 {
			period, n := audit.PeriodOf(rows[0].At), 1
			for n < len(rows) && audit.PeriodOf(rows[n].At) == period {
				n++
			}
			if chains, err = sealPeriod(ctx, in, chains, period, rows[:n]); err != nil {
				return 0, err
			}
			rows = rows[n:]
		}
		return done, nil
	})
}

// sealPeriod links rows, all of one period, and returns the chains as they are then.
func sealPeriod(ctx context.Context, in session, chains []audit.Chain, p audit.Period, rows []auditRow) ([]audit.Chain, error) {
	at := slices.IndexFunc(chains, func(c audit.Chain) bool { return c.Period == p })
	if at < 0 {
		var newest *audit.Chain
		if len(chains) > 0 {
			newest = &chains[len(chains)-1]
		}
		at, chains = len(chains), append(chains, audit.Begin(p, newest))
	}
	c := &chains[at]
	sealed := make([]audit.Entry, len(rows))
	for i, row := range rows {
		sealed[i] = c.Seal(row.entry())
	}
	_, err := in.exec(ctx, "seal audit log entries", linkAudit, p.Start(),
		column(sealed, func(e audit.Entry) string { return string(e.ID) }),
		column(sealed, func(e audit.Entry) int64 { return e.Seq }),
		column(sealed, func(e audit.Entry) []byte { return e.Link[:] }))
	if err != nil {
		return nil, err
	}
	var after struct {
		period *time.Time
		seq    *int64
		link   []byte
	}
	if c.After != nil {
		start := c.After.Period.Start()
		after.period, after.seq, after.link = &start, &c.After.Seq, c.After.Link[:]
	}
	_, err = in.exec(ctx, "store audit chain", putChain, p.Start(), after.period, after.seq, after.link, c.Entries, c.Head[:], c.Number)
	return chains, err
}

// How long a change of partitions may wait for those who use the log; it is tried again at the next round.
const partitionPatience = `SET LOCAL lock_timeout = '3s'`

const (
	makePartition = `CREATE TABLE IF NOT EXISTS %s PARTITION OF audit_log FOR VALUES FROM (%s) TO (%s)`
	takePartition = `DROP TABLE IF EXISTS %s`
)

func partition(p audit.Period) string {
	return pq.QuoteIdentifier("audit_log_" + strings.ReplaceAll(string(p), "-", "_"))
}

const inRest = `SELECT EXISTS (SELECT FROM audit_log_rest WHERE period = $1)`

// Prepare implements ports.AuditKeeper. A period of which entries lie in the partition for the rest stays there.
func (r auditKeeper) Prepare(ctx context.Context, p audit.Period) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		there, err := one[bool](ctx, in, "look for audit partition", nil, partitionThere, strings.Trim(partition(p), `"`))
		if err != nil || there {
			return err
		}
		rest, err := one[bool](ctx, in, "look into the rest of the audit log", nil, inRest, p.Start())
		if err != nil || rest {
			return err
		}
		if _, err := in.exec(ctx, "limit the wait", partitionPatience); err != nil {
			return err
		}
		day := func(p audit.Period) string { return pq.QuoteLiteral(p.Start().Format(time.DateOnly)) }
		_, err = in.exec(ctx, "make audit partition", fmt.Sprintf(makePartition, partition(p), day(p), day(p.Next())))
		return err
	})
}

const partitionThere = `SELECT to_regclass($1) IS NOT NULL`

const (
	waitsIn   = `SELECT EXISTS (SELECT FROM audit_log WHERE period = $1 AND seq IS NULL)`
	dropRest  = `DELETE FROM audit_log_rest WHERE period = $1`
	markChain = `UPDATE audit_chains SET dropped_at = $2 WHERE period = $1 AND dropped_at IS NULL`
)

// Drop implements ports.AuditKeeper.
func (r auditKeeper) Drop(ctx context.Context, p audit.Period, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if _, err := in.exec(ctx, "limit the wait", partitionPatience); err != nil {
			return err
		}
		if _, err := in.exec(ctx, "lock audit chains", lockChains); err != nil {
			return err
		}
		n, err := in.exec(ctx, "mark audit chain as dropped", markChain, p.Start(), micro(at))
		if err != nil || n == 0 {
			return err
		}
		waits, err := one[bool](ctx, in, "look for unsealed audit log entries", nil, waitsIn, p.Start())
		if err != nil {
			return err
		}
		if waits {
			return unsealed(p)
		}
		if _, err := in.exec(ctx, "drop audit partition", fmt.Sprintf(takePartition, partition(p))); err != nil {
			return err
		}
		_, err = in.exec(ctx, "drop audit log entries", dropRest, p.Start())
		return err
	})
}
