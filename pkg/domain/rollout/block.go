package rollout

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// note is what a step has found in the way, of one kind.
type note struct {
	agents []agent.ID
	detail string // of the first
}

func (s *stepper) note(k BlockerKind, detail string) {
	if s.notes[k] == nil {
		s.notes[k] = &note{detail: detail}
	}
}

func (s *stepper) noteOf(k BlockerKind, a agent.ID, detail string) {
	s.note(k, detail)
	s.notes[k].agents = append(s.notes[k].agents, a)
}

// block writes down what the rollout waits for; of one that is over, clusters may wait for dependencies still. What was there
// before keeps since when it is.
func (s *stepper) block() {
	for _, k := range []BlockerKind{BlockedByPause, BlockedByApproval, BlockedByWindow, BlockedBySoak, BlockedByHealth, BlockedByConcurrency,
		BlockedByDependency, BlockedByOverride, BlockedByOffline, BlockedByReturn} {
		n := s.notes[k]
		if n == nil || (k != BlockedByDependency && !s.r.Phase.Open()) {
			continue
		}
		b := Blocker{Kind: k, Since: s.now, Count: len(n.agents), Agents: n.agents[:min(len(n.agents), maxNamed)]}
		for _, old := range s.blockers {
			if old.Kind == k {
				b.Since = old.Since
			}
		}
		b.Message, b.Release = s.say(k, n)
		b.Until = s.until(k)
		s.r.Blockers = append(s.r.Blockers, b)
	}
}

func (s *stepper) say(k BlockerKind, n *note) (message, release string) {
	c, wave := len(n.agents), s.wave().Name
	switch k {
	case BlockedByPause:
		return "the rollout is paused: " + s.r.Reason, "resume it, or roll it back or abort it"
	case BlockedByApproval:
		return "the rollout waits for an approval: " + s.r.Reason, "approve it"
	case BlockedByWindow:
		return fmt.Sprintf("wave %s may not begin: no window is open", wave), "the next window"
	case BlockedBySoak:
		return fmt.Sprintf("wave %s is healthy and must stay so for %s", wave, time.Duration(s.wave().Soak)), "time, while its clusters stay healthy"
	case BlockedByHealth:
		return fmt.Sprintf("%d clusters have the object and do not report it applied and healthy yet", c), "their reports, or the deadline"
	case BlockedByConcurrency:
		return fmt.Sprintf("%d clusters wait for their turn: %s may be in flight at once", c, s.r.Spec.MaxConcurrent), "a cluster in flight that becomes healthy"
	case BlockedByDependency:
		return fmt.Sprintf("%d clusters lack what the stack depends on: %s", c, n.detail), "that stack's reports"
	case BlockedByOverride:
		return fmt.Sprintf("%d clusters cannot be given the object yet: %s", c, n.detail), "what their agents tell of them, or the deadline"
	case BlockedByOffline:
		return fmt.Sprintf("%d clusters of the wave cannot be reached, and the policy says to wait for them", c), "their return, or an abort"
	case BlockedByReturn:
		return fmt.Sprintf("%d clusters go back to their former object and do not report it healthy yet", c), "their reports, or the deadline"
	default:
		return "", ""
	}
}

// until is when a blocker ends by itself.
func (s *stepper) until(k BlockerKind) *time.Time {
	switch {
	case k == BlockedBySoak && s.r.HealthySince != nil:
		end := s.r.HealthySince.Add(time.Duration(s.wave().Soak))
		return &end
	case k == BlockedByWindow && !s.in.Window.Changes.IsZero():
		return copied(&s.in.Window.Changes)
	default:
		return nil
	}
}
