package postgres

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// thisMoment is where an agent's revision begins, and what it is never behind when it grows: the server's clock, in milliseconds. A
// database that is restored from a backup so gives no revision that was given before to anything else: agents and caches would take
// one for the other (docs/adr/0063).
const thisMoment = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// idBits is of the stack of c what is kept of all that are assigned to an agent: the last eight bytes of its id, 62 bits of which are
// random. XORed they tell sets of stacks apart but for one of so many, and change with a set by what it gains and loses.
const idBits = `('x' || right(replace(c.stack_id::text, '-', ''), 16))::bit(64)::bigint`

// bitsOf is what idBits of all the stacks come to.
func bitsOf(stacks []stack.ID) (int64, error) {
	var sum uint64
	for _, id := range stacks {
		u, err := uuid.Parse(string(id))
		if err != nil {
			return 0, fault.Newf(fault.Invalid, "invalid_decision", "%q is no id of a stack", id)
		}
		sum ^= binary.BigEndian.Uint64(u[8:])
	}
	return int64(sum), nil //nolint:gosec // the same bits
}

// assignAgents keeps count of what is assigned to each agent as it writes: counting it for each decision costs more than all the rest. The
// placements of the stacks and the agents are locked by then, so that nobody else changes the state of these assignments but who
// acknowledges a removal, which is not counted before or after.
const assignAgents = `WITH c AS (
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[])
			AS c (agent_id, stack_id, object_id, state, reason, variant, traceparent, since, treatment)),
	more AS (
		SELECT c.agent_id, sum((c.state = 'assigned')::int - COALESCE(x.state = 'assigned', false)::int) AS n,
			COALESCE(bit_xor(` + idBits + `) FILTER (WHERE (c.state = 'assigned') <> COALESCE(x.state = 'assigned', false)), 0) AS ids
		FROM c LEFT JOIN assignments x ON x.agent_id = c.agent_id AND x.stack_id = c.stack_id GROUP BY c.agent_id),
	grown AS (
		INSERT INTO agent_revisions AS r (agent_id, revision, assigned, assigned_ids, counted_in)
		SELECT more.agent_id, m.now, more.n, more.ids, m.now FROM more, (SELECT ` + thisMoment + ` AS now) AS m ORDER BY more.agent_id
		ON CONFLICT (agent_id) DO UPDATE SET revision = GREATEST(r.revision + 1, EXCLUDED.revision), counted_in = GREATEST(r.revision + 1, EXCLUDED.revision),
			assigned = CASE WHEN r.counted_in = r.revision THEN r.assigned + EXCLUDED.assigned END,
			assigned_ids = CASE WHEN r.counted_in = r.revision THEN r.assigned_ids # EXCLUDED.assigned_ids END
		RETURNING r.agent_id, r.revision, r.assigned, r.assigned_ids),
	put AS (
		INSERT INTO assignments AS x (agent_id, stack_id, object_id, variant, treatment, state, revision, reason, traceparent, since, placed)
		SELECT g.agent_id, c.stack_id, c.object_id, decode(nullif(c.variant, ''), 'hex'), nullif(c.treatment, '')::jsonb, c.state, g.revision, c.reason, c.traceparent, c.since, c.since
		FROM c JOIN grown g ON g.agent_id = c.agent_id
		ON CONFLICT (agent_id, stack_id) DO UPDATE SET
			object_id = EXCLUDED.object_id, variant = EXCLUDED.variant, treatment = EXCLUDED.treatment, state = EXCLUDED.state, revision = EXCLUDED.revision, reason = EXCLUDED.reason,
			traceparent = EXCLUDED.traceparent, since = EXCLUDED.since,
			placed = CASE WHEN x.state = EXCLUDED.state THEN COALESCE(x.placed, x.since) ELSE EXCLUDED.placed END)
	SELECT agent_id, revision, assigned, assigned_ids FROM grown`

// recountAgents counts anew where nobody has kept count.
const recountAgents = `UPDATE agent_revisions r SET (assigned, assigned_ids) = (
		SELECT count(*), COALESCE(bit_xor(` + idBits + `), 0) FROM assignments c WHERE c.agent_id = r.agent_id AND c.state = 'assigned')
	WHERE r.agent_id = ANY ($1::uuid[]) RETURNING r.agent_id, r.revision, r.assigned, r.assigned_ids`

