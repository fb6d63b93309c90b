package gateway_test

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func away() error { return fault.New(fault.Unavailable, "unavailable", "away") }

// cutSignals are signals whose line can be cut: publishing fails, or succeeds and reaches nobody.
type cutSignals struct {
	ports.Signals
	fails  atomic.Bool
	silent atomic.Bool
}

func (s *cutSignals) Publish(ctx context.Context, batch []ports.Signal) error {
	if s.fails.Load() {
		return away()
	}
	if s.silent.Load() {
		return nil
	}
	return s.Signals.Publish(ctx, batch)
}

// badCache fails, hangs until its context ends, or lies about its revision.
type badCache struct {
	ports.TargetCache
	mode  atomic.Value // "", "fails", "hangs"
	asked atomic.Int64
}

func (c *badCache) trouble(ctx context.Context) error {
	c.asked.Add(1)
	switch c.mode.Load() {
	case "fails":
		return away()
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	default:
		return nil
	}
}

func (c *badCache) Get(ctx context.Context, a agent.ID, r delivery.Revision) ([]byte, bool, error) {
	if err := c.trouble(ctx); err != nil {
		return nil, false, err
	}
	return c.TargetCache.Get(ctx, a, r)
}

func (c *badCache) Put(ctx context.Context, a agent.ID, r delivery.Revision, b []byte) error {
	if err := c.trouble(ctx); err != nil {
		return err
	}
	return c.TargetCache.Put(ctx, a, r, b)
}

// controlledWakeups are told by the test.
type controlledWakeups struct {
	mu   sync.Mutex
	subs []chan ports.Wakeup
}

func (c *controlledWakeups) Listen(ctx context.Context, _ ...string) (<-chan ports.Wakeup, error) {
	in, out := make(chan ports.Wakeup, 16), make(chan ports.Wakeup)
	c.mu.Lock()
	c.subs = append(c.subs, in)
	c.mu.Unlock()
	in <- ports.Wakeup{Lost: true}
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case w := <-in:
				select {
				case out <- w:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

func (c *controlledWakeups) tell(w ports.Wakeup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		s <- w
	}
}

// gatedStore counts the questions for revisions, and can be taken away.
type gatedStore struct {
	ports.Store
	revisions atomic.Int64
	down      atomic.Bool
}

func (s *gatedStore) Assignments() ports.Assignments {
	return gatedAssignments{s.Store.Assignments(), s}
}

type gatedAssignments struct {
	ports.Assignments
	s *gatedStore
}

func (a gatedAssignments) Revisions(ctx context.Context, ids []agent.ID) (map[agent.ID]delivery.Revision, error) {
	a.s.revisions.Add(1)
	if a.s.down.Load() {
		return nil, away()
	}
	return a.Assignments.Revisions(ctx, ids)
}

// memorySignals are a line of their own: nobody else is on it.
func memorySignals() ports.Signals { return memory.NewSignals() }

func noKey() pak.PAK { return pak.PAK{} }
