package scheduler_test

import (
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// loss is how many clusters lost a stack at a moment, or how many somebody has allowed to.
type loss struct {
	at       time.Time
	n        int
	approved int
}

// glance is what the store has: assignments and statuses by stack and agent.
type glance map[stack.ID]map[agent.ID]delivery.Wanted

func (s *simulation) look() glance {
	g := glance{}
	for _, id := range s.stacks() {
		list, err := s.store.Assignments().OfStack(s.t.Context(), id)
		if err != nil {
			s.failf("%v", err)
		}
		g[id] = make(map[agent.ID]delivery.Wanted, len(list))
		for _, w := range list {
			g[id][w.Agent] = w
		}
	}
	return g
}

// each calls fn with everything that the store has of stacks and clusters, always in the same order, so that of several faults the same
// one is told of again.
func (s *simulation) each(g glance, fn func(id stack.ID, a agent.ID, w delivery.Wanted)) {
	for _, id := range s.stacks() {
		for _, a := range s.agents {
			if w, ok := g[id][a.id]; ok {
				fn(id, a.id, w)
			}
		}
	}
}

func (g glance) assigned(id stack.ID, a agent.ID) bool { return g[id][a].State == delivery.Assigned }

// count is on how many clusters the stack is to be.
func (g glance) count(id stack.ID) (n int) {
	for a := range g[id] {
		if g.assigned(id, a) {
			n++
		}
	}
	return n
}

// well reports whether what is assigned of the stack is healthy in the cluster.
func (g glance) well(id stack.ID, a agent.ID) bool {
	w := g[id][a]
	return w.State == delivery.Assigned && w.Status != nil && w.Status.Object == w.Object && w.Status.Health == delivery.HealthHealthy
}

// decided is how old what a decision rests on can be when it is stored: it waits for the transaction before it, and both may be slow.
const decided = 2*dawdle + 2*time.Second

// check looks for what must never happen between two moments.
func (s *simulation) check() {
	s.t.Helper()
	now, was := s.look(), s.before
	s.before = now
	if wrong := s.commits.err(); wrong != "" {
		s.failf("%s", wrong)
	}
	for a := range now[s.base] {
		if was.well(s.base, a) || now.well(s.base, a) {
			s.wellAt[a] = time.Now()
		}
	}
	s.each(now, func(id stack.ID, a agent.ID, w delivery.Wanted) {
		old, had := was[id][a]
		if had && w.State == delivery.Assigned && old.State == delivery.Assigned && w.Sequence < old.Sequence && id != s.web {
			s.failf("%s went back from sequence %d to %d of %s", a, old.Sequence, w.Sequence, id)
		}
		fresh := w.State == delivery.Assigned && (!was.assigned(id, a) || old.Object != w.Object)
		if fresh && id == s.web && time.Since(s.wellAt[a]) > decided && !s.goesBack(a, w) {
			s.failf("%s was given web although base is not healthy there: %+v", a, now[s.base][a].Status)
		}
	})
	s.checkRemovals(was, now)
	s.checkCounts(now)
	s.checkRoom(was, now)
	s.checkOwners(was, now)
	s.checkRollout(was, now)
	s.sight(now)
}

// goesBack reports whether the cluster was given what the rollout turns back to, which waits for no dependency.
func (s *simulation) goesBack(a agent.ID, w delivery.Wanted) bool {
	r := s.governing(s.web)
	for _, m := range r.Members {
		if m.Agent == a && m.Target() == w.Object {
			return r.Phase == rollout.PhaseRollingBack || r.Phase == rollout.PhaseRolledBack
		}
	}
	return false
}

// checkRemovals: nothing goes without an order, and no more than the brakes admit.
func (s *simulation) checkRemovals(was, now glance) {
	s.t.Helper()
	gone, total := 0, 0
	for id := range now {
		total += now.count(id)
	}
	s.each(was, func(id stack.ID, a agent.ID, old delivery.Wanted) {
		if _, still := now[id][a]; !still && !s.acked[parted{id, a}] {
			s.failf("%s lost %s without a tombstone", a, id)
		}
		if old.State == delivery.Assigned && !now.assigned(id, a) {
			gone++
		}
	})
	if gone > 0 {
		s.lost = append(s.lost, loss{at: time.Now(), n: gone})
	}
	sum, approved := 0, 0
	for _, l := range s.lost {
		if time.Since(l.at) < 9*time.Minute { // the window is of ten, by clocks that differ
			sum += l.n
		}
		if time.Since(l.at) < 25*time.Minute {
			approved += l.approved
		}
	}
	if admits := max(10, (total+sum)/5); sum > admits+approved {
		s.failf("%d removals in ten minutes, want at most %d and %d that were approved", sum, admits, approved)
	}
}

// checkCounts: no policy's count and spread is exceeded.
func (s *simulation) checkCounts(now glance) {
	s.t.Helper()
	for i, id := range s.rooms {
		if n := now.count(id); n > 1 {
			s.failf("room%d is on %d clusters, want one: %+v", i, n, now[id])
		}
	}
	s.checkSpread(now)
}

// patient is for how long a region that had nobody to take the stack may be without it when somebody is back: schedulers may be away as
// long as there is trouble. While a decision is held, for others use up what may be removed, it does not pass.
const patient = 10 * time.Minute

// checkSpread: the spread stack is once in each region; once more, as the skew of one admits, for each region that lacks it and has, or
// had not long ago, no cluster that could take it: all that have the label were offline or closed by their owners.
func (s *simulation) checkSpread(now glance) {
	s.t.Helper()
	picked, able := map[string]int{}, map[string]bool{}
	known, err := s.store.Clusters().Known(s.t.Context(), tenancy.Everything(), nil)
	if err != nil {
		s.failf("%v", err)
	}
	for _, a := range s.agents {
		if now.assigned(s.spread, a.id) {
			picked[a.region]++
		}
		able[a.region] = able[a.region] || (a.labels["spread"] && known[a.id].UnreachableSince == nil && !a.closing.closed())
	}
	most := 1
	for i := range regions {
		r := fmt.Sprint("region", i)
		at, ever := s.barren[r]
		lacks := picked[r] == 0 && ever && time.Since(at) < patient
		if !able[r] || (lacks && s.held[s.spread] != nil) {
			s.barren[r] = time.Now()
		}
		if lacks || (picked[r] == 0 && !able[r]) {
			most++
		}
	}
	for i := range regions {
		r := fmt.Sprint("region", i)
		if n := picked[r]; n > most {
			s.failf("spread is on %d clusters of %s, want at most %d: %v, nobody to take it at %v", n, r, most, picked, s.barren)
		}
	}
}

// checkRollout looks at the way of web.
func (s *simulation) checkRollout(was, now glance) {
	s.t.Helper()
	r, old := s.governing(s.web), s.governed
	s.governed = r
	if r.ID == "" {
		return
	}
	if r.ID != old.ID {
		old = rollout.Rollout{}
	}
	had := map[agent.ID]rollout.Member{}
	for _, m := range old.Members {
		had[m.Agent] = m
	}
	var admitted, first int // first: not healthy since they were given the object, nor passed over: who was given it long ago may be heard again at any time
	for _, m := range r.Members {
		if m.Gone {
			continue
		}
		if m.State == rollout.MemberDeploying && !m.WasHealthy && m.AdmittedAt != nil && m.Since.Equal(*m.AdmittedAt) {
			first++
		}
		if m.AdmittedAt != nil && had[m.Agent].AdmittedAt == nil {
			admitted++
			if m.Wave > r.Wave && r.Phase.Open() {
				s.failf("%s of wave %d is given the object in wave %d", m.Agent, m.Wave, r.Wave)
			}
		}
		if before, ok := had[m.Agent]; ok && before.Wave != m.Wave {
			s.failf("%s went from wave %d to %d", m.Agent, before.Wave, m.Wave)
		}
	}
	if b := r.Spec.MaxConcurrent; b.Number > 0 && first > b.Number {
		s.failf("%d clusters are in flight where %d may: %+v", first, b.Number, r.Members)
	}
	stands := old.Phase == r.Phase && (r.Phase == rollout.PhasePaused || r.Phase == rollout.PhaseWaitingApproval || r.Phase == rollout.PhaseRolledBack || r.Phase == rollout.PhaseAborted)
	if admitted > 0 && stands && !s.acted {
		s.failf("%d clusters are given the object of a rollout that is %s", admitted, r.Phase)
	}
	if r.Phase.Open() && r.Phase != rollout.PhasePending && len(r.Blockers) == 0 && r.Version != s.actedTo { // else no scheduler has looked at it since
		s.failf("the rollout is %s and waits for nothing", r.Phase)
	}
	if r.Wave < old.Wave {
		s.failf("the rollout went from wave %d to %d", old.Wave, r.Wave)
	}
	for _, x := range s.agents { // nobody gets it whom the rollout has not admitted
		a, w := x.id, now[s.web][x.id]
		if w.State == delivery.Assigned && w.Object == r.Object && (!was.assigned(s.web, a) || was[s.web][a].Object != r.Object) && r.Phase.Open() {
			if i := member(r, a); i < 0 || r.Members[i].AdmittedAt == nil {
				s.failf("%s was given the object, but was not admitted", a)
			}
		}
	}
}

func member(r rollout.Rollout, a agent.ID) int {
	for i, m := range r.Members {
		if m.Agent == a {
			return i
		}
	}
	return -1
}
