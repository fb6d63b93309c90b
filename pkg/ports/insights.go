package ports

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Insights answer an operator's questions about many agents at once. Each method is one statement, however large the fleet is.
type Insights interface {
	// Healths returns what the agents to which the stack is assigned last said of the health of one of its objects, by
	// sequence descending, then agent id. Tombstones have none.
	Healths(ctx context.Context, s stack.ID) ([]delivery.HealthRecord, error)
	// Fleet returns the records of the live agents that scope sees, by name, then cluster; only of these if ids is not nil.
	Fleet(ctx context.Context, scope tenancy.Scope, ids []agent.ID) ([]fleet.Record, error)
	// Event returns an agent's event; NotFound, code agent_event_not_found, if there is none.
	Event(ctx context.Context, id agent.EventID) (agent.Event, error)
	// Feed returns a page of all agents' events about objects that scope sees, as agent.EventList says. An agent's scope sees
	// its own events. Events that are added meanwhile are never in later pages of the newest first.
	Feed(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Event], error)
}
