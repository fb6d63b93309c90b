package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type reports struct{ s session }

const lockReportOrder = `SELECT boot, seq, former, turn, given FROM agent_report_order WHERE agent_id = $1 FOR UPDATE`

type orderRow struct {
	Boot   string         `db:"boot"`
	Seq    int64          `db:"seq"`
	Former pq.StringArray `db:"former"`
	Turn   int64          `db:"turn"`
	Given  int64          `db:"given"`
}

func (r orderRow) order() delivery.Order {
	return delivery.Order{Current: delivery.Mark{Boot: r.Boot, Seq: r.Seq, Turn: delivery.Turn(r.Turn)}, Over: r.Former, Given: delivery.Turn(r.Given)}
}

func (s session) lockReportOrder(ctx context.Context, a agent.ID) (orderRow, error) {
	row, err := one[orderRow](ctx, s, "lock report order of agent", noAgent(a), lockReportOrder, uid(a))
	if err == nil {
		s.tx.noteOrdered(a)
	}
	return row, err
}

// Most reports follow one of the same process.
const followReportOrder = `UPDATE agent_report_order SET seq = $3, updated_at = $4 WHERE agent_id = $1 AND boot = $2 AND seq < $3`

const storeReportOrder = `UPDATE agent_report_order SET boot = $2, seq = $3, former = $4, turn = $5, given = $6, updated_at = $7 WHERE agent_id = $1`

// Advance implements ports.Reports.
func (r reports) Advance(ctx context.Context, a agent.ID, m delivery.Mark, at time.Time) (delivery.Reception, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (delivery.Reception, error) {
		n, err := in.exec(ctx, "follow report order of agent", followReportOrder, uid(a), m.Boot, m.Seq, micro(at))
		if err != nil {
			return delivery.Reception{}, err
		}
		if n > 0 {
			in.tx.noteOrdered(a)
			return delivery.Reception{News: true}, nil
		}
		row, err := in.lockReportOrder(ctx, a)
		if err != nil {
			return delivery.Reception{}, err
		}
		next, got := row.order().Accept(m)
		if got == (delivery.Reception{}) {
			return got, nil
		}
		over := pq.StringArray(next.Over)
		if over == nil {
			over = pq.StringArray{}
		}
		_, err = in.exec(ctx, "store report order of agent", storeReportOrder, uid(a), next.Current.Boot, next.Current.Seq, over,
			int64(next.Current.Turn), int64(next.Given), micro(at))
		return got, err
	})
}

// Serial implements ports.Reports.
func (r reports) Serial(ctx context.Context, a agent.ID) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.lockReportOrder(ctx, a)
		return err
	})
}

// newest keeps of several reports for one stack the last one that is not older than those before it.
func newest(list []delivery.Report) []delivery.Report {
	var out []delivery.Report
	at := map[stack.ID]int{}
	for _, rep := range list {
		i, known := at[rep.Stack]
		switch {
		case uid(rep.Stack) == nil || uid(rep.Object) == nil:
		case !known:
			at[rep.Stack] = len(out)
			out = append(out, rep)
		case rep.Sequence >= out[i].Sequence:
			out[i] = rep
		}
	}
	return out
}

// The old row is that of the statement's snapshot: reports of one agent are serial by Advance and Serial.
const recordStatus = `WITH old AS (
		SELECT t.stack_id, t.object_id, t.phase, t.health FROM assignment_status t
		WHERE t.agent_id = $1 AND t.stack_id = ANY ($3::uuid[])),
	put AS (
		INSERT INTO assignment_status AS t
			(agent_id, stack_id, object_id, sequence_id, phase, health, message, summary, observed_at, reported_at, since)
		SELECT x.agent_id, x.stack_id, r.object_id, r.sequence_id, r.phase, r.health, r.message, NULLIF(r.summary, ''), r.observed_at, $2, $2
		FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::text[])
			AS r (stack_id, object_id, sequence_id, phase, health, message, observed_at, summary)
		JOIN assignments x ON x.agent_id = $1 AND x.stack_id = r.stack_id
		JOIN deployment_objects o ON o.id = r.object_id AND o.stack_id = r.stack_id
		ORDER BY x.stack_id
		ON CONFLICT (agent_id, stack_id) DO UPDATE SET
			object_id = EXCLUDED.object_id, sequence_id = EXCLUDED.sequence_id, phase = EXCLUDED.phase, health = EXCLUDED.health,
			message = EXCLUDED.message,
			summary = COALESCE(EXCLUDED.summary,
				CASE WHEN (t.object_id, t.health) = (EXCLUDED.object_id, EXCLUDED.health) THEN t.summary END),
			observed_at = EXCLUDED.observed_at, reported_at = EXCLUDED.reported_at,
			since = CASE WHEN (t.phase, t.health) = (EXCLUDED.phase, EXCLUDED.health) THEN t.since ELSE EXCLUDED.since END
		WHERE (SELECT x.object_id = EXCLUDED.object_id OR (x.object_id <> t.object_id AND t.sequence_id <= EXCLUDED.sequence_id)
			FROM assignments x WHERE x.agent_id = t.agent_id AND x.stack_id = t.stack_id)
		RETURNING t.agent_id, t.stack_id, t.object_id, t.sequence_id, t.phase, t.health, t.message, t.observed_at, t.reported_at, t.since)
	SELECT put.agent_id, put.stack_id, put.object_id, put.sequence_id, put.phase, put.health, put.message,
		put.observed_at, put.reported_at, put.since FROM put LEFT JOIN old ON old.stack_id = put.stack_id
	WHERE old.stack_id IS NULL OR (old.object_id, old.phase, old.health) <> (put.object_id, put.phase, put.health)`

