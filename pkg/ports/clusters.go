package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Clusters are what agents report of their clusters and what operators say of them. What placement can see of it grows the
// agent's version when it changes, and only then. All of it goes with the agent.
type Clusters interface {
	// Known returns what is known of the clusters of these live agents that scope sees, of all of them if ids is nil. One of
	// which nothing is known has the zero Known.
	Known(ctx context.Context, scope tenancy.Scope, ids []agent.ID) (map[agent.ID]cluster.Known, error)
	// Report stores what the agent tells of its cluster, a Normal status, and says whether that differs from what is stored.
	// A status that is the same only moves ReportedAt.
	Report(ctx context.Context, a agent.ID, s cluster.Status, at time.Time) (bool, error)
	// Taint stores a taint as cluster.Tainted says and reports whether that changed anything.
	Taint(ctx context.Context, a agent.ID, t cluster.Taint) (bool, error)
	// Untaint removes a taint; NotFound, code agent_taint_not_found, if there is none.
	Untaint(ctx context.Context, a agent.ID, key string, e cluster.Effect) error
	// Cordon stores c; nil ends a cordon, and a drain with it. It reports whether that changed anything: a cordon that stands
	// is left as it is.
	Cordon(ctx context.Context, a agent.ID, c *cluster.Cordon) (bool, error)
}

// Drains empty clusters step by step.
type Drains interface {
	// Start stores a drain and cordons the cluster unless it is. One that runs keeps its beginning and what it has released,
	// and gets the new budget, reason and author. It reports whether anything changed.
	Start(ctx context.Context, a agent.ID, d cluster.Drain) (bool, error)
	// End ends the drain and leaves the cordon; it reports whether there was one.
	End(ctx context.Context, a agent.ID) (bool, error)
	// Running returns the drains of live agents.
	Running(ctx context.Context) (map[agent.ID]cluster.Drain, error)
	// Release notes that these stacks must go now; those that are released already keep their time. Without a drain it is
	// NotFound, code drain_not_found.
	Release(ctx context.Context, a agent.ID, stacks []stack.ID, at time.Time) error
}

// Reachability marks agents that fall silent. Time is the store's own clock.
type Reachability interface {
	// Silence says who has not been heard for longer than after. An agent that was never heard is not counted.
	Silence(ctx context.Context, after time.Duration) (cluster.Silence, error)
	// Lose marks those of the agents that are still silent and not marked, since their last heartbeat; Find takes the mark
	// from those that are heard again. Both grow the versions of the agents that they return, and change no others.
	Lose(ctx context.Context, agents []agent.ID, after time.Duration) ([]agent.ID, error)
	Find(ctx context.Context, agents []agent.ID, after time.Duration) ([]agent.ID, error)
}
