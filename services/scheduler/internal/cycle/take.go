package cycle

import (
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// take brings the snapshot to what the events tell, and makes the stacks dirty that they concern. If it fails, a part of that may be done.
func (e *Engine) take(ctx context.Context, events []event.Event) error {
	stacks, agents := map[stack.ID]cause{}, map[agent.ID]bool{}
	more := map[stack.ID]bool{} // than the policy has changed
	var latest cause            // of agents
	var decided []stack.ID
	removed := false // by other replicas
	for _, ev := range events {
		c := cause{event: ev.Type, traceparent: ev.Traceparent}
		switch ev.Type {
		case event.StackCreated, event.StackChanged, event.StackDeleted, event.StackRestored, event.DeploymentCreated, event.PlacementApproved, event.RemovalAcknowledged, event.RolloutActed:
			stacks[ev.Stack], more[ev.Stack] = c, true
		case event.AgentRegistered, event.AgentChanged, event.AgentDeregistered, event.ConsentChanged:
			agents[ev.Agent], latest = true, c
			if ev.Stack != "" {
				stacks[ev.Stack], more[ev.Stack] = c, true
			}
		case event.GeneratorDeleted:
			for id, s := range e.world.subjects {
				if s.Generator == ev.Generator {
					stacks[id], more[id] = c, true
				}
			}
		case event.AssignmentReported:
			for _, id := range e.awaiting(ev.Stack) {
				e.dirty[id] = c
			}
		case event.PolicyChanged, event.PolicyDeleted, event.PolicyAttached, event.PolicyDetached:
			for _, id := range e.world.reached(ev) {
				stacks[id] = c
			}
		case event.PlacementDecided:
			if e.theirs(ev) {
				decided = append(decided, ev.Stack)
				removed = removed || whole(ev.Data["removals"]) > 0
			}
		case event.PolicyCreated, // it is attached to nothing yet
			event.DeploymentApplied, event.DeploymentFailed, event.DeploymentDeleted, event.RolloutMoved,
			event.DiagnosticRequested, event.DiagnosticCompleted,
			event.WorkOrderCreated, event.WorkOrderClaimed, event.WorkOrderCompleted, event.WorkOrderFailed:
			// no fact of placement: what agents report and are asked for
		}
	}
	delete(stacks, "")
	delete(agents, "")
	all := keys(stacks)
	var changed, ruled []stack.ID
	for _, id := range all {
		if more[id] {
			changed = append(changed, id)
		} else {
			ruled = append(ruled, id)
		}
	}
	f := e.store.Facts()
	old := e.world.some(keys(agents))
	former := e.world.known(all)
	if err := e.world.refreshClusters(ctx, f, keys(agents), e.now()); err != nil {
		return err
	}
	if err := e.world.refreshStacks(ctx, f, changed); err != nil {
		return err
	}
	if err := e.world.refreshSubjects(ctx, f, ruled); err != nil {
		return err
	}
	if err := e.refreshRollouts(ctx, all); err != nil {
		return err
	}
	for _, id := range all {
		if e.world.subjects[id].Generation > former[id].Generation { // the event that tells of it comes later
			decided = append(decided, id)
		}
	}
	if err := e.heed(ctx, decided); err != nil {
		return err
	}
	if slices.ContainsFunc(all, e.unlearned) {
		if err := e.learn(ctx); err != nil {
			return err
		}
	}
	e.pledge(changed) // assignments are read after the stacks, and may be newer
	e.named(all, former)
	if removed {
		if err := e.recount(ctx); err != nil {
			return err
		}
	}
	for id, c := range stacks {
		if _, ok := e.world.subjects[id]; ok {
			e.dirty[id] = c
		}
	}
	if len(agents) > 0 {
		for _, id := range e.concerned(keys(agents), old, e.now()) {
			if _, ok := stacks[id]; !ok {
				e.dirty[id] = latest
			}
		}
	}
	return nil
}
