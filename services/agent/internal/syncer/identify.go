package syncer

import (
	"context"
	"log/slog"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Directory knows whose key this process has. Errors are of package fault, or the context's.
type Directory interface {
	WhoAmI(ctx context.Context) (agent.ID, error)
}

// Identify asks until the broker answers. It fails at once with Unauthenticated or Forbidden for a key that is no
// agent's: a process that has just begun keeps nothing in order that its end would hurt, and nobody overlooks it.
func Identify(ctx context.Context, d Directory, log *slog.Logger) (agent.ID, error) {
	waiting := trouble{log: log, what: "waiting for the broker"}
	var wait backoff
	for {
		id, err := d.WhoAmI(ctx)
		switch {
		case err == nil:
			waiting.over(ctx)
			return id, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case fault.Is(err, fault.Unauthenticated), fault.Is(err, fault.Forbidden):
			return "", err
		}
		waiting.note(ctx, err)
		sleep(ctx, wait.after(err))
	}
}
