package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// turn gives an agent a label, or takes it away.
func (s *simulation) turn(a *simulated, label string, on bool) {
	switch {
	case a.labels[label] == on:
		return
	case on:
		s.label(a.id, label)
	default:
		s.unlabel(a.id, label)
	}
	a.labels[label] = on
	s.log.note("agent %d has label %s: %t", a.number, label, on)
}

func (s *simulation) anyone() *simulated { return s.agents[s.rnd.IntN(len(s.agents))] }

// change is what people do.
func (s *simulation) change() {
	switch {
	case s.maybe(8):
		a, label := s.anyone(), fmt.Sprint("part", s.rnd.IntN(3))
		s.turn(a, label, !a.labels[label])
	case s.maybe(1): // a mistake
		label := fmt.Sprint("part", s.rnd.IntN(3))
		for _, a := range s.agents {
			s.turn(a, label, false)
		}
	case s.maybe(3):
		all := s.stacks()
		s.release(all[s.rnd.IntN(len(all))], []int{0, 0, 15, 50}[s.rnd.IntN(4)])
	case s.maybe(2):
		s.release(s.web, []int{0, 0, 15, 50}[s.rnd.IntN(4)])
	case s.maybe(4):
		if a := s.anyone(); !a.labels["spread"] || s.others(a, "spread") {
			s.turn(a, "spread", !a.labels["spread"])
		}
	case s.maybe(3):
		a := s.anyone()
		s.turn(a, "big", !a.labels["big"])
	case s.maybe(1):
		doc := s.webPolicy()
		s.log.note("web goes by %s", full(doc))
		s.revise(s.web, doc)
	case s.maybe(4):
		s.tend(s.anyone())
	case s.maybe(2):
		s.approveHold(s.stacks()[s.rnd.IntN(len(s.stacks()))])
	case s.maybe(6):
		acts := []func(*rollout.Rollout, time.Time, string) (rollout.Transition, error){
			(*rollout.Rollout).Pause, (*rollout.Rollout).Resume, (*rollout.Rollout).Resume, (*rollout.Rollout).Abort, (*rollout.Rollout).Undo,
			func(r *rollout.Rollout, now time.Time, by string) (rollout.Transition, error) {
				return r.Approve(now, by, r.Wave)
			},
		}
		s.try(s.web, acts[s.rnd.IntN(len(acts))])
	}
}

// others reports whether another cluster of the region has the label.
func (s *simulation) others(a *simulated, label string) bool {
	return slices.ContainsFunc(s.agents, func(o *simulated) bool { return o != a && o.region == a.region && o.labels[label] })
}

// try is somebody who does something with the stack's rollout, as the api does it, if it can be done.
func (s *simulation) try(id stack.ID, do func(*rollout.Rollout, time.Time, string) (rollout.Transition, error)) {
	r := s.governing(id)
	if r.ID == "" {
		return
	}
	before := r.Clone()
	err := s.mutate(func(ctx context.Context, tx ports.Repositories) error {
		t, err := do(&r, time.Now(), "somebody")
		if err != nil {
			return err //nolint:wrapcheck // told apart by its kind
		}
		if s.actedTo, err = tx.Rollouts().Save(ctx, ports.RolloutWrite{Rollout: r, Governs: true, Members: rollout.Changed(&before, &r), Transitions: []rollout.Transition{t}}); err != nil {
			return err //nolint:wrapcheck // told apart by its kind
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.RolloutActed, Stack: id, At: time.Now()})
	})
	s.log.note("somebody acts on the rollout of %s, which is %s then: %v", id, r.Phase, err)
	switch {
	case err == nil:
		s.acted = true
	case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Refused):
		s.failf("act: %v", err)
	}
}

// approveAll is somebody who lets happen what is held and would leave the window its room.
func (s *simulation) approveAll() {
	for _, id := range s.stacks() {
		if hold := s.held[id]; hold != nil && hold.Cause != placement.HoldFleet {
			s.approveHold(id)
		}
	}
}

// approveHold lets happen what is held, if anything is.
func (s *simulation) approveHold(id stack.ID) {
	_, hold, err := s.store.Decisions().Latest(s.t.Context(), id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		s.failf("%v", err)
	}
	if hold == nil {
		return
	}
	err = s.mutate(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Decisions().Approve(ctx, id, hold.Fingerprint); err != nil {
			return err //nolint:wrapcheck // told apart by its kind
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.PlacementApproved, Stack: id, At: time.Now()})
	})
	s.log.note("somebody approves what is held of %s: %v", id, err)
	switch {
	case err == nil:
		s.lost = append(s.lost, loss{at: time.Now(), approved: len(hold.Removes)})
	case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Refused):
		s.failf("approve: %v", err)
	}
}
