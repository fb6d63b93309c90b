package placement

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Waiting are the holds of stacks that wait for room in the fleet's window.
type Waiting map[stack.ID]*Hold

// Put makes the hold of s, if it waits for the window, what is known of its stack.
func (q Waiting) Put(s Subject) {
	if s.Hold != nil && s.Hold.Cause == HoldFleet {
		q[s.Stack] = s.Hold
	} else {
		delete(q, s.Stack)
	}
}

// patience is for how many windows room is kept. What has not gone by then is taken to be kept by something else, which must not keep the
// others.
const patience = 36

// Ahead is how many removals go before those of s, at most as many as an empty window admits. Usually none do: whoever fits goes. But what
// would find room in the window and has waited for longer than it is long, because others have taken all that came, goes before everybody
// who waits for less long.
func (q Waiting) Ahead(s Subject, w *FleetWindow, now time.Time) int {
	if w == nil || len(q) == 0 {
		return 0
	}
	n, most := 0, w.left(0)
	for id, h := range q {
		waits := now.Sub(h.Since)
		if id == s.Stack || len(h.Removes) > most || waits <= w.Length || waits > patience*w.Length || !h.before(id, s) {
			continue
		}
		if n += len(h.Removes); n >= most {
			return most
		}
	}
	return n
}

// before reports whether h, of another stack, waits for longer than s does.
func (h *Hold) before(id stack.ID, s Subject) bool {
	if s.Hold == nil || s.Hold.Cause != HoldFleet || h.Since.Before(s.Hold.Since) {
		return true
	}
	return h.Since.Equal(s.Hold.Since) && id < s.Stack
}
