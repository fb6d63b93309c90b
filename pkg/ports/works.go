package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Pending is the work besides stacks that an agent could take now.
type Pending struct {
	WorkOrders  int
	Diagnostics int
	Webhooks    int
	// Mark tells newer work from older: the moment at which the newest piece of it could first be taken, in
	// microseconds since 1970.
	Mark int64
}

// Any reports whether there is work at all.
func (p Pending) Any() bool { return p.WorkOrders+p.Diagnostics+p.Webhooks > 0 }

// Works tells what waits for agents besides their stacks. Each kind of work is kept by a role of its own, and adds its
// count here.
type Works interface {
	// Pending counts what each of these agents could take at now, in one statement. Agents for which nothing waits are
	// absent.
	Pending(ctx context.Context, agents []agent.ID, now time.Time) (map[agent.ID]Pending, error)
	// Ring announces on WorkGrew, when the transaction commits, that there is new work for these agents. Without
	// agents, or with more than RingAtMost of them, it names none: the work is for several.
	Ring(ctx context.Context, agents ...agent.ID) error
}

// RingAtMost is how many agents are named one by one.
const RingAtMost = 16
