package scheduler_test

import (
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// telling is what was known of a cluster from a moment on.
type telling struct {
	from  time.Time
	known cluster.Known
}

// roomNeeds is what each of the rooms needs, in millicores.
const roomNeeds = 3000

// checkRoom: no room comes to a cluster that has none for it, going by what the cluster has told, and by what was promised there to
// others that may not be in that yet. That is all that can be known: what was told may be as old as what a decision rests on, and agents
// that fall silent before they have applied what they were given have told of less than there will be.
func (s *simulation) checkRoom(was, now glance) {
	s.t.Helper()
	ids := make([]agent.ID, len(s.agents))
	for i, a := range s.agents {
		ids[i] = a.id
	}
	known, err := s.store.Clusters().Known(s.t.Context(), tenancy.Everything(), ids)
	if err != nil {
		s.failf("%v", err)
	}
	for _, a := range ids {
		told := append(s.told[a], telling{time.Now(), known[a]})
		for len(told) > 1 && time.Since(told[1].from) > decided { // the next one was known all the time since
			told = told[1:]
		}
		s.told[a] = told
		for _, id := range s.rooms {
			w := now[id][a]
			if now.assigned(id, a) && !was.assigned(id, a) && !slices.ContainsFunc(told, func(x telling) bool { return s.roomFor(w, x.known, was, now) }) {
				s.failf("%s came to %s, where there is no room for it: told %+v, assigned %+v", id, a, told, s.roomsIn(a, now))
			}
		}
	}
}

// roomFor reports whether there was room for what has come, where this was known of its cluster. Of those that came at the same time
// each is to have room beside the others.
func (s *simulation) roomFor(w delivery.Wanted, known cluster.Known, was, now glance) bool {
	if known.ReportedAt == nil {
		return false
	}
	free := known.Status.Allocatable.CPU - known.Status.Requested.CPU
	for _, id := range s.rooms {
		o := now[id][w.Agent]
		if id == w.Stack || o.State != delivery.Assigned || (!was.assigned(id, w.Agent) && o.Placed.After(w.Placed)) {
			continue
		}
		early := known.ReportedAt.Before(o.Placed.Add(placement.Settling)) && w.Placed.Before(o.Placed.Add(placement.Lapse))
		if o.Placed.After(*known.ReportedAt) || early {
			free -= roomNeeds
		}
	}
	return free >= roomNeeds
}

// roomsIn are the rooms that are assigned to a cluster, with when they came.
func (s *simulation) roomsIn(a agent.ID, g glance) map[string]time.Time {
	out := map[string]time.Time{}
	for _, id := range s.rooms {
		if g.assigned(id, a) {
			out[string(id)] = g[id][a].Placed
		}
	}
	return out
}
