package scheduler_test

import (
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

// ended fails if the rollout goes on though nothing keeps it from its end: it is paused, or clusters lack what it depends on, or it is over.
func (s *simulation) ended() {
	s.t.Helper()
	r := s.governing(s.web)
	if !r.Phase.Open() || r.Phase == rollout.PhasePaused {
		return
	}
	for _, b := range r.Blockers {
		if b.Kind == rollout.BlockedByDependency {
			return
		}
	}
	s.failf("a quarter of an hour after all trouble the rollout is %s, wave %d %s: %+v", r.Phase, r.Wave, r.Stage, r.Blockers)
}

// unsettled says what is not where it should be; empty: nothing.
func (s *simulation) unsettled() string {
	s.t.Helper()
	g := s.look()
	for j, id := range s.plain {
		for _, a := range s.agents {
			if want := a.labels[fmt.Sprint("part", j)]; g.assigned(id, a.id) != want {
				_, hold, _ := s.store.Decisions().Latest(s.t.Context(), id)
				return fmt.Sprintf("in the end %s has plain%d: %t, want %t (hold %+v)", a.id, j, !want, want, hold)
			}
		}
	}
	for _, id := range s.stacks() {
		for _, x := range s.agents {
			a := x.id
			w, has := g[id][a]
			if !has {
				continue
			}
			if w.State != delivery.Assigned || w.Object != s.newest[id] || (!g.well(id, a) && s.made[w.Object].fate == 0) {
				return fmt.Sprintf("in the end %s has of %s %s %s, %+v, want %s healthy (rollout %+v)", a, id, w.State, w.Object, w.Status, s.newest[id], s.governing(id))
			}
		}
	}
	for _, a := range s.agents {
		for _, id := range s.stacks() {
			w, h := g[id][a.id], a.has[id]
			if (h != nil) != (w.State == delivery.Assigned) || (h != nil && (h.object != w.Object || h.variant != w.Variant)) {
				return fmt.Sprintf("in the end cluster %s has %+v of %s, want %+v", a.id, h, id, w.Assignment)
			}
		}
		if w := g[s.over][a.id]; (w.Variant != "") != a.labels["big"] {
			return fmt.Sprintf("in the end %s has variant %q of over, with label big: %t", a.id, w.Variant, a.labels["big"])
		}
	}
	if n := g.count(s.web); n != len(s.agents) {
		return fmt.Sprintf("in the end web is on %d clusters, want %d", n, len(s.agents))
	}
	if n := g.count(s.spread); n != regions {
		_, hold, _ := s.store.Decisions().Latest(s.t.Context(), s.spread)
		return fmt.Sprintf("in the end spread is on %d clusters, want %d (hold %+v)", n, regions, hold)
	}
	where := map[string]int{}
	for _, a := range s.agents {
		if g.assigned(s.spread, a.id) {
			where[a.region]++
		}
	}
	if len(where) != regions {
		rec, hold, _ := s.store.Decisions().Latest(s.t.Context(), s.spread)
		return fmt.Sprintf("in the end spread is not once in each region: %v (hold %+v, %+v)", where, hold, rec.Decision.Unmet)
	}
	for i, id := range s.rooms {
		if n := g.count(id); n != 1 {
			rec, hold, _ := s.store.Decisions().Latest(s.t.Context(), id)
			return fmt.Sprintf("in the end room%d is on %d clusters, want one (hold %+v, %+v)", i, n, hold, rec.Decision)
		}
	}
	for _, a := range s.agents {
		if g.assigned(s.rooms[0], a.id) && g.assigned(s.rooms[3], a.id) {
			return "in the end room3 is where room0 is, from which it is to be apart"
		}
	}
	if r := s.governing(s.web); r.Phase != rollout.PhaseCompleted {
		return fmt.Sprintf("in the end the rollout is %s", r.Phase)
	}
	return ""
}
