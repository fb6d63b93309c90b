package postgres

import (
	"context"
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
