package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
)

// What is known is relied on by the order in which the store was asked, not by the clock: two questions may share a moment.
func TestReadingsCountInTheOrderInWhichTheyBegan(t *testing.T) {
	t.Parallel()
	const a = "8c4b0f9e-3f0f-4f2b-9d7b-0c5f0b6a1d11"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		between func(h *hub.Hub)
		first   bool // the older reading is relied on
	}{
		"nothing between":       {func(*hub.Hub) {}, true},
		"signals may be lost":   {func(h *hub.Hub) { h.Lost() }, false},
		"the agent is in doubt": {func(h *hub.Hub) { h.Doubt(a) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hub.New(nil, nil, func() time.Time { return now })
			h.SetHealthy(true)
			h.Observe(h.Begin(), a, 1)
			old := h.Begin()
			c.between(h)
			h.Observe(old, a, 2)
			if r, trusted := h.Known(a); r != 2 || trusted != c.first {
				t.Errorf("after a reading that began before: got revision %d, relied on %t; want 2, %t", r, trusted, c.first)
			}
			h.Observe(h.Begin(), a, 3)
			if r, trusted := h.Known(a); r != 3 || !trusted {
				t.Errorf("after a reading that began later, at the same moment: got revision %d, relied on %t; want 3, relied on", r, trusted)
			}
		})
	}
}

// An agent holds few requests open, whatever it calls its processes; the ones that were parked last stay.
func TestAnAgentParksFewRequests(t *testing.T) {
	t.Parallel()
	h := hub.New(nil, nil, time.Now)
	var parked []*hub.Waiter
	for i := range 100 {
		parked = append(parked, h.Park(hub.Ticket{Agent: "a", Boot: fmt.Sprint(i), Seq: 1}))
	}
	other := h.Park(hub.Ticket{Agent: "b", Boot: "0", Seq: 1})
	for i, w := range append(parked, other) {
		select {
		case o := <-w.C:
			if o != hub.Superseded || i >= 96 {
				t.Errorf("request %d is woken with %v; want the first 96 to be superseded", i, o)
			}
		default:
			if i < 96 {
				t.Errorf("request %d waits still", i)
			}
		}
	}
}
