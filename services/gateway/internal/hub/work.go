package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// rung are the announcements of work that the store has not been asked about yet.
type rung struct {
	agents map[agent.ID]bool
	all    bool
}

// news reports whether an agent that was told of work up to the mark should be told again. Work that is announced counts
// whatever its mark, because transactions may commit in another order than they began. An agent that cannot take what
// waits knows its mark, so it is left in peace.
func (e *entry) news(told *int64) bool {
	return told != nil && e.pending.Any() && (e.rang || e.pending.Mark > *told)
}

// News reports whether work waits for a that it was not told of. It says so without asking the store.
func (h *Hub) News(a agent.ID, told *int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.agents[a]
	return ok && e.news(told)
}

// Tell returns what waits for a, as far as it is known here. The caller tells the agent.
func (h *Hub) Tell(a agent.ID) ports.Pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.agents[a]
	if !ok {
		return ports.Pending{}
	}
	e.rang = false
	return e.pending
}

// Ring takes the news that there is new work for a; for anybody if a is empty. Count then asks the store.
func (h *Hub) Ring(a agent.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a == "" {
		h.rung.all = true
	} else if _, ok := h.agents[a]; ok {
		h.rung.agents[a] = true
	}
}

func (h *Hub) ringAgain(ids []agent.ID) {
	for _, a := range ids {
		if _, ok := h.rung.agents[a]; !ok {
			h.rung.agents[a] = false
		}
	}
}

// Count asks the store, in one statement, what waits for the agents for which there was a ring, and wakes the parked syncs
// of those that have new work. It returns how many it woke.
func (h *Hub) Count(ctx context.Context) (int, error) {
	h.mu.Lock()
	asked := h.rung
	h.rung = rung{agents: map[agent.ID]bool{}}
	ids := slices.Collect(maps.Keys(asked.agents))
	if asked.all {
		ids = slices.Collect(maps.Keys(h.agents))
	}
	h.mu.Unlock()
	if len(ids) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	pending, err := h.works.Pending(ctx, ids, h.now())
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.rung.all = h.rung.all || asked.all
		for a, named := range asked.agents {
			h.rung.agents[a] = named || h.rung.agents[a]
		}
		return 0, fmt.Errorf("count the work of %d agents: %w", len(ids), err)
	}
	woken := 0
	for _, a := range ids {
		e, ok := h.agents[a]
		if !ok {
			continue
		}
		e.rang = e.rang || asked.agents[a]
		woken += h.counted(e, pending[a])
	}
	return woken, nil
}

// counted takes what the store says of an agent's work.
func (h *Hub) counted(e *entry, p ports.Pending) int {
	e.pending = p
	if !p.Any() {
		e.rang = false
		return 0
	}
	n := 0
	for _, w := range slices.Clone(e.waiters) {
		if e.news(w.ticket.Work) {
			h.wake(e, w, Work)
			n++
		}
	}
	return n
}