// grownRow is an agent with its new revision, and what is assigned to it in it.
type grownRow struct {
	revisionRow
	Assigned *int   `db:"assigned"`
	IDs      *int64 `db:"assigned_ids"`
}

// assign writes the changes and returns the agents that they are about.
func (s session) assign(ctx context.Context, changes []changeRow) (map[agent.ID]grownRow, error) {
	if len(changes) == 0 {
		return map[agent.ID]grownRow{}, nil
	}
	treatments := make([]string, len(changes))
	for i, ch := range changes {
		var err error
		if treatments[i], err = treatmentText(ch.Treatment); err != nil {
			return nil, err
		}
	}
	rows, err := many[grownRow](ctx, s, "write assignments", assignAgents,
		column(changes, func(ch changeRow) string { return string(ch.Agent) }),
		column(changes, func(ch changeRow) string { return string(ch.Stack) }),
		column(changes, func(ch changeRow) string { return string(ch.Object) }),
		column(changes, func(ch changeRow) string { return string(ch.State) }),
		column(changes, func(ch changeRow) string { return printable(ch.Reason) }),
		column(changes, func(ch changeRow) string { return string(ch.Variant) }),
		column(changes, func(ch changeRow) string { return ch.Traceparent }),
		column(changes, func(ch changeRow) time.Time { return ch.At }), pq.Array(treatments))
	if err != nil {
		return nil, err
	}
	grown := make(map[agent.ID]grownRow, len(rows))
	var unknown []agent.ID
	for _, row := range rows {
		grown[row.Agent] = row
		if row.Assigned == nil || row.IDs == nil {
			unknown = append(unknown, row.Agent)
		}
	}
	if len(unknown) == 0 {
		return grown, nil
	}
	if rows, err = many[grownRow](ctx, s, "count assignments of agents", recountAgents, uids(unknown)); err != nil {
		return nil, err
	}
	for _, row := range rows {
		grown[row.Agent] = row
	}
	return grown, nil
}

// checkRooms looks at what is assigned where room is given away. The revisions of the agents have grown by then in this transaction,
// so that whoever else changes what is assigned there waits for its end, or was waited for and is counted. Which stacks these are is read only
// where they are too many for all of them to be unknown, and are not those that are known.
func (s session) checkRooms(ctx context.Context, grown map[agent.ID]grownRow, commits []ports.Commit) error {
	var unsure []ports.Room
	for _, c := range commits {
		for _, r := range c.Rooms {
			there, changed := grown[r.Agent]
			if !changed {
				return fault.Newf(fault.Invalid, "invalid_decision", "the decision gives room of agent %s, which it does not change", r.Agent)
			}
			if *there.Assigned <= r.Spare {
				continue
			}
			ids, err := bitsOf(r.Stacks)
			if err != nil {
				return err
			}
			if ids != *there.IDs {
				unsure = append(unsure, r)
			}
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	return s.checkUnknown(ctx, unsure)
}

const assignedTo = `SELECT agent_id, stack_id FROM assignments WHERE agent_id = ANY ($1::uuid[]) AND state = 'assigned'`

// checkUnknown counts the stacks of which the rooms do not know.
func (s session) checkUnknown(ctx context.Context, rooms []ports.Room) error {
	agents := make([]agent.ID, len(rooms))
	for i, r := range rooms {
		agents[i] = r.Agent
	}
	rows, err := many[struct {
		Agent agent.ID `db:"agent_id"`
		Stack stack.ID `db:"stack_id"`
	}](ctx, s, "read what is assigned to agents", assignedTo, uids(agents))
	if err != nil {
		return err
	}
	assigned := map[agent.ID][]stack.ID{}
	for _, row := range rows {
		assigned[row.Agent] = append(assigned[row.Agent], row.Stack)
	}
	for _, r := range rooms {
		unknown := make(map[stack.ID]bool, len(assigned[r.Agent]))
		for _, id := range assigned[r.Agent] {
			unknown[id] = true
		}
		for _, id := range r.Stacks {
			delete(unknown, id)
		}
		if len(unknown) > r.Spare {
			return stale("what is assigned to agent", r.Agent)
		}
	}
	return nil
}
