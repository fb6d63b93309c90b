package cycle

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// alarms say when stacks must be decided again though nothing happens: a soak or a deadline is over, a window opens.
type alarms map[stack.ID]time.Time

// set keeps the earliest of the times, forgetting what was set before; nil is none.
func (a alarms) set(id stack.ID, at ...*time.Time) {
	delete(a, id)
	for _, t := range at {
		if t == nil {
			continue
		}
		if old, ok := a[id]; !ok || t.Before(old) {
			a[id] = *t
		}
	}
}

// due returns the stacks whose time has come, and forgets them.
func (a alarms) due(now time.Time) []stack.ID {
	var out []stack.ID
	for id, at := range a {
		if !at.After(now) {
			out = append(out, id)
			delete(a, id)
		}
	}
	return out
}

// next returns how long it is until the next alarm; false if there is none.
func (a alarms) next(now time.Time) (time.Duration, bool) {
	var first time.Time
	for _, at := range a {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return max(first.Sub(now), 0), !first.IsZero()
}

// rouse makes the stacks dirty whose time has come.
func (e *Engine) rouse() {
	for _, id := range e.alarms.due(e.now()) {
		if _, ok := e.dirty[id]; !ok {
			e.dirty[id] = cause{event: "time"}
		}
	}
}

// awake sets when the stack is decided again though nothing happens.
func (e *Engine) awake(id stack.ID, d placement.Decision, x stepped) {
	at := []*time.Time{d.WakeAt}
	if r := x.out.Rollout; r != nil {
		at = append(at, r.WakeAt)
	}
	e.alarms.set(id, at...)
}
