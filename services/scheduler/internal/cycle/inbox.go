package cycle

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// inbox is what the engine waits for.
type inbox struct {
	wakeups             <-chan ports.Wakeup
	poll, alarm, resync <-chan time.Time
	gained              <-chan struct{}
}

// arrivals is what of it has come.
type arrivals struct {
	woken, polled, alarmed, resync, gained bool
}

func (n arrivals) any() bool { return n != arrivals{} }

// wait waits until something has come, not at all if more is to be done anyway, and takes of each kind what is there. So what has come
// at the same time is served by one round, and in the same way each time: of several that are ready a select takes any.
func (in *inbox) wait(ctx context.Context, more bool) (n arrivals) {
	if !more {
		select {
		case <-ctx.Done():
		case _, ok := <-in.wakeups:
			n.woken = in.heard(ok)
		case <-in.poll:
			n.polled = true
		case <-in.alarm:
			n.alarmed = true
		case <-in.resync:
			n.resync = true
		case <-in.gained:
			n.gained = true
		}
	}
	if !n.woken {
		select {
		case _, ok := <-in.wakeups:
			n.woken = in.heard(ok)
		default:
		}
	}
	n.polled = n.polled || came(in.poll)
	n.resync = n.resync || came(in.resync)
	n.gained = n.gained || came(in.gained)
	return n
}

// heard takes note of a wakeup. The channel ends with the engine's context.
func (in *inbox) heard(open bool) bool {
	if !open {
		in.wakeups = nil
	}
	return true
}

func came[T any](c <-chan T) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
