package rollout_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

// check is what must hold after each step.
func (s *sim) check(before *rollout.Rollout, out rollout.Out) {
	s.steps++
	for _, x := range out.Transitions {
		if !slices.ContainsFunc(rollout.Edges(), func(e rollout.Edge) bool { return e.From == x.From && e.To == x.To }) {
			s.fail("%s -> %s is not among the edges", x.From, x.To)
		}
	}
	r := out.Rollout
	if r == nil {
		return
	}
	for _, b := range r.Blockers {
		s.blocked[b.Kind]++
	}
	if before == nil || before.ID != r.ID {
		before = &rollout.Rollout{}
	}
	had := map[agent.ID]rollout.Member{}
	for _, m := range before.Members {
		had[m.Agent] = m
	}
	counts, live, admitted, failed := map[rollout.MemberState]int{}, 0, 0, 0
	for _, m := range r.Members {
		if old, ok := had[m.Agent]; ok && old.Wave != m.Wave {
			s.fail("cluster %s moved from wave %d to %d", m.Agent, old.Wave, m.Wave)
		}
		if m.Gone {
			continue
		}
		live++
		counts[m.State]++
		if m.State == rollout.MemberFailed && !m.Excused {
			failed++
		}
		if m.AdmittedAt != nil && had[m.Agent].AdmittedAt == nil && s.in.Prior[m.Agent] != r.Object {
			admitted++
			if s.refuses(m.Agent, r.Object) {
				s.fail("cluster %s is given the object, which cannot be made for it", m.Agent)
			}
			if s.lacks(m.Agent) {
				s.fail("cluster %s is given the object though it lacks what the stack depends on", m.Agent)
			}
			if m.Wave > r.Wave {
				s.fail("cluster %s of wave %d is given the object in wave %d", m.Agent, m.Wave, r.Wave)
			}
			if s.agents[m.Agent].flagged {
				s.fail("cluster %s is given the object though it cannot be reached", m.Agent)
			}
		}
		// No report of another object, cluster or time makes a cluster healthy.
		a := s.agents[m.Agent]
		if r.Phase.Open() && m.State == rollout.MemberHealthy && (a.object != r.Object || !a.good) {
			s.fail("cluster %s counts as healthy with %s, and never was", m.Agent, r.Object)
		}
	}
	if admitted > 0 {
		s.checkAdmission(r, counts[rollout.MemberDeploying], failed, live)
	}
	if began := r.BegunAt != nil && (before.BegunAt == nil || before.Wave != r.Wave); began && !s.in.Window.Open {
		for _, m := range r.Members {
			if m.Wave == r.Wave && !m.Gone {
				s.fail("wave %d begins though no window is open", r.Wave)
			}
		}
	}
	for a, o := range out.Objects {
		if s.in.Prior[a] == "" && o != "" && s.lacks(a) && (!r.Phase.Open() || o == r.Object) {
			s.fail("cluster %s, which has nothing, is given %s though it lacks what the stack depends on", a, o)
		}
	}
	if r.Wave > before.Wave && before.ID == r.ID {
		s.checkRelease(r, before)
	}
	if r.Phase.Open() && r.Phase != rollout.PhasePending && len(r.Blockers) == 0 {
		s.fail("%s waits for nothing", r.Phase)
	}
	for a, o := range out.Objects {
		if o == r.Object && r.Phase != rollout.PhaseCompleted && s.in.Prior[a] != o {
			i := slices.IndexFunc(r.Members, func(m rollout.Member) bool { return m.Agent == a })
			if i < 0 || r.Members[i].AdmittedAt == nil {
				s.fail("cluster %s is given the object, but was not admitted", a)
			}
		}
	}
}

func (s *sim) checkAdmission(r *rollout.Rollout, inFlight, failed, live int) {
	ofWave := 0
	for _, m := range r.Members {
		if !m.Gone && m.Wave == r.Wave {
			ofWave++
		}
	}
	if b := r.Spec.MaxConcurrent; b != (rollout.Bound{}) && inFlight > b.Of(ofWave) {
		s.fail("%d clusters are in flight where %s of %d may", inFlight, b, ofWave)
	}
	if may := max(r.Spec.MaxFailed, live*r.Spec.FailedPercent/100); failed > may {
		s.fail("a cluster is admitted after %d of %d have failed where %d may", failed, live, may)
	}
}

// checkRelease looks at the waves that came before one that has just been released.
func (s *sim) checkRelease(r, before *rollout.Rollout) {
	for _, m := range r.Members {
		a := s.agents[m.Agent]
		if m.Gone || m.Wave >= r.Wave {
			continue
		}
		passedOver := m.State == rollout.MemberSkipped || (a.flagged && !r.Spec.WaitOffline)
		if m.State != rollout.MemberHealthy && m.State != rollout.MemberFailed && !passedOver {
			s.fail("wave %d is released while cluster %s of wave %d is %s", r.Wave, m.Agent, m.Wave, m.State)
		}
	}
	w := r.Spec.Waves[before.Wave]
	healthy := slices.ContainsFunc(r.Members, func(m rollout.Member) bool {
		return m.Wave == before.Wave && !m.Gone && m.State == rollout.MemberHealthy
	})
	some := slices.ContainsFunc(r.Members, func(m rollout.Member) bool {
		return m.Wave == before.Wave && (!m.Gone || m.AdmittedAt != nil)
	})
	if (w.Approval || (some && !healthy)) && r.Approved <= before.Wave && before.Wave+1 == r.Wave {
		s.fail("wave %d is released without the approval of wave %d", r.Wave, before.Wave)
	}
	if soak := time.Duration(w.Soak); healthy && soak > 2*maxSkew {
		if before.HealthySince == nil || s.now.Add(maxSkew).Sub(*before.HealthySince) < soak-maxSkew {
			s.fail("wave %d is released before wave %d has soaked", r.Wave, before.Wave)
		}
	}
}

func (s *sim) checkEnd() {
	r := s.in.Current
	switch {
	case r == nil || r.Object != s.in.Newest:
		s.fail("the newest object has no rollout: %+v", r)
	case r.Phase.Open() && r.Phase != rollout.PhasePaused:
		s.fail("it does not end: %s, wave %d %s, %+v", r.Phase, r.Wave, r.Stage, r.Blockers)
	case r.Phase == rollout.PhaseCompleted:
		for _, p := range s.in.Picks {
			if s.in.Prior[p.Agent] != r.Object && !s.refuses(p.Agent, r.Object) {
				s.fail("completed, but %s has %s", p.Agent, s.in.Prior[p.Agent])
			}
		}
	case r.Phase == rollout.PhaseRolledBack:
		for _, m := range r.Members {
			if back := cmp.Or(m.Good, m.From); !m.Gone && back != "" && s.in.Prior[m.Agent] == r.Object && !s.refuses(m.Agent, back) {
				s.fail("rolled back, but %s has not got %s back", m.Agent, back)
			}
		}
	}
}
