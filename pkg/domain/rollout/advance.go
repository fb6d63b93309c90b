package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// stepper is one step in progress.
type stepper struct {
	in          In
	r           *Rollout
	now         time.Time
	blockers    []Blocker // of the step before, for since when each is there
	notes       map[BlockerKind]*note
	transitions []Transition
	offline     map[agent.ID]bool
}

func (s *stepper) move(to Phase, reason string) {
	s.transitions = append(s.transitions, s.r.move(to, s.now, "", reason))
}

// live returns the members that count.
func (s *stepper) live() []*Member {
	out := make([]*Member, 0, len(s.r.Members))
	for i := range s.r.Members {
		if m := &s.r.Members[i]; !m.Gone {
			out = append(out, m)
		}
	}
	return out
}

// seat brings the members to what placement picks now: who left counts no longer, who came back has its old wave, who is new
// joins the last wave unless joiners are ignored.
func (s *stepper) seat() {
	picked := make(map[agent.ID]Pick, len(s.in.Picks))
	s.offline = map[agent.ID]bool{}
	for _, p := range s.in.Picks {
		picked[p.Agent] = p
		s.offline[p.Agent] = p.Offline
	}
	for i := range s.r.Members {
		m := &s.r.Members[i]
		_, here := picked[m.Agent]
		switch {
		case here && m.Gone:
			s.comeBack(m)
		case !here && !m.Gone:
			m.Gone, m.Offline = true, false
		}
	}
	if !s.r.Phase.Open() || s.returns() || s.r.Spec.IgnoreJoiners {
		return
	}
	var joined []Member
	for _, p := range s.in.Picks {
		if _, ok := s.r.find(p.Agent); !ok {
			m := s.in.member(p, len(s.r.Spec.Waves)-1, s.now)
			m.Joined = true
			joined = append(joined, m)
		}
	}
	if len(joined) > 0 {
		s.r.Members = append(s.r.Members, joined...)
		slices.SortFunc(s.r.Members, func(a, b Member) int { return strings.Compare(string(a.Agent), string(b.Agent)) })
	}
}

// comeBack counts a member again. What it has is not believed to be what it had, unless it was never taken away. Where the rollout goes back, it
// goes back too.
func (s *stepper) comeBack(m *Member) {
	m.Gone = false
	switch {
	case s.returns() && m.AdmittedAt != nil && m.Target() != "":
		m.become(MemberReturning, s.now, "")
	case s.in.Prior[m.Agent] == s.r.Object && m.AdmittedAt != nil:
	default:
		m.become(MemberPending, s.now, "")
		m.AdmittedAt = nil
	}
}

func (s *stepper) returns() bool {
	return s.r.Phase == PhaseRollingBack || s.r.Phase == PhaseRolledBack
}

// advance makes one transition; false: the rollout stays where it is.
func (s *stepper) advance() bool {
	switch s.r.Phase {
	case PhasePending, PhaseWaitingWindow:
		return s.begin()
	case PhaseProgressing:
		return s.progress()
	case PhaseWaitingApproval:
		return s.wait()
	case PhasePaused:
		s.note(BlockedByPause, "")
		return false
	case PhaseFailed:
		s.turnBack("the failure budget is used up, and the policy says rollback")
		return true
	case PhaseRollingBack:
		return s.goBack()
	case PhaseRolledBack, PhaseCompleted, PhaseAborted, PhaseSuperseded:
		return false
	default:
		return false
	}
}

// begin lets the current wave begin if a window is open.
func (s *stepper) begin() bool {
	if s.r.Phase == PhaseWaitingWindow && s.r.Wave > 0 && s.failed() { // those of the waves before are watched meanwhile
		return true
	}
	if s.r.BegunAt == nil && !s.in.Window.Open {
		s.note(BlockedByWindow, "")
		s.wake(s.in.Window.Changes)
		if s.r.Phase == PhaseWaitingWindow {
			return false
		}
		s.move(PhaseWaitingWindow, "no window is open")
		return true
	}
	if s.r.BegunAt == nil {
		s.r.BegunAt, s.r.Stage, s.r.HealthySince = &s.now, StageDeploying, nil
	}
	s.move(PhaseProgressing, fmt.Sprintf("wave %s begins", s.wave().Name))
	return true
}

func (s *stepper) wave() Wave { return s.r.Spec.Waves[s.r.Wave] }

func (s *stepper) isLast() bool { return s.r.Wave == len(s.r.Spec.Waves)-1 }

// progress admits clusters and looks whether the wave is through.
func (s *stepper) progress() bool {
	if s.failed() {
		return true
	}
	s.admit()
	if s.failed() {
		return true
	}
	if !s.settled() {
		s.r.Stage, s.r.HealthySince = StageDeploying, nil
		return false
	}
	if s.r.HealthySince == nil {
		s.r.HealthySince = &s.now
	}
	if end := s.r.HealthySince.Add(time.Duration(s.wave().Soak)); s.now.Before(end) && s.healthy(s.r.Wave) > 0 {
		s.r.Stage = StageSoaking
		s.note(BlockedBySoak, "")
		s.wake(end)
		return false
	}
	s.r.Stage = StageGated
	return s.gate()
}

// gate is passed by a wave that is through: the next begins, or the rollout is completed.
func (s *stepper) gate() bool {
	if why := s.doubt(); why != "" && s.r.Approved <= s.r.Wave {
		s.move(PhaseWaitingApproval, why)
		return true
	}
	if s.isLast() {
		s.r.Stage = ""
		s.move(PhaseCompleted, "every wave is through")
		return true
	}
	s.r.Wave++
	s.r.Stage, s.r.HealthySince, s.r.BegunAt = StageDeploying, nil, nil
	if s.count(s.r.Wave) == 0 { // nobody is in it: nothing to wait for
		s.r.BegunAt = &s.now
		return true
	}
	if !s.in.Window.Open {
		s.move(PhaseWaitingWindow, "no window is open")
		return true
	}
	s.r.BegunAt = &s.now
	return true
}

