package ports

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// Signal tells gateways that an agent's target state has a new revision.
type Signal struct {
	Agent    agent.ID          `json:"agent_id"`
	Revision delivery.Revision `json:"revision"`
}

// Signals carry news from schedulers to gateways. They only save time; any of them may be lost or repeated.
type Signals interface {
	// Publish sends signals, batched; Unavailable if they could not be sent.
	Publish(ctx context.Context, signals []Signal) error
	// Subscribe delivers batches until ctx ends; then the channel is closed. A nil batch says that signals may have been
	// lost (a new connection): look at everything. It reconnects by itself, and the first value is a nil batch. A
	// slow reader loses batches, never blocks others, and is told by a nil batch.
	Subscribe(ctx context.Context) (<-chan []Signal, error)
}

// TargetCache keeps agents' target states outside Postgres. It may forget anything at any time. Errors mean "as if
// empty" to the caller, within the caller's deadline.
type TargetCache interface {
	// Revisions returns the newest known revisions of these agents; unknown ones are absent.
	Revisions(ctx context.Context, agents []agent.ID) (map[agent.ID]delivery.Revision, error)
	// Get returns the encoded target state of the agent at exactly this revision; false if it is not there.
	Get(ctx context.Context, a agent.ID, r delivery.Revision) ([]byte, bool, error)
	// Put stores the encoded target state; an older revision never replaces a newer one.
	Put(ctx context.Context, a agent.ID, r delivery.Revision, encoded []byte) error
	// Flush forgets everything of this product.
	Flush(ctx context.Context) error
}
