package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type outbox struct{ s session }

const appendEvents = `INSERT INTO outbox (id, type, agent_id, stack_id, object_id, generator_id, traceparent, data, at)
	SELECT e.id, e.type, e.agent_id, e.stack_id, e.object_id, e.generator_id, e.traceparent, e.data, COALESCE(e.at, clock_timestamp())
	FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::jsonb[], $9::timestamptz[])
		WITH ORDINALITY AS e (id, type, agent_id, stack_id, object_id, generator_id, traceparent, data, at, ordinal)
	ORDER BY e.ordinal`

// Append implements ports.Outbox.
func (r outbox) Append(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	data := make([]*string, len(events))
	for i, e := range events {
		if e.Data == nil {
			continue
		}
		text, err := asJSON(e.Data)
		if err != nil {
			return fault.New(fault.Invalid, "invalid_event", "the event's data are not JSON").Because(err)
		}
		data[i] = &text
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "append to outbox", appendEvents,
			column(events, func(e event.Event) string { return e.ID }),
			column(events, func(e event.Event) string { return string(e.Type) }),
			column(events, func(e event.Event) *string { return uidPtr(e.Agent) }),
			column(events, func(e event.Event) *string { return uidPtr(e.Stack) }),
			column(events, func(e event.Event) *string { return uidPtr(e.Object) }),
			column(events, func(e event.Event) *string { return uidPtr(e.Generator) }),
			column(events, func(e event.Event) string { return e.Traceparent }),
			pq.Array(data),
			column(events, func(e event.Event) *time.Time { return setTime(e.At) }))
		if err == nil {
			in.tx.noteGrown()
		}
		return err
	})
}

func setTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = micro(t)
	return &t
}

type outboxRow struct {
	Seq         int64               `db:"seq"`
	ID          string              `db:"id"`
	Type        event.Type          `db:"type"`
	Agent       agent.ID            `db:"agent_id"`
	Stack       stack.ID            `db:"stack_id"`
	Object      stack.ObjectID      `db:"object_id"`
	Generator   tenancy.GeneratorID `db:"generator_id"`
	Traceparent string              `db:"traceparent"`
	Data        []byte              `db:"data"`
	At          time.Time           `db:"at"`
	Floor       int64               `db:"floor"`
}

func (r outboxRow) event() (event.Event, error) {
	e := event.Event{
		Seq: r.Seq, ID: r.ID, Type: r.Type, Agent: r.Agent, Stack: r.Stack, Object: r.Object, Generator: r.Generator,
		Traceparent: r.Traceparent, At: micro(r.At),
	}
	if r.Data == nil {
		return e, nil
	}
	err := json.Unmarshal(r.Data, &e.Data)
	return e, err
}

const readEvents = `SELECT o.seq, o.id, o.type, COALESCE(o.agent_id::text, '') AS agent_id, COALESCE(o.stack_id::text, '') AS stack_id,
	COALESCE(o.object_id::text, '') AS object_id, COALESCE(o.generator_id::text, '') AS generator_id,
	o.traceparent, o.data, o.at, (SELECT f.seq FROM outbox_floor f) AS floor
	FROM ((SELECT * FROM outbox WHERE seq = ANY ($2::bigint[]))
		UNION ALL (SELECT * FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $3)) o
	ORDER BY o.seq LIMIT $3`

// Read implements ports.Outbox. Sequences are drawn before the commit, so a slow transaction's events appear below those
// that were read already: what is missing is remembered in the cursor and looked for again, until gapFor has passed.
func (r outbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gapFor time.Duration, limit int) ([]event.Event, ports.Cursor, error) {
	if limit <= 0 {
		return nil, c, ctx.Err()
	}
	gaps := make([]int64, 0, len(c.Gaps))
	for seq := range c.Gaps {
		gaps = append(gaps, seq)
	}
	rows, err := many[outboxRow](ctx, r.s, "read outbox", readEvents, c.Seq, pq.Array(gaps), limit)
	if err != nil {
		return nil, c, err
	}
	out := make([]event.Event, len(rows))
	for i, row := range rows {
		if out[i], err = row.event(); err != nil {
			return nil, c, r.s.store.translate(ctx, "read outbox", err)
		}
	}
	return out, advance(c, rows, now, gapFor, limit), nil
}

// advance returns the cursor after rows.
func advance(c ports.Cursor, rows []outboxRow, now time.Time, gapFor time.Duration, limit int) ports.Cursor {
	next := ports.Cursor{Seq: c.Seq, Gaps: maps.Clone(c.Gaps)}
	if next.Gaps == nil {
		next.Gaps = map[int64]time.Time{}
	}
	for _, row := range rows {
		delete(next.Gaps, row.Seq)
		if row.Seq <= next.Seq {
			continue
		}
		for missing := max(next.Seq, row.Floor) + 1; missing < row.Seq; missing++ {
			next.Gaps[missing] = now
		}
		next.Seq = row.Seq
	}
	full := len(rows) == limit
	maps.DeleteFunc(next.Gaps, func(seq int64, since time.Time) bool {
		looked := !full || seq < rows[len(rows)-1].Seq
		return looked && now.Sub(since) >= gapFor
	})
	return next
}

// What is missing farther back than this is taken for rolled back, not for late.
const endOfOutbox = `WITH top AS (
		SELECT f.seq AS floor, GREATEST(f.seq, (SELECT max(o.seq) FROM outbox o)) AS seq FROM outbox_floor f)
	SELECT t.seq, ARRAY(SELECT s FROM generate_series(GREATEST(t.floor + 1, t.seq - 65536), t.seq) AS s
		WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.seq = s)) AS gaps
	FROM top t`

// End implements ports.Outbox. What slower transactions may still commit below the newest event is among the gaps.
func (r outbox) End(ctx context.Context) (ports.Cursor, error) {
	row, err := one[struct {
		Seq  int64         `db:"seq"`
		Gaps pq.Int64Array `db:"gaps"`
	}](ctx, r.s, "look for the end of the outbox", nil, endOfOutbox)
	if err != nil {
		return ports.Cursor{}, err
	}
	c := ports.Cursor{Seq: row.Seq, Gaps: make(map[int64]time.Time, len(row.Gaps))}
	now := time.Now()
	for _, seq := range row.Gaps {
		c.Gaps[seq] = now
	}
	return c, nil
}

const trimOutbox = `WITH old AS (SELECT seq FROM outbox WHERE at < $1 ORDER BY at, seq LIMIT $2),
	gone AS (DELETE FROM outbox WHERE seq IN (SELECT seq FROM old) RETURNING seq),
	floor AS (UPDATE outbox_floor SET seq = GREATEST(seq, (SELECT max(seq) FROM gone)))
	SELECT count(*) FROM gone`

// Trim implements ports.Outbox.
func (r outbox) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		return one[int](ctx, in, "trim outbox", nil, trimOutbox, micro(before), limit)
	})
}