type statusRow struct {
	Agent      agent.ID        `db:"agent_id"`
	Stack      stack.ID        `db:"stack_id"`
	Object     stack.ObjectID  `db:"object_id"`
	Sequence   stack.Sequence  `db:"sequence_id"`
	Phase      delivery.Phase  `db:"phase"`
	Health     delivery.Health `db:"health"`
	Message    string          `db:"message"`
	ObservedAt time.Time       `db:"observed_at"`
	ReportedAt time.Time       `db:"reported_at"`
	Since      time.Time       `db:"since"`
}

func (r statusRow) status() delivery.Status {
	s := delivery.Status(r)
	s.ObservedAt, s.ReportedAt, s.Since = micro(r.ObservedAt), micro(r.ReportedAt), micro(r.Since)
	return s
}

// Record implements ports.Reports. Of several reports for one stack only the last one counts, and the statuses come in the
// order of the reports.
func (r reports) Record(ctx context.Context, a agent.ID, at time.Time, list []delivery.Report) ([]delivery.Status, error) {
	list = newest(list)
	if len(list) == 0 {
		return nil, ctx.Err()
	}
	rows, err := writes(ctx, r.s, func(ctx context.Context, in session) ([]statusRow, error) {
		return many[statusRow](ctx, in, "record reports of agent", recordStatus, uid(a), micro(at),
			column(list, func(r delivery.Report) string { return string(r.Stack) }),
			column(list, func(r delivery.Report) string { return string(r.Object) }),
			column(list, func(r delivery.Report) int64 { return int64(r.Sequence) }),
			column(list, func(r delivery.Report) string { return string(r.Phase) }),
			column(list, func(r delivery.Report) string { return string(r.Health) }),
			column(list, func(r delivery.Report) string { return printable(r.Message) }),
			column(list, func(r delivery.Report) time.Time { return micro(r.ObservedAt) }),
			column(list, func(r delivery.Report) string { return printable(r.Summary) }))
	})
	out, err := convert(rows, err, statusRow.status)
	place := make(map[stack.ID]int, len(list))
	for i, rep := range list {
		place[rep.Stack] = i
	}
	slices.SortFunc(out, func(x, y delivery.Status) int { return place[x.Stack] - place[y.Stack] })
	return out, err
}

const (
	lockRevision  = `SELECT revision FROM agent_revisions WHERE agent_id = $1 FOR UPDATE`
	dropTombstone = `DELETE FROM assignments WHERE agent_id = $1 AND stack_id = $2 AND state = 'removing' AND revision <= $3`
	growRevision  = `UPDATE agent_revisions r SET revision = GREATEST(r.revision + 1, m.now), counted_in = CASE WHEN r.counted_in = r.revision THEN GREATEST(r.revision + 1, m.now) END
	FROM (SELECT ` + thisMoment + ` AS now) AS m WHERE r.agent_id = $1`
)

// Acknowledge implements ports.Reports. It locks in the order in which Commit does.
func (r reports) Acknowledge(ctx context.Context, a agent.ID, rem delivery.Removal) (bool, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		if _, err := many[int64](ctx, in, "lock revision of agent", lockRevision, uid(a)); err != nil {
			return false, err
		}
		n, err := in.exec(ctx, "drop tombstone", dropTombstone, uid(a), uid(rem.Stack), int64(rem.Revision))
		if err != nil || n == 0 {
			return false, err
		}
		_, err = in.exec(ctx, "grow revision of agent", growRevision, uid(a))
		return err == nil, err
	})
}