// asks reports whether the policy asks for an approval after the current wave.
func (s *stepper) asks() bool { return s.wave().Approval && !s.isLast() }

// doubt says why nothing may follow the current wave without an approval, going by what is known now; empty: it may.
func (s *stepper) doubt() string {
	w, healthy, count := s.wave(), s.healthy(s.r.Wave), s.count(s.r.Wave)
	switch {
	case healthy == 0 && (count > 0 || (!s.isLast() && s.triedAndLeft(s.r.Wave))):
		why := fmt.Sprintf("no cluster of wave %s is known to be healthy", w.Name)
		if s.settled() {
			why += ": all are skipped, have failed or have left"
		}
		return why
	case s.asks() && healthy < count:
		return fmt.Sprintf("%d of the %d clusters of wave %s are known to be healthy, and the policy asks for an approval before the next", healthy, count, w.Name)
	case s.asks():
		return fmt.Sprintf("wave %s is healthy, and the policy asks for an approval before the next", w.Name)
	default:
		return ""
	}
}

// wait is for an approval; the clusters are watched meanwhile, and why it is needed is said as it is now. When clusters of the wave that
// were away are back, which may be given the object now, they get it, and soak, before anybody is asked; and where the policy asks for no
// approval, nobody is asked any longer once one is known again.
func (s *stepper) wait() bool {
	if s.failed() {
		return true
	}
	why := s.doubt()
	if s.comes() || (!s.asks() && (why == "" || !s.settled())) {
		s.r.HealthySince = nil
		s.move(PhaseProgressing, fmt.Sprintf("clusters of wave %s that were not known are heard of again", s.wave().Name))
		return true
	}
	clear(s.notes)
	s.r.Reason = why
	s.note(BlockedByApproval, "")
	return false
}

// comes reports whether a cluster of the waves so far can be reached and has not been given the object.
func (s *stepper) comes() bool {
	return slices.ContainsFunc(s.live(), func(m *Member) bool {
		return m.Wave <= s.r.Wave && m.State == MemberPending && !s.offline[m.Agent]
	})
}

// failed ends the rollout's progress when more clusters have failed than its budget admits.
func (s *stepper) failed() bool {
	n, of := s.failures()
	budget := s.r.Spec.budget(of)
	if n <= budget {
		return false
	}
	why := fmt.Sprintf("clusters that have failed: %d, where the budget is %d", n, budget)
	for _, m := range s.live() {
		if m.State == MemberFailed && !m.Excused {
			why += fmt.Sprintf("; cluster %s: %s", m.Agent, m.Message)
			break
		}
	}
	if s.r.Spec.Rollback {
		s.move(PhaseFailed, why)
	} else {
		s.move(PhasePaused, why)
	}
	return true
}

// failures counts the clusters that have failed without excuse, and all that count.
func (s *stepper) failures() (failed, of int) {
	for _, m := range s.live() {
		of++
		if m.State == MemberFailed && !m.Excused {
			failed++
		}
	}
	return failed, of
}

func (s *stepper) count(wave int) int {
	n := 0
	for _, m := range s.live() {
		if m.Wave == wave {
			n++
		}
	}
	return n
}

func (s *stepper) healthy(wave int) int {
	n := 0
	for _, m := range s.live() {
		if m.Wave == wave && m.State == MemberHealthy {
			n++
		}
	}
	return n
}

// settled reports whether nothing of the waves so far is still to come.
func (s *stepper) settled() bool {
	ok := true
	for _, m := range s.live() {
		if m.Wave > s.r.Wave {
			continue
		}
		switch m.State {
		case MemberDeploying:
			ok = false
			s.noteOf(BlockedByHealth, m.Agent, "")
		case MemberPending:
			if s.offline[m.Agent] {
				if !s.r.Spec.WaitOffline {
					continue
				}
				s.noteOf(BlockedByOffline, m.Agent, "")
			}
			ok = false
		case MemberHealthy, MemberFailed, MemberSkipped, MemberReturning, MemberReturned:
		}
	}
	return ok
}

func (s *stepper) turnBack(reason string) {
	for _, m := range s.live() {
		if m.AdmittedAt != nil && m.Target() != "" {
			m.become(MemberReturning, s.now, "")
		}
	}
	s.move(PhaseRollingBack, reason)
	for _, m := range s.live() {
		s.observe(m)
	}
}

// goBack waits until those that can be reached are back.
func (s *stepper) goBack() bool {
	waits, missed, first := false, 0, ""
	for _, m := range s.live() {
		switch m.State {
		case MemberReturning:
			waits = true
			s.noteOf(BlockedByReturn, m.Agent, "")
		case MemberFailed:
			if m.AdmittedAt == nil { // it was never given the object
				continue
			}
			if missed++; first == "" {
				first = fmt.Sprintf("cluster %s: %s", m.Agent, m.Message)
			}
		case MemberPending, MemberDeploying, MemberHealthy, MemberSkipped, MemberReturned:
		}
	}
	if waits {
		return false
	}
	why := "every cluster that was touched has its former object"
	if missed > 0 {
		why = fmt.Sprintf("the clusters that were touched go back to their former object; of those that do not report it healthy there are %d; %s", missed, first)
	}
	s.move(PhaseRolledBack, why)
	return true
}
