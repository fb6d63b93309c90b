// Package roster remembers which agents take part, so that an idle sync does not ask the store.
package roster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// trust is longer than the time between refreshes, so that only a failing store makes single look-ups.
const trust = 90 * time.Second

// Roster is safe for concurrent use. Agents that are not active are looked up each time: they call seldom, and
// their activation should be felt at once.
type Roster struct {
	agents ports.Agents
	now    func() time.Time

	mu      sync.Mutex
	active  map[agent.ID]time.Time // when the store said so
	changes int64                  // grows with each agent that is doubted, so that an answer of before does not count
	doubted map[agent.ID]struct{}  // since the last refresh began
}

// New returns an empty roster.
func New(agents ports.Agents, now func() time.Time) *Roster {
	return &Roster{agents: agents, now: now, active: map[agent.ID]time.Time{}, doubted: map[agent.ID]struct{}{}}
}

// Check returns nil if a takes part; Forbidden (agent_inactive) if it has not been activated, NotFound if there is none.
func (r *Roster) Check(ctx context.Context, a agent.ID) error {
	now := r.now()
	r.mu.Lock()
	at, ok := r.active[a]
	changes := r.changes
	r.mu.Unlock()
	if ok && now.Sub(at) < trust {
		return nil
	}
	found, err := r.agents.Get(ctx, tenancy.Scope{Agent: a}, a)
	if err != nil {
		return fmt.Errorf("look up agent %s: %w", a, err)
	}
	if found.Status != agent.Active {
		f := fault.Newf(fault.Forbidden, "agent_inactive",
			"agent %s is inactive, so it gets no work; an admin activates it with PUT /api/v1/agents/%s {\"status\":\"ACTIVE\"}", found.Name, a)
		f.RetryAfter = 5 * time.Second
		return f
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if changes == r.changes {
		r.active[a] = now
	}
	return nil
}

// Doubt forgets what is known of a, which has changed.
func (r *Roster) Doubt(a agent.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.doubted[a] = struct{}{}
	delete(r.active, a)
}

// Refresh asks for all agents in one statement and returns those that took part here and do so no more.
func (r *Roster) Refresh(ctx context.Context) ([]agent.ID, error) {
	at := r.now()
	r.mu.Lock()
	clear(r.doubted)
	r.mu.Unlock()
	all, err := r.agents.List(ctx, tenancy.Everything())
	if err != nil {
		return nil, fmt.Errorf("list the agents: %w", err)
	}
	active := make(map[agent.ID]time.Time, len(all))
	for _, a := range all {
		if a.Status == agent.Active {
			active[a.ID] = at
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for a := range r.doubted { // while the list was read
		delete(active, a)
	}
	var gone []agent.ID
	for a, since := range r.active {
		if _, ok := active[a]; ok {
			continue
		}
		if since.After(at) { // activated while the list was read
			active[a] = since
			continue
		}
		gone = append(gone, a)
	}
	r.active = active
	return gone, nil
}
