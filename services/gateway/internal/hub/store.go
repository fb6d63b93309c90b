package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// askLimit bounds one question to the store.
const askLimit = 5 * time.Second

// countLimit bounds the count of what waits beside stacks: target states do not wait longer for it.
const countLimit = time.Second

// Reading is a question to the store that has begun; it orders the answer among others and among signals.
type Reading struct {
	stamp, gen int64
	at         time.Time
}

type answer struct {
	revision delivery.Revision
	err      error
}

// Begin notes that the store is about to be read.
func (h *Hub) Begin() Reading {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begin()
}

func (h *Hub) begin() Reading {
	h.clock++
	return Reading{stamp: h.clock, gen: h.gen, at: h.now()}
}

// Observe takes the revision of a that the store gave in reading r. It decides, also downwards, unless a signal or a
// later reading told more meanwhile.
func (h *Hub) Observe(r Reading, a agent.ID, revision delivery.Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observe(r, h.entry(a), revision)
}

func (h *Hub) observe(r Reading, e *entry, revision delivery.Revision) int {
	switch {
	case e.stamp <= r.stamp:
		e.revision, e.stamp = revision, r.stamp
	case revision > e.revision:
		e.revision = revision
	}
	if e.asked < r.stamp {
		e.verified, e.gen, e.asked = r.at, r.gen, r.stamp
	}
	return h.wakeChanged(e)
}

// Confirm asks the store for the revision of a. Questions that come together are one statement.
func (h *Hub) Confirm(ctx context.Context, a agent.ID) (delivery.Revision, error) {
	c := make(chan answer, 1)
	h.mu.Lock()
	h.asking[a] = append(h.asking[a], c)
	if !h.running {
		h.running = true
		go h.ask(context.WithoutCancel(ctx))
	}
	h.mu.Unlock()
	select {
	case got := <-c:
		return got.revision, got.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ask answers questions until there are none; what comes during one statement shares the next.
func (h *Hub) ask(ctx context.Context) {
	for {
		h.mu.Lock()
		asking := h.asking
		if len(asking) == 0 {
			h.running = false
			h.mu.Unlock()
			return
		}
		h.asking = map[agent.ID][]chan answer{}
		r := h.begin()
		h.mu.Unlock()

		ids := make([]agent.ID, 0, len(asking))
		for a := range asking {
			ids = append(ids, a)
		}
		revisions, _, err := h.read(ctx, r, ids)
		for a, waiting := range asking {
			for _, c := range waiting {
				c <- answer{revision: revisions[a], err: err}
			}
		}
	}
}

// read asks for the revisions of ids, and for their work, and observes both; it returns the revisions as the hub then knows
// them, and how many parked syncs were woken. Work that cannot be counted is asked for again and delays no revision.
func (h *Hub) read(ctx context.Context, r Reading, ids []agent.ID) (map[agent.ID]delivery.Revision, int, error) {
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	stored, err := h.assignments.Revisions(limited, ids)
	if err != nil {
		return nil, 0, fmt.Errorf("read the revisions of %d agents: %w", len(ids), err)
	}
	counting, end := context.WithTimeout(ctx, countLimit)
	defer end()
	pending, workErr := h.works.Pending(counting, ids, h.now())
	h.mu.Lock()
	defer h.mu.Unlock()
	out, woken := make(map[agent.ID]delivery.Revision, len(ids)), 0
	for _, a := range ids {
		e := h.entry(a)
		woken += h.observe(r, e, stored[a])
		out[a] = e.revision
		if workErr == nil {
			woken += h.counted(e, pending[a])
		}
	}
	if workErr != nil {
		h.ringAgain(ids)
	}
	return out, woken, nil
}

// Sweep compares all parked syncs with the store in one statement and forgets agents that have not been here for
// long. It returns how many agents it asked for and how many syncs it woke: those whose signal was missed.
func (h *Hub) Sweep(ctx context.Context) (asked, woken int, err error) {
	h.mu.Lock()
	now := h.now()
	ids := make([]agent.ID, 0, len(h.agents))
	for a, e := range h.agents {
		switch {
		case len(e.waiters) > 0:
			ids = append(ids, a)
		case now.Sub(e.seen) > forgetAfter:
			delete(h.agents, a)
		}
	}
	r := h.begin()
	h.mu.Unlock()
	if len(ids) == 0 {
		return 0, 0, nil
	}
	_, woken, err = h.read(ctx, r, ids)
	return len(ids), woken, err
}
