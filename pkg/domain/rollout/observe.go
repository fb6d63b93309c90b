package rollout

import (
	"cmp"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func (m *Member) become(s MemberState, now time.Time, message string) {
	if m.State != s {
		m.State, m.Since = s, now
	}
	m.Message = message
}

// observe brings a member to what its agent says now. Only what it says of this rollout's object counts (or of the object
// that it goes back to), so that no report of an earlier time releases anything, and one that is repeated changes nothing.
func (s *stepper) observe(m *Member) {
	offline := s.offline[m.Agent]
	if m.Offline && !offline && (m.State == MemberDeploying || m.State == MemberReturning) {
		m.Since = s.now // the deadline runs while the cluster can be reached
	}
	m.Offline = offline
	switch {
	case m.AdmittedAt == nil && s.returns():
	case m.AdmittedAt == nil:
		s.observeRefusal(m)
	case s.returns():
		s.observeReturn(m)
	default:
		s.observeObject(m)
	}
}

func (s *stepper) observeObject(m *Member) {
	st := s.in.Status[m.Agent]
	if s.in.Prior[m.Agent] != s.r.Object {
		st = delivery.Status{} // it is only now being given the object
	}
	switch {
	case isHealthy(st, s.r.Object) && m.Offline && m.Wave >= s.r.Wave && m.State != MemberPending:
		// Nobody knows how it is now, and its wave is not through: it releases nothing until it can be reached again.
		if m.State == MemberHealthy {
			m.become(MemberDeploying, s.now, "it cannot be reached; it was healthy when last heard of")
		}
		if m.State == MemberDeploying {
			s.expire(m)
		}
	case isHealthy(st, s.r.Object):
		m.become(MemberHealthy, s.now, "")
		m.WasHealthy, m.Excused = true, false
	case hasFailed(st, s.r.Object):
		m.become(MemberFailed, s.now, cmp.Or(st.Message, string(st.Health)))
	case m.State == MemberFailed || m.State == MemberSkipped:
		// past the deadline, or failed before: only health makes it good
		if m.State == MemberSkipped && !m.Offline {
			m.become(MemberDeploying, s.now, "")
		}
	case m.State == MemberHealthy || m.State == MemberDeploying:
		m.become(MemberDeploying, s.now, said(st, s.r.Object))
		s.expire(m)
	case m.State == MemberPending || m.State == MemberReturning || m.State == MemberReturned:
	}
}

// expire fails a member that was not healthy in time, or skips it if it cannot be reached.
func (s *stepper) expire(m *Member) {
	d := time.Duration(s.r.Spec.Deadline)
	if s.now.Before(m.Since.Add(d)) {
		return
	}
	switch {
	case !m.Offline:
		m.become(MemberFailed, s.now, fmt.Sprintf("not healthy within %s: %s", d, cmp.Or(m.Message, "nothing was reported")))
	case !s.r.Spec.WaitOffline:
		m.become(MemberSkipped, s.now, fmt.Sprintf("it cannot be reached, and was not healthy within %s", d))
	}
}

func (s *stepper) observeReturn(m *Member) {
	st := s.in.Status[m.Agent]
	if m.Target() == "" { // it keeps what it has, or has been given anew since it last counted
		switch well := s.in.Prior[m.Agent] == s.r.Object && isHealthy(st, s.r.Object); {
		case well && m.State == MemberDeploying:
			m.become(MemberHealthy, s.now, "")
		case !well && m.State == MemberHealthy:
			m.become(MemberDeploying, s.now, said(st, s.r.Object))
		}
		return
	}
	if s.in.Prior[m.Agent] != m.Target() {
		st = delivery.Status{} // it is only now being given the former object
	}
	x, refused := s.refused(m, m.Target())
	switch {
	case isHealthy(st, m.Target()):
		m.become(MemberReturned, s.now, "")
	case refused && !x.Passing && m.State == MemberReturning:
		m.become(MemberFailed, s.now, "it keeps what it has: "+x.Reason)
	case m.Offline && m.State == MemberReturning:
		m.become(MemberSkipped, s.now, "it cannot be reached; it goes back when it can")
	case m.State == MemberReturning:
		m.Message = said(st, m.Target())
		if d := time.Duration(s.r.Spec.Deadline); !s.now.Before(m.Since.Add(d)) {
			m.become(MemberFailed, s.now, fmt.Sprintf("not back within %s: %s", d, cmp.Or(m.Message, "nothing was reported")))
		}
	}
}

// said is what the agent says of the object, for people.
func said(st delivery.Status, o stack.ObjectID) string {
	if st.Object != o || o == "" {
		return ""
	}
	text := string(st.Phase)
	if st.Phase == delivery.PhaseApplied {
		text = string(st.Health)
	}
	if st.Message != "" {
		text += ": " + st.Message
	}
	return text
}

// deadlines wakes the rollout when the next cluster is out of time.
func (s *stepper) deadlines() {
	if !s.r.Phase.Open() {
		return
	}
	for _, m := range s.live() {
		if (m.State == MemberDeploying && !(m.Offline && s.r.Spec.WaitOffline)) || m.State == MemberReturning {
			s.wake(m.Since.Add(time.Duration(s.r.Spec.Deadline)))
		}
		if _, refused := s.refused(m, s.r.Object); refused && m.State == MemberPending {
			if end, runs := s.patience(m); runs {
				s.wake(end)
			}
		}
	}
}

func (s *stepper) wake(at time.Time) {
	if at.After(s.now) && (s.r.WakeAt == nil || at.Before(*s.r.WakeAt)) {
		s.r.WakeAt = &at
	}
}
