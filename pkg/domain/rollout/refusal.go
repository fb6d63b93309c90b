package rollout

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Offer is an object for a cluster.
type Offer struct {
	Agent  agent.ID
	Object stack.ObjectID
}

// Refusal is why a cluster cannot be given an object: what the overrides for it make of the object cannot be made. It keeps what
// it has.
type Refusal struct {
	Reason  string // in words, with the place in the policy
	Passing bool   // it may end by itself: only what is not known yet stands in the way, and it is waited for until the deadline
}

// refused says why the member cannot be given the object that is its next one. What it has already is never refused.
func (s *stepper) refused(m *Member, o stack.ObjectID) (Refusal, bool) {
	if s.in.Prior[m.Agent] == o {
		return Refusal{}, false
	}
	x, ok := s.in.Refused[Offer{m.Agent, o}]
	return x, ok
}

// observeRefusal fails a member that cannot be given the object, whatever its wave: to wait for its turn would change nothing. One
// that can be given it again waits for its turn again.
func (s *stepper) observeRefusal(m *Member) {
	x, refused := s.refused(m, s.r.Object)
	switch {
	case refused && !x.Passing:
		m.become(MemberFailed, s.now, x.Reason)
	case refused && m.State == MemberPending:
		if end, runs := s.patience(m); runs && !s.now.Before(end) {
			m.become(MemberFailed, s.now, fmt.Sprintf("not known within %s: %s", time.Duration(s.r.Spec.Deadline), x.Reason))
			return
		}
		m.Message = x.Reason
	case refused:
	case m.State == MemberFailed:
		m.become(MemberPending, s.now, "")
		m.Excused = false
	case m.State == MemberPending:
		m.Message = ""
	}
}

// patience is until when a member whose turn has come is waited for although it cannot be given the object; false: nothing runs.
func (s *stepper) patience(m *Member) (time.Time, bool) {
	if s.r.Phase != PhaseProgressing || m.Wave > s.r.Wave || s.r.BegunAt == nil || s.offline[m.Agent] {
		return time.Time{}, false
	}
	from := m.Since
	if s.r.BegunAt.After(from) {
		from = *s.r.BegunAt
	}
	return from.Add(time.Duration(s.r.Spec.Deadline)), true
}
