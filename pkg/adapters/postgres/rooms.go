package postgres

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const stacksThere = `SELECT agent_id, count(*) AS stacks FROM assignments WHERE agent_id = ANY ($1::uuid[]) AND state = 'assigned' GROUP BY agent_id`

// checkRooms looks at what is assigned where room is given away. The revisions of the agents have grown by then in this transaction,
// so that whoever else changes what is assigned there waits for its end, or was waited for and is seen.
func (s session) checkRooms(ctx context.Context, commits []ports.Commit) error {
	var agents []agent.ID
	for _, c := range commits {
		for _, r := range c.Rooms {
			agents = append(agents, r.Agent)
		}
	}
	if len(agents) == 0 {
		return nil
	}
	rows, err := many[struct {
		Agent  agent.ID `db:"agent_id"`
		Stacks int      `db:"stacks"`
	}](ctx, s, "count stacks of agents", stacksThere, uids(agents))
	if err != nil {
		return err
	}
	there := make(map[agent.ID]int, len(rows))
	for _, row := range rows {
		there[row.Agent] = row.Stacks
	}
	for _, c := range commits {
		for _, r := range c.Rooms {
			if there[r.Agent] > r.Stacks+r.Spare {
				return stale("what is assigned to agent", r.Agent)
			}
		}
	}
	return nil
}
