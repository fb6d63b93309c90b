package memory

import (
	"container/list"
	"context"
	"slices"
	"sync"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// TargetCache implements ports.TargetCache within one process: one entry an agent, the least recently
// used ones go when the bytes run out. Use NewTargetCache.
type TargetCache struct {
	max     int64
	mu      sync.Mutex
	used    int64
	recent  *list.List // of *cached, most recently used first
	entries map[agent.ID]*list.Element
}

type cached struct {
	agent    agent.ID
	revision delivery.Revision
	encoded  []byte
}

// entryOverhead is about what an entry costs besides its content, in bytes.
const entryOverhead = 160

func (c *cached) size() int64 { return int64(len(c.encoded)) + entryOverhead }

var _ ports.TargetCache = (*TargetCache)(nil)

// NewTargetCache returns an empty cache of at most maxBytes, bookkeeping included.
func NewTargetCache(maxBytes int64) *TargetCache {
	return &TargetCache{max: maxBytes, recent: list.New(), entries: map[agent.ID]*list.Element{}}
}

// Revisions implements ports.TargetCache; asking is not using.
func (t *TargetCache) Revisions(ctx context.Context, agents []agent.ID) (map[agent.ID]delivery.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[agent.ID]delivery.Revision, len(agents))
	for _, a := range agents {
		if e, ok := t.entries[a]; ok {
			out[a] = entry(e).revision
		}
	}
	return out, nil
}

// Get implements ports.TargetCache.
func (t *TargetCache) Get(ctx context.Context, a agent.ID, r delivery.Revision) ([]byte, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entries[a]
	if !ok || entry(e).revision != r {
		return nil, false, nil
	}
	t.recent.MoveToFront(e)
	return slices.Clone(entry(e).encoded), true, nil
}

// Put implements ports.TargetCache. What alone is larger than the cache is not kept.
func (t *TargetCache) Put(ctx context.Context, a agent.ID, r delivery.Revision, encoded []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.entries[a]; ok {
		if entry(e).revision > r {
			return nil
		}
		t.forget(e)
	}
	c := &cached{agent: a, revision: r, encoded: slices.Clone(encoded)}
	if c.size() > t.max {
		return nil
	}
	for t.used+c.size() > t.max {
		t.forget(t.recent.Back())
	}
	t.entries[a] = t.recent.PushFront(c)
	t.used += c.size()
	return nil
}

// Flush implements ports.TargetCache.
func (t *TargetCache) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = 0
	t.recent.Init()
	clear(t.entries)
	return nil
}

func (t *TargetCache) forget(e *list.Element) {
	c := entry(e)
	t.recent.Remove(e)
	delete(t.entries, c.agent)
	t.used -= c.size()
}

func entry(e *list.Element) *cached {
	return e.Value.(*cached) //nolint:forcetypeassert // the list holds nothing else
}
