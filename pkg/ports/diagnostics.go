package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Diagnostics are questions to agents, with their answers. All sees every one, an agent's scope those that it is asked; a
// generator's scope sees none.
type Diagnostics interface {
	// Insert stores a pending request; its Stack is that of its object. Agent and object must be live (else NotFound, with their codes).
	Insert(ctx context.Context, r diagnostic.Request) error
	// Get returns a request, with the answer if there is one; NotFound, code diagnostic_not_found.
	Get(ctx context.Context, scope tenancy.Scope, id diagnostic.ID) (diagnostic.Request, *diagnostic.Result, error)
	// Open returns the requests that the agent may claim at now (diagnostic.Request.Open), oldest first, at most limit.
	Open(ctx context.Context, a agent.ID, now time.Time, limit int) ([]diagnostic.Request, error)
	// Move stores the status and the moments of next if the request is still as was says, with the answer if there is one;
	// else it is a Conflict (code conflict), and nothing is stored.
	Move(ctx context.Context, was, next diagnostic.Request, answer *diagnostic.Result) error
	// Trim deletes requests that are forgotten at now (diagnostic.Request.Forgotten), with their answers, at most limit, and returns
	// how many.
	Trim(ctx context.Context, now time.Time, limit int) (int, error)
}
