// Package beat buffers heartbeats, so that a fleet costs one statement every few seconds and not one a request.
package beat

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	every = 2 * time.Second
	limit = 5 * time.Second // of one flush
)

// process is one process of an agent; there should be one, and the store notices when there are more.
type process struct {
	agent agent.ID
	boot  string
}

// Buffer holds the newest heartbeat of each agent's process until it is flushed. It is safe for concurrent use.
type Buffer struct {
	agents  ports.Agents
	log     *slog.Logger
	flushed func(n int)

	mu      sync.Mutex
	pending map[process]agent.Heartbeat
}

// New returns an empty buffer; flushed is told how many heartbeats each flush stored.
func New(agents ports.Agents, log *slog.Logger, flushed func(n int)) *Buffer {
	return &Buffer{agents: agents, log: log, flushed: flushed, pending: map[process]agent.Heartbeat{}}
}

// Add notes a heartbeat. What it leaves out stays as an earlier one said.
func (b *Buffer) Add(h agent.Heartbeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(h)
}

func (b *Buffer) add(h agent.Heartbeat) {
	key := process{h.Agent, h.Boot}
	old, ok := b.pending[key]
	if ok {
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
	b.pending[key] = h
}

// Pending returns how many heartbeats wait.
func (b *Buffer) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// Flush stores what waits in one statement; on an error it is kept for the next one.
func (b *Buffer) Flush(ctx context.Context) error {
	b.mu.Lock()
	taken := b.pending
	b.pending = make(map[process]agent.Heartbeat, len(taken))
	b.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	beats := make([]agent.Heartbeat, 0, len(taken))
	for _, h := range taken {
		beats = append(beats, h)
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
