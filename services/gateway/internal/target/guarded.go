package target

import (
	"context"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	cacheLimit = 100 * time.Millisecond // of one question to the cache
	cacheRest  = 5 * time.Second        // after a failure it is left alone
)

// guarded bounds what a cache may cost: a slow answer is no answer, and after one the cache is not asked for a while.
type guarded struct {
	cache ports.TargetCache
	now   func() time.Time

	mu    sync.Mutex
	until time.Time // closed before this
	trial bool      // one caller tries whether it works again
}

// enter reports whether the cache may be asked.
func (g *guarded) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until.IsZero() {
		return true
	}
	if g.now().Before(g.until) || g.trial {
		return false
	}
	g.trial = true
	return true
}

func (g *guarded) leave(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trial = false
	g.until = time.Time{}
	if err != nil {
		g.until = g.now().Add(cacheRest)
	}
}

// failing reports whether the cache is left alone because it failed.
func (g *guarded) failing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.until.IsZero()
}

// get returns what the cache has; nil if nothing or if it may not be asked. The caller's own end is no failure of the cache.
func (g *guarded) get(ctx context.Context, a agent.ID, r delivery.Revision) ([]byte, error) {
	if !g.enter() {
		return nil, nil
	}
	limited, cancel := context.WithTimeout(ctx, cacheLimit)
	defer cancel()
	encoded, ok, err := g.cache.Get(limited, a, r)
	if ctx.Err() != nil {
		err = nil
	}
	g.leave(err)
	if err != nil || !ok {
		return nil, err
	}
	return encoded, nil
}

func (g *guarded) put(ctx context.Context, a agent.ID, r delivery.Revision, encoded []byte) error {
	if !g.enter() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, cacheLimit)
	defer cancel()
	err := g.cache.Put(limited, a, r, encoded)
	if ctx.Err() != nil {
		err = nil
	}
	g.leave(err)
	return err
}
