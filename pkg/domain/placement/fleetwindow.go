package placement

import (
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Removal is how many clusters one decision took a stack away from, by a cause that no user has named.
type Removal struct {
	Stack stack.ID
	Count int
	At    time.Time // to the microsecond
}

// FleetWindow is the brake over all stacks: what their decisions remove together within a length of time. It is a value: what
// is made of it leaves it as it is.
type FleetWindow struct {
	Share    float64 // of the fleet's assignments that it admits
	Floor    int     // removals that it always admits
	Length   time.Duration
	Assigned int // assignments of the whole fleet, what is counted as removed not among them

	removals []Removal // oldest first
	total    int
}

// With returns the window with further removals.
func (w FleetWindow) With(list ...Removal) FleetWindow {
	w.removals = slices.Clip(w.removals) // another window may go on from the same ones
	for _, r := range list {
		i := len(w.removals)
		for i > 0 && w.removals[i-1].At.After(r.At) {
			i--
		}
		if i == len(w.removals) {
			w.removals = append(w.removals, r)
		} else { // clocks differ
			w.removals = slices.Insert(slices.Clone(w.removals), i, r)
		}
		w.total += r.Count
	}
	return w
}

// Began is the moment after which what is removed is in the window now.
func (w FleetWindow) Began(now time.Time) time.Time {
	return now.Add(-w.Length).Truncate(time.Microsecond)
}

// Forget returns the window without what is in it no longer.
func (w FleetWindow) Forget(now time.Time) FleetWindow {
	n, count := w.past(now)
	w.removals, w.total = w.removals[n:], w.total-count
	return w
}

// past returns how many of the removals are in the window no longer, and of how many clusters they were.
func (w FleetWindow) past(now time.Time) (n, count int) {
	for began := w.Began(now); n < len(w.removals) && !w.removals[n].At.After(began); n++ {
		count += w.removals[n].Count
	}
	return n, count
}

// Lost is how many removals are in the window.
func (w FleetWindow) Lost(now time.Time) int {
	_, count := w.past(now)
	return w.total - count
}

// Left is how many removals it still admits: none once more were approved than it admits.
func (w FleetWindow) Left(now time.Time) int {
	return w.left(w.Lost(now))
}

func (w FleetWindow) left(lost int) int {
	return max(0, max(w.Floor, int(w.Share*float64(w.Assigned+lost)))-lost)
}

// looks is how often at most the window is looked at for room while it moves on by its length.
const looks = 60

// RoomAt is when the window admits n removals if nothing else happens, by at most a sixtieth of its length later; nil: not by
// time alone.
func (w FleetWindow) RoomAt(n int, now time.Time) *time.Time {
	lost := w.Lost(now)
	from, _ := w.past(now)
	for _, r := range w.removals[from:] {
		if lost -= r.Count; w.left(lost) < n {
			continue
		}
		at := w.look(r.At.Add(w.Length))
		return &at
	}
	return nil
}

// look is when the window is looked at next after a moment: what is held together is looked at together.
func (w FleetWindow) look(after time.Time) time.Time {
	at := after.Add(time.Microsecond)
	if step := w.Length / looks; step > 0 {
		if late := at.Sub(at.Truncate(step)); late > 0 {
			at = at.Add(step - late)
		}
	}
	return at
}

// Knows reports whether r is among the removals.
func (w FleetWindow) Knows(r Removal) bool {
	i, _ := slices.BinarySearchFunc(w.removals, r.At, func(x Removal, at time.Time) int { return x.At.Compare(at) })
	for ; i < len(w.removals) && w.removals[i].At.Equal(r.At); i++ {
		if w.removals[i].Stack == r.Stack {
			return true
		}
	}
	return false
}
