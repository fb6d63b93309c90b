package api

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// channels tells who is connected as well as can be told: while that is not known the fleet is shown as not connected, and the
// log says why. The rest of the view needs no cache.
type channels struct {
	port    ports.Channels // nil: there is no gateway that could tell
	log     *slog.Logger
	failing atomic.Bool
}

// probe reports whether it can be told who is connected, for health.
func (c *channels) probe(ctx context.Context) error {
	if c.port == nil {
		return nil
	}
	_, err := c.port.Since(ctx, []agent.ID{agent.ID(uuid.Nil.String())})
	return err
}

// since returns since when these agents are connected.
func (c *channels) since(ctx context.Context, agents []agent.ID) map[agent.ID]time.Time {
	if c.port == nil || len(agents) == 0 {
		return nil
	}
	out, err := c.port.Since(ctx, agents)
	switch {
	case err != nil && ctx.Err() == nil && !c.failing.Swap(true):
		c.log.WarnContext(ctx, "who is connected is not known; the fleet view shows agents as not connected", "error", err.Error())
	case err == nil && c.failing.Swap(false):
		c.log.InfoContext(ctx, "who is connected is known again")
	}
	return out
}
