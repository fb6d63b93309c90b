package scheduler_test

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/drain"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// closing is what the owner of a cluster has said of it, so that nothing new may come.
type closing struct {
	since   time.Time // nothing new from then on; zero: it is open
	said    time.Time // when the owner last said something
	budget  int       // of a drain, the largest since then
	tainted bool      // all has to leave at once
}

func (c closing) closed() bool { return !c.since.IsZero() }

// closedMost is how many clusters are worked on at a time.
const closedMost = 3

const worked = "worked-on"

// tend is what the owner of a cluster does: cordons and drains it, has a taint evict what is there, and opens it again.
func (s *simulation) tend(a *simulated) {
	closed := 0
	for _, o := range s.agents {
		if o.closing.closed() {
			closed++
		}
	}
	switch {
	case a.closing.closed() && s.maybe(50), closed >= closedMost && !a.closing.closed():
		s.open(a)
	case s.maybe(30):
		s.close(a, "cordons", func(ctx context.Context, tx ports.Repositories) (bool, error) {
			return tx.Clusters().Cordon(ctx, a.id, &cluster.Cordon{Since: time.Now()})
		})
	case s.maybe(25):
		s.close(a, "taints", func(ctx context.Context, tx ports.Repositories) (bool, error) {
			return tx.Clusters().Taint(ctx, a.id, cluster.Taint{Key: worked, Effect: cluster.Evict, Since: time.Now()})
		})
		a.closing.tainted = true
	default:
		budget := s.rnd.IntN(3)
		s.close(a, fmt.Sprintf("drains, with the budget %d,", budget), func(ctx context.Context, tx ports.Repositories) (bool, error) {
			return tx.Drains().Start(ctx, a.id, cluster.Drain{Since: time.Now(), Budget: budget})
		})
		if a.closing.budget = max(a.closing.budget, budget); budget == 0 {
			a.closing.budget = len(s.stacks())
		}
	}
}

func (s *simulation) close(a *simulated, what string, fn func(context.Context, ports.Repositories) (bool, error)) {
	s.tell(a, what, fn)
	a.closing.said = time.Now()
	if !a.closing.closed() {
		a.closing.since = a.closing.said
	}
}

// open ends all that the owner has said of the cluster.
func (s *simulation) open(a *simulated) {
	if !a.closing.closed() {
		return
	}
	s.tell(a, "opens", func(ctx context.Context, tx ports.Repositories) (bool, error) {
		if a.closing.tainted {
			if err := tx.Clusters().Untaint(ctx, a.id, worked, cluster.Evict); err != nil {
				return false, err //nolint:wrapcheck // a failure of the test
			}
		}
		return tx.Clusters().Cordon(ctx, a.id, nil)
	})
	a.closing = closing{}
}

// tell stores what an owner says, with the event that tells of it.
func (s *simulation) tell(a *simulated, what string, fn func(context.Context, ports.Repositories) (bool, error)) {
	s.write(func(ctx context.Context, tx ports.Repositories) error {
		if _, err := fn(ctx, tx); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: a.id, At: time.Now()})
	})
	s.log.note("the owner %s cluster %d", what, a.number)
}

// drains is what is known of the drains that run.
func (s *simulation) drains() map[agent.ID]cluster.Drain {
	running, err := s.store.Drains().Running(s.t.Context())
	if err != nil {
		s.failf("%v", err)
	}
	return running
}

// checkOwners: nothing new comes to a cluster that its owner has closed, and no more leaves at a time than the owner of a drain admits.
func (s *simulation) checkOwners(was, now glance) {
	s.t.Helper()
	running := s.drains()
	for _, a := range s.agents {
		s.seen.note("a cluster is closed", a.closing.closed())
		s.seen.note("a cluster is tainted", a.closing.tainted)
		d, drained := running[a.id]
		released := 0
		for _, id := range s.stacks() {
			fresh := now.assigned(id, a.id) && !was.assigned(id, a.id)
			if fresh && a.closing.closed() && time.Since(a.closing.since) > decided {
				s.failf("%s came to %s, which is closed: %+v", id, a.id, a.closing)
			}
			if !drained || d.Budget == 0 {
				continue
			}
			_, turn := d.Released[id]
			s.seen.note("a stack waits for its turn to leave", !turn && now.assigned(id, a.id))
			s.seen.note("the turn of a stack to leave has come", turn)
			if turn && now.assigned(id, a.id) {
				released++
			}
			stays := id == s.base || id == s.over // but for its owner nobody takes them from there
			if stays && was.assigned(id, a.id) && !now.assigned(id, a.id) && !turn && !a.closing.tainted && time.Since(a.closing.said) > decided {
				s.failf("%s left %s before its turn: %+v", id, a.id, d)
			}
		}
		if drained && released > a.closing.budget {
			s.failf("%d stacks leave %s, want at most %d at a time: %+v", released, a.id, a.closing.budget, d)
		}
	}
}

// waits reports whether the stack waits for room in the fleet's window. For how long it may says TestTheFleetsWindowKeepsRoomForWhoHasWaited.
func (s *simulation) waits(id stack.ID) bool {
	h := s.held[id]
	return h != nil && h.Cause == placement.HoldFleet
}

// emptied says which cluster was not emptied that had to be, long ago; empty: all were, but for what waits for a stack that fails elsewhere
// or is held.
func (s *simulation) emptied() string {
	s.t.Helper()
	g, running := s.look(), s.drains()
	known, err := s.store.Clusters().Known(s.t.Context(), tenancy.Everything(), nil)
	if err != nil {
		s.failf("%v", err)
	}
	unreachable := map[agent.ID]bool{}
	for a, k := range known {
		unreachable[a] = k.UnreachableSince != nil
	}
	for _, a := range s.agents {
		d, drained := running[a.id]
		if !drained && !a.closing.tainted {
			continue
		}
		in := drain.Input{Agent: a.id, Drain: d, Elsewhere: map[stack.ID][]delivery.Wanted{}, Unreachable: unreachable}
		for _, id := range s.stacks() {
			if w, there := g[id][a.id]; there {
				in.Here = append(in.Here, w)
			}
			for _, o := range s.agents {
				if w, there := g[id][o.id]; there {
					in.Elsewhere[id] = append(in.Elsewhere[id], w)
				}
			}
		}
		stands := false
		for _, m := range drain.Next(in).Moving {
			stands = stands || s.waits(m.Stack)
			for _, w := range in.Elsewhere[m.Stack] { // perhaps not the newest object: a rollout may have turned back
				stands = stands || s.made[w.Object].fate > 0
			}
		}
		for _, w := range in.Here {
			if w.State == delivery.Assigned && !stands && !s.waits(w.Stack) {
				_, hold, _ := s.store.Decisions().Latest(s.t.Context(), w.Stack)
				return fmt.Sprintf("%s is still assigned to %s, which had to be emptied: %+v, drain %+v, hold %+v", w.Stack, a.id, a.closing, d, hold)
			}
		}
		s.seen.note("a cluster is emptied", !stands)
	}
	return ""
}
