package scheduler_test

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// sights is what has come to pass, and in how many worlds: what a simulation does not come to, it does not test.
type sights struct {
	world        int // the one that is looked at
	worlds, last map[string]int
}

func newSights() *sights { return &sights{worlds: map[string]int{}, last: map[string]int{}} }

func (x *sights) note(what string, happens bool) {
	if happens && x.last[what] != x.world {
		x.worlds[what]++
		x.last[what] = x.world
	}
}

func (s *simulation) sight(now glance) {
	s.seen.note("web is "+string(s.governed.Phase), s.governed.ID != "")
	for _, m := range s.governed.Members {
		s.seen.note("a cluster of web is "+string(m.State), true)
	}
	for _, id := range s.stacks() {
		if !s.commits.news(id) {
			continue
		}
		rec, hold, err := s.store.Decisions().Latest(s.t.Context(), id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			s.failf("%v", err)
		}
		s.held[id] = hold
		s.seen.note("a decision is held", hold != nil)
		s.seen.note("an override cannot be applied", len(rec.Decision.Blocked) > 0)
	}
	for _, id := range s.rooms {
		s.seen.note("a room is nowhere", now.count(id) == 0)
		for a, w := range now[id] {
			s.seen.note("a room moves", w.State == delivery.Removing && now.count(id) > 0 && !now.assigned(id, a))
		}
	}
	s.commits.mu.Lock()
	s.seen.note("two decided at once", s.commits.stale > 0)
	s.commits.stale = 0
	s.commits.mu.Unlock()
	known, err := s.store.Clusters().Known(s.t.Context(), tenancy.Everything(), nil)
	if err != nil {
		s.failf("%v", err)
	}
	for _, k := range known {
		s.seen.note("a cluster is unreachable", k.UnreachableSince != nil)
	}
}

// complete fails for what never came to pass.
func (x *sights) complete(t *testing.T) {
	t.Helper()
	want := []string{"a turn was given", "a decision is held", "an override cannot be applied", "a room is nowhere", "a room moves", "two decided at once", "a cluster is unreachable",
		"a cluster is closed", "a cluster is tainted", "a stack waits for its turn to leave", "the turn of a stack to leave has come", "a cluster is emptied"}
	for _, p := range rollout.Phases() {
		if p != rollout.PhaseFailed && p != rollout.PhasePending && p != rollout.PhaseSuperseded { // they last no second, or do not govern
			want = append(want, "web is "+string(p))
		}
	}
	for _, m := range rollout.MemberStates() {
		want = append(want, "a cluster of web is "+string(m))
	}
	for _, what := range want {
		if x.worlds[what] == 0 {
			t.Errorf("in no world %s: the simulation does not come to it", what)
		}
	}
}
