package rollout

import (
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// admit gives the object to clusters of the waves that have begun, one by one, while those in flight and those that have failed
// admit it.
func (s *stepper) admit() {
	failed, of := s.failures()
	budget, inFlight, limit := s.r.Spec.budget(of), s.inFlight(), s.limit()
	for _, m := range s.live() {
		if m.Wave > s.r.Wave || m.State != MemberPending || s.offline[m.Agent] {
			continue
		}
		if d, held := s.heldBy(m.Agent); held {
			s.noteOf(BlockedByDependency, m.Agent, d)
			continue
		}
		if x, refused := s.refused(m, s.r.Object); refused {
			s.noteOf(BlockedByOverride, m.Agent, x.Reason)
			continue
		}
		if inFlight >= limit && s.in.Prior[m.Agent] != s.r.Object {
			s.noteOf(BlockedByConcurrency, m.Agent, "")
			continue
		}
		m.From = s.from(*m)
		m.AdmittedAt = &s.now
		m.become(MemberDeploying, s.now, "")
		s.observe(m)
		switch m.State {
		case MemberDeploying:
			inFlight++
		case MemberFailed:
			if failed++; failed > budget {
				return
			}
		case MemberPending, MemberHealthy, MemberSkipped, MemberReturning, MemberReturned:
		}
	}
}

// limit is how many clusters may be in flight.
func (s *stepper) limit() int {
	if b := s.r.Spec.MaxConcurrent; b != (Bound{}) {
		return b.Of(s.count(s.r.Wave))
	}
	return len(s.r.Members)
}

// from is what the member has before it is admitted.
func (s *stepper) from(m Member) stack.ObjectID {
	if o := s.in.Prior[m.Agent]; o != "" && o != s.r.Object {
		return o
	}
	return m.From
}

func (s *stepper) heldBy(a agent.ID) (string, bool) {
	for _, d := range s.in.Dependencies {
		if !d.metFor(a) {
			where := "there"
			if d.Everywhere {
				where = "in all of its clusters"
			}
			return fmt.Sprintf("stack %s must be %s %s", d.Stack, d.Need, where), true
		}
	}
	return "", false
}

// inFlight counts the clusters that have been given the object and are not known to be healthy with it, or to have failed.
func (s *stepper) inFlight() int {
	n := 0
	for _, m := range s.live() {
		if m.State == MemberDeploying {
			n++
		}
	}
	return n
}
