package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type agentEventRow struct {
	ID        agent.EventID  `db:"id"`
	Agent     agent.ID       `db:"agent_id"`
	Object    stack.ObjectID `db:"object_id"`
	Type      string         `db:"event_type"`
	Status    string         `db:"status"`
	Message   *string        `db:"message"`
	Count     int64          `db:"count"`
	CreatedAt time.Time      `db:"created_at"`
	UpdatedAt time.Time      `db:"updated_at"`
	Ordinal   int64          `db:"ordinal"`
}

func (r agentEventRow) event() agent.Event {
	e := agent.Event(r)
	e.CreatedAt, e.UpdatedAt = micro(r.CreatedAt), micro(r.UpdatedAt)
	return e
}

const agentEventColumns = `id, agent_id, object_id, event_type, status, message, count, created_at, updated_at, ordinal`

const repeatAgentEvent = `UPDATE agent_events SET count = count + 1, updated_at = $6
	WHERE id = (SELECT id FROM agent_events WHERE agent_id = $1 AND object_id = $2 ORDER BY ordinal DESC LIMIT 1)
		AND event_type = $3 AND status = $4 AND message IS NOT DISTINCT FROM $5
	RETURNING ` + agentEventColumns

const insertAgentEvent = `INSERT INTO agent_events (id, agent_id, object_id, event_type, status, message, created_at, updated_at)
	SELECT $1, $2, o.id, $4, $5, $6, $7, $8 FROM deployment_objects o WHERE o.id = $3
	RETURNING ` + agentEventColumns

const toldColumns = `e.id, e.agent_id, e.object_id, e.event_type, e.status, e.message, e.count, e.created_at, e.updated_at, e.ordinal`

const (
	repeatAgentEvents = `UPDATE agent_events e SET count = e.count + 1, updated_at = v.updated_at
		FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS v (object_id, event_type, status, message, updated_at)
		WHERE e.id = (SELECT l.id FROM agent_events l WHERE l.agent_id = $1 AND l.object_id = v.object_id ORDER BY l.ordinal DESC LIMIT 1)
			AND e.event_type = v.event_type AND e.status = v.status AND e.message IS NOT DISTINCT FROM v.message
		RETURNING ` + toldColumns
	insertAgentEvents = `INSERT INTO agent_events AS e (id, agent_id, object_id, event_type, status, message, created_at, updated_at)
		SELECT v.id, $1, o.id, v.event_type, v.status, v.message, v.created_at, v.updated_at
		FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
				WITH ORDINALITY AS v (id, object_id, event_type, status, message, created_at, updated_at, n)
			JOIN deployment_objects o ON o.id = v.object_id
		ORDER BY v.n
		RETURNING ` + toldColumns
)

// AddEvents implements ports.Reports. Of events about different objects none repeats another one, so that they are looked up and
// stored together.
func (r reports) AddEvents(ctx context.Context, list []agent.Event) ([]agent.Event, error) {
	if len(list) == 0 {
		return nil, ctx.Err()
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) ([]agent.Event, error) {
		objects := make(map[stack.ObjectID]bool, len(list))
		for _, e := range list {
			objects[e.Object] = true
		}
		if len(list) == 1 || len(objects) < len(list) {
			return in.addOneByOne(ctx, list)
		}
		return in.addTogether(ctx, list)
	})
}

func (s session) addOneByOne(ctx context.Context, list []agent.Event) ([]agent.Event, error) {
	out := make([]agent.Event, len(list))
	for i, e := range list {
		var err error
		if out[i], err = (reports{s}).AddEvent(ctx, e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s session) addTogether(ctx context.Context, list []agent.Event) ([]agent.Event, error) {
	a := list[0].Agent
	if !s.tx.hasOrdered(a) {
		if _, err := s.lockReportOrder(ctx, a); err != nil {
			return nil, err
		}
	}
	text := func(of func(agent.Event) string) any {
		return column(list, func(e agent.Event) string { return printable(of(e)) })
	}
	stored := make(map[stack.ObjectID]agent.Event, len(list))
	again, err := many[agentEventRow](ctx, s, "repeat events of agent", repeatAgentEvents, uid(a),
		column(list, func(e agent.Event) string { return string(e.Object) }),
		text(func(e agent.Event) string { return e.Type }), text(func(e agent.Event) string { return e.Status }),
		column(list, func(e agent.Event) *string { return printablePtr(e.Message) }),
		column(list, func(e agent.Event) time.Time { return micro(e.UpdatedAt) }))
	if err != nil {
		return nil, err
	}
	for _, row := range again {
		stored[row.Object] = row.event()
	}
	all := list
	list = slices.DeleteFunc(slices.Clone(list), func(e agent.Event) bool { return stored[e.Object].ID != "" })
	if len(list) > 0 {
		fresh, err := many[agentEventRow](ctx, s, "insert events of agent", insertAgentEvents, uid(a),
			column(list, func(e agent.Event) string { return string(e.ID) }),
			column(list, func(e agent.Event) string { return string(e.Object) }),
			text(func(e agent.Event) string { return e.Type }), text(func(e agent.Event) string { return e.Status }),
			column(list, func(e agent.Event) *string { return printablePtr(e.Message) }),
			column(list, func(e agent.Event) time.Time { return micro(e.CreatedAt) }),
			column(list, func(e agent.Event) time.Time { return micro(e.UpdatedAt) }))
		if err != nil {
			return nil, err
		}
		for _, row := range fresh {
			stored[row.Object] = row.event()
		}
	}
	out := make([]agent.Event, len(all))
	for i, e := range all {
		if stored[e.Object].ID == "" {
			return nil, noObject(e.Object)
		}
		out[i] = stored[e.Object]
	}
	return out, nil
}

// AddEvent implements ports.Reports. The agent's report order is locked, so that two identical events at once are one row.
func (r reports) AddEvent(ctx context.Context, e agent.Event) (agent.Event, error) {
	message := printablePtr(e.Message)
	return writes(ctx, r.s, func(ctx context.Context, in session) (agent.Event, error) {
		if !in.tx.hasOrdered(e.Agent) {
			if _, err := in.lockReportOrder(ctx, e.Agent); err != nil {
				return e, err
			}
		}
		again, err := many[agentEventRow](ctx, in, "repeat event of agent", repeatAgentEvent,
			uid(e.Agent), uid(e.Object), printable(e.Type), printable(e.Status), message, micro(e.UpdatedAt))
		if err != nil {
			return e, err
		}
		if len(again) > 0 {
			return again[0].event(), nil
		}
		row, err := one[agentEventRow](ctx, in, "insert event of agent", noObject(e.Object), insertAgentEvent, uid(e.ID), uid(e.Agent), uid(e.Object),
			printable(e.Type), printable(e.Status), message, micro(e.CreatedAt), micro(e.UpdatedAt))
		return row.event(), err
	})
}

const trimAgentEvents = `DELETE FROM agent_events WHERE id IN (
	SELECT id FROM agent_events WHERE updated_at < $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// TrimEvents implements ports.Reports. An event that is being told again meanwhile stays.
func (r reports) TrimEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim events of agents", trimAgentEvents, micro(before), limit)
		return int(n), err
	})
}
