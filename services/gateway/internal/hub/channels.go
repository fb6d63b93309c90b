package hub

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// between is how long an agent that has just been answered is still taken as connected: it comes back with its next sync.
const between = 10 * time.Second

// open reports whether the agent has a sync parked, or had one a moment ago.
func (e *entry) open(now time.Time) bool {
	return len(e.waiters) > 0 || (!e.left.IsZero() && now.Sub(e.left) < between)
}

// parks notes that a sync of the agent parks.
func (e *entry) parks(now time.Time) {
	if !e.open(now) {
		e.since = now
	}
	e.left = now
}

// returns notes that the agent is here, if it is connected.
func (e *entry) returns(now time.Time) {
	if e.open(now) {
		e.left = now
	}
}

// Connected returns since when agents have parked their syncs here without a gap.
func (h *Hub) Connected() map[agent.ID]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, out := h.now(), map[agent.ID]time.Time{}
	if h.draining {
		return out
	}
	for a, e := range h.agents {
		if e.open(now) {
			out[a] = e.since
		}
	}
	return out
}
