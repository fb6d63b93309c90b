package scheduler_test

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// loss is how many clusters lost a stack at a moment.
type loss struct {
	at time.Time
	n  int
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
		g[id] = map[agent.ID]delivery.Wanted{}
		for _, w := range list {
			g[id][w.Agent] = w
		}
	}
	return g
}

func (g glance) assigned(id stack.ID, a agent.ID) bool { return g[id][a].State == delivery.Assigned }

// well reports whether what is assigned of the stack is healthy in the cluster.
func (g glance) well(id stack.ID, a agent.ID) bool {
	w := g[id][a]
	return w.State == delivery.Assigned && w.Status != nil && w.Status.Object == w.Object && w.Status.Health == delivery.HealthHealthy
}

// check looks for what must never happen between two moments.
func (s *simulation) check() {
	s.t.Helper()
	now, was := s.look(), s.before
	s.before = now
	gone, total := 0, 0
	for id, agents := range now {
		for a, w := range agents {
			old, had := was[id][a]
			if w.State == delivery.Assigned {
				total++
			}
			if had && w.State == delivery.Assigned && old.State == delivery.Assigned && w.Sequence < old.Sequence && id != s.web {
				s.failf("%s went back from sequence %d to %d of %s", a, old.Sequence, w.Sequence, id)
			}
			fresh := w.State == delivery.Assigned && (!was.assigned(id, a) || old.Object != w.Object)
			if fresh && id == s.web && !was.well(s.base, a) && !now.well(s.base, a) && !s.wasWell[a] {
				s.failf("%s was given web although base is not healthy there: %+v", a, now[s.base][a].Status)
			}
		}
	}
	for id, agents := range was {
		for a, old := range agents {
			if _, still := now[id][a]; !still && !s.acked[parted{id, a}] {
				s.failf("%s lost %s without a tombstone", a, id)
			}
			if old.State == delivery.Assigned && !now.assigned(id, a) {
				gone++
			}
		}
	}
	if gone > 0 {
		s.lost = append(s.lost, loss{time.Now(), gone})
	}
	sum := 0
	for _, l := range s.lost {
		if time.Since(l.at) < 10*time.Minute {
			sum += l.n
		}
	}
	if admits := max(10, (total+sum)/5); s.chaos && sum > admits { // then nobody approves more
		s.failf("%d removals in ten minutes, want at most %d", sum, admits)
	}
}

// heal ends all trouble and lets everything come to its end.
func (s *simulation) heal() {
	s.chaos = false
	for _, r := range s.replicas {
		r.mu.Lock()
		r.chaos = false
		r.mu.Unlock()
		r.end() // it may have been cut off
	}
	for _, a := range s.agents {
		a.offline = false
	}
	for range 900 { // longer than the window of the brake
		s.tick()
		s.approveAll()
	}
}

// approveAll is somebody who lets happen what is held and would leave the window its room.
func (s *simulation) approveAll() {
	for _, id := range s.plain {
		_, hold, err := s.store.Decisions().Latest(s.t.Context(), id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			s.failf("%v", err)
		}
		if hold == nil || hold.Cause == placement.HoldFleet {
			continue
		}
		s.write(func(ctx context.Context, tx ports.Repositories) error {
			if err := tx.Decisions().Approve(ctx, id, hold.Fingerprint); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.PlacementApproved, Stack: id, At: time.Now()})
		})
	}
}

// settled fails unless everything is where it should be.
func (s *simulation) settled() {
	s.t.Helper()
	g := s.look()
	for j, id := range s.plain {
		for _, a := range s.agents {
			if want := a.labels[fmt.Sprint("part", j)]; g.assigned(id, a.id) != want {
				_, hold, _ := s.store.Decisions().Latest(s.t.Context(), id)
				s.failf("in the end %s has plain%d: %t, want %t (hold %+v)", a.id, j, !want, want, hold)
			}
		}
	}
	for _, id := range s.stacks() {
		for a, w := range g[id] {
			if w.State != delivery.Assigned || w.Object != s.newest[id] || !g.well(id, a) {
				s.failf("in the end %s has of %s %s %s, %+v, want %s healthy (rollout %+v)", a, id, w.State, w.Object, w.Status, s.newest[id], s.governing(id))
			}
		}
	}
	if n := len(g[s.web]); n != len(s.agents) {
		s.failf("in the end web is on %d clusters, want %d", n, len(s.agents))
	}
	if r := s.governing(s.web); r.Phase != rollout.PhaseCompleted {
		s.failf("in the end the rollout is %s", r.Phase)
	}
}
