package memory

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Channels implements ports.Channels within one process. Use NewChannels.
type Channels struct {
	now      func() time.Time
	mu       sync.Mutex
	gateways map[string]*gateway
}

type gateway struct {
	until time.Time
	since map[agent.ID]time.Time
}

var _ ports.Channels = (*Channels)(nil)

// NewChannels returns one that knows of no gateway.
func NewChannels(now func() time.Time) *Channels {
	return &Channels{now: now, gateways: map[string]*gateway{}}
}

// forget drops gateways that have gone silent.
func (c *Channels) forget() {
	now := c.now()
	maps.DeleteFunc(c.gateways, func(_ string, g *gateway) bool { return !now.Before(g.until) })
}

// Announce implements ports.Channels.
func (c *Channels) Announce(ctx context.Context, name string, n ports.Announcement) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	g := c.gateways[name]
	if g == nil || n.Whole {
		g = &gateway{since: map[agent.ID]time.Time{}}
		c.gateways[name] = g
	}
	g.until = c.now().Add(n.For)
	for _, a := range n.Closed {
		delete(g.since, a)
	}
	for a, at := range n.Opened {
		g.since[a] = micro(at)
	}
	return len(g.since), nil
}

// Withdraw implements ports.Channels.
func (c *Channels) Withdraw(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.gateways, name)
	return nil
}

// Since implements ports.Channels.
func (c *Channels) Since(ctx context.Context, agents []agent.ID) (map[agent.ID]time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	out := map[agent.ID]time.Time{}
	for _, g := range c.gateways {
		for _, a := range agents {
			if at, open := g.since[a]; open {
				earliest(out, a, at)
			}
		}
	}
	return out, nil
}

func earliest(out map[agent.ID]time.Time, a agent.ID, at time.Time) {
	if known, ok := out[a]; !ok || at.Before(known) {
		out[a] = at
	}
}
