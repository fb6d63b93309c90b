package cluster

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// Silence is who is heard and who is not, at one moment of the store's clock.
type Silence struct {
	Watched     int        // live agents that were heard at least once
	Unreachable int        // those of them that are marked unreachable
	Lost        []agent.ID // silent for too long, and not marked yet
	Back        []agent.ID // heard again, and still marked
}

// Caution bounds what a sweep believes at once. That a large share falls silent together says more of the control plane, or of
// the way to it, than of the clusters.
type Caution struct {
	Share float64       // of the agents that were reachable; more than it is an outage
	Floor int           // fewer that fall silent at once are never an outage
	Wait  time.Duration // how long an outage is doubted before its agents are marked all the same
}

// Outage is what a sweep remembers of many agents that fell silent together.
type Outage struct {
	Since time.Time // zero: there is none
}

// Weigh says whether those who are lost may be marked now, and what the next sweep has to remember.
func (c Caution) Weigh(s Silence, was Outage, now time.Time) (mark bool, is Outage) {
	reachable := s.Watched - s.Unreachable
	if len(s.Lost) < max(c.Floor, 1) || float64(len(s.Lost)) <= c.Share*float64(reachable) {
		return len(s.Lost) > 0, Outage{}
	}
	if was.Since.IsZero() {
		was.Since = now
	}
	return now.Sub(was.Since) >= c.Wait, was
}
