// Package drain says which stacks leave a cluster next while it is emptied step by step.
package drain

import (
	"cmp"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Input is everything that a step rests on.
type Input struct {
	Agent agent.ID // whose cluster is emptied
	Drain cluster.Drain
	Here  []delivery.Wanted // what is assigned to the cluster, tombstones included
	// Elsewhere are the assignments of released stacks, in all clusters. Of one that is missing nothing is known, so it is waited for.
	Elsewhere   map[stack.ID][]delivery.Wanted
	Unreachable map[agent.ID]bool // clusters that are not waited for
}

// Step is what comes next.
type Step struct {
	Release []stack.ID // their turn has come
	Moving  []Moving   // released and not settled
	Waiting int        // stacks whose turn has not come
}

// Moving is a stack on its way, and what it waits for, in words.
type Moving struct {
	Stack stack.ID
	On    string
}

// Next releases as many stacks as the budget has room for, in the order of their ids. A drain without a budget releases none:
// there all of them go anyhow.
func Next(in Input) Step {
	var out Step
	var waiting []stack.ID
	here := map[stack.ID]delivery.State{}
	for _, w := range in.Here {
		here[w.Stack] = w.State
		if _, released := in.Drain.Released[w.Stack]; !released && w.State == delivery.Assigned {
			waiting = append(waiting, w.Stack)
		}
	}
	if in.Drain.Budget == 0 {
		return out
	}
	for s, since := range in.Drain.Released {
		if on := unsettled(in, s, since, here[s]); on != "" {
			out.Moving = append(out.Moving, Moving{Stack: s, On: on})
		}
	}
	slices.SortFunc(out.Moving, func(a, b Moving) int { return cmp.Compare(a.Stack, b.Stack) })
	slices.Sort(waiting)
	room := min(max(in.Drain.Budget-len(out.Moving), 0), len(waiting))
	out.Release, out.Waiting = waiting[:room], len(waiting)-room
	return out
}

// unsettled says what a released stack waits for; nothing if it has left and is well wherever it came since it was released. What becomes of it
// where it was before, as by a rollout, is not waited for.
func unsettled(in Input, s stack.ID, since time.Time, here delivery.State) string {
	if here == delivery.Assigned {
		return "it is still assigned here: the decision has not been made, or waits for approval"
	}
	places, known := in.Elsewhere[s]
	if !known {
		return "where it is now is not known yet"
	}
	for _, w := range places {
		if w.Agent == in.Agent || w.State != delivery.Assigned || w.Placed.Before(since) || in.Unreachable[w.Agent] {
			continue
		}
		st := w.Status
		switch {
		case st == nil || st.Object != w.Object || st.Phase != delivery.PhaseApplied:
			return "agent " + string(w.Agent) + " has not applied it yet"
		case st.Health != delivery.HealthHealthy:
			return "it is " + string(st.Health) + " at agent " + string(w.Agent)
		}
	}
	return ""
}
