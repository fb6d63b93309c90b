package placement

import (
	"maps"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// Over reports whether the stack's user has said that it goes, so that no policy has a say and no brake holds it.
func (s Subject) Over() bool { return s.Deleted || (s.Newest != nil && s.Newest.Marker) }

// After is what is known of the stack once d is stored.
func (s Subject) After(d Decision, now time.Time) Subject {
	s.Generation, s.Approved = s.Generation+1, 0
	s.Hold, s.Decided, s.Blocked = d.Hold, d.Policy, d.Blocked
	s.Moved = Recent(s.Moved, now, d.Moves)
	return s
}

// After is where the stack is once d is stored. In which revisions of their agents the changes come is not known yet.
func (p Prior) After(d Decision, now time.Time) Prior {
	out := make(Prior, len(p)+len(d.Changes))
	maps.Copy(out, p)
	for _, c := range d.Changes {
		placed := now
		if was, ok := out[c.Agent]; ok && was.State == c.State {
			placed = was.Placed
		}
		out[c.Agent] = delivery.Assignment{Agent: c.Agent, Stack: d.Stack, Object: c.Object, Variant: c.Variant, Treatment: c.Treatment, State: c.State, Reason: c.Reason, Since: now, Placed: placed}
	}
	return out
}

// Assigned is on how many clusters the stack is to be.
func (p Prior) Assigned() int {
	n := 0
	for _, x := range p {
		if x.State == delivery.Assigned {
			n++
		}
	}
	return n
}

// Removals is from how many clusters d takes the stack. What is leaving one already does not count.
func (d Decision) Removals() int {
	n := 0
	for _, c := range d.Changes {
		if c.State == delivery.Removing && !c.Going {
			n++
		}
	}
	return n
}

// Spends is what d takes up of the fleet's window. What the stack's user named himself takes up nothing: a Count of 0.
func (d Decision) Spends(s Subject, now time.Time) Removal {
	n := d.Removals()
	if n == 0 || s.Over() {
		return Removal{}
	}
	return Removal{Stack: s.Stack, Count: n, At: now.UTC().Truncate(time.Microsecond)}
}
