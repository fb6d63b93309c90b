// Package beat buffers heartbeats, so that a fleet costs one statement every few seconds and not one a request.
package beat

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	every = 2 * time.Second
	limit = 5 * time.Second // of one flush
)

// Buffer holds the newest heartbeat of each agent's process until it is flushed, of an agent with many processes those of the
// agent.KeptBoots that were heard last: whoever names another process each time makes it no longer. It is safe for concurrent use.
type Buffer struct {
	agents  ports.Agents
	log     *slog.Logger
	flushed func(n int)

	mu      sync.Mutex
	pending map[agent.ID][]agent.Heartbeat // by process, the one that was heard last at the end
}

// New returns an empty buffer; flushed is told how many heartbeats each flush stored.
func New(agents ports.Agents, log *slog.Logger, flushed func(n int)) *Buffer {
	return &Buffer{agents: agents, log: log, flushed: flushed, pending: map[agent.ID][]agent.Heartbeat{}}
}

// Add notes a heartbeat. What it leaves out stays as an earlier one said.
func (b *Buffer) Add(h agent.Heartbeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(h)
}

func (b *Buffer) add(h agent.Heartbeat) {
	list := b.pending[h.Agent]
	if i := slices.IndexFunc(list, func(o agent.Heartbeat) bool { return o.Boot == h.Boot }); i >= 0 {
		old := list[i]
		list = slices.Delete(list, i, i+1)
		if old.At.After(h.At) {
			old, h = h, old
		}
		if h.K8sReachable == nil {
			h.K8sReachable = old.K8sReachable
		}
		if h.K8sLatencyMS == nil {
			h.K8sLatencyMS = old.K8sLatencyMS
		}
	}
	at, _ := slices.BinarySearchFunc(list, h.At, func(o agent.Heartbeat, at time.Time) int { return cmp.Or(o.At.Compare(at), -1) })
	list = slices.Insert(list, at, h)
	b.pending[h.Agent] = list[max(0, len(list)-agent.KeptBoots):]
}

// Pending returns how many heartbeats wait.
func (b *Buffer) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, list := range b.pending {
		n += len(list)
	}
	return n
}

// Flush stores what waits in one statement; on an error it is kept for the next one.
func (b *Buffer) Flush(ctx context.Context) error {
	b.mu.Lock()
	taken := b.pending
	b.pending = make(map[agent.ID][]agent.Heartbeat, len(taken))
	b.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	beats := make([]agent.Heartbeat, 0, len(taken))
	for _, list := range taken {
		beats = append(beats, list...)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := b.agents.Beat(ctx, beats); err != nil {
		b.mu.Lock()
		for _, h := range beats {
			b.add(h)
		}
		b.mu.Unlock()
		return fmt.Errorf("store %d heartbeats: %w", len(beats), err)
	}
	b.flushed(len(beats))
	return nil
}

// Run flushes every two seconds until ctx ends, and then once more.
func (b *Buffer) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return b.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
		}
		err := b.Flush(ctx)
		switch {
		case err != nil && ctx.Err() == nil && !failing:
			failing = true
			b.log.WarnContext(ctx, "heartbeats are not stored; they are kept", "error", err.Error())
		case err == nil && failing:
			failing = false
			b.log.InfoContext(ctx, "heartbeats are stored again")
		}
	}
}
