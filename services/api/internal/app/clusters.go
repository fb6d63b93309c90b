package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// maxBudget is the greatest budget of a drain.
const maxBudget = 10_000

// Cluster is what is known of an agent's cluster, and what stands there.
type Cluster struct {
	Agent    agent.Agent
	Known    cluster.Known
	Assigned int       // stacks
	Leaving  int       // tombstones that the agent has not acknowledged
	Draining []Leaving // of a drain: what is on its way or has still to go, by name; nil without one
}

// Leaving is a stack that a drain moves.
type Leaving struct {
	Stack      stack.ID
	Name       string
	ReleasedAt *time.Time // since when it must go; nil: its turn has not come
	Removing   bool       // the decision is made, and the agent has not acknowledged it yet
	Elsewhere  int        // other clusters to which it is assigned
}

// Cluster returns what is known of an agent's cluster to staff or to the agent itself.
func (a *App) Cluster(ctx context.Context, p tenancy.Principal, id agent.ID) (Cluster, error) {
	v, err := a.GetAgent(ctx, p, id)
	if err != nil {
		return Cluster{}, err
	}
	return a.cluster(ctx, v)
}

func (a *App) cluster(ctx context.Context, v agent.Agent) (Cluster, error) {
	known, err := a.Store.Clusters().Known(ctx, tenancy.Everything(), []agent.ID{v.ID})
	if err != nil {
		return Cluster{}, fmt.Errorf("read what is known of the cluster: %w", err)
	}
	out := Cluster{Agent: v, Known: known[v.ID]}
	_, wanted, err := a.Store.Assignments().OfAgent(ctx, v.ID)
	if err != nil {
		return Cluster{}, fmt.Errorf("list the agent's assignments: %w", err)
	}
	for _, w := range wanted {
		if w.State == delivery.Removing {
			out.Leaving++
		} else {
			out.Assigned++
		}
	}
	if out.Known.Drain != nil {
		out.Draining, err = a.leaving(ctx, v.ID, *out.Known.Drain, wanted)
	}
	return out, err
}

// leaving says what a drain does to what stands in the cluster.
func (a *App) leaving(ctx context.Context, id agent.ID, d cluster.Drain, wanted []delivery.Wanted) ([]Leaving, error) {
	out, ids := []Leaving{}, []stack.ID{}
	for _, w := range wanted {
		l := Leaving{Stack: w.Stack, Name: w.StackName, Removing: w.State == delivery.Removing}
		if at, ok := d.Released[w.Stack]; ok {
			l.ReleasedAt = &at
		} else if d.Budget == 0 {
			l.ReleasedAt = &d.Since
		}
		if l.Removing && l.ReleasedAt == nil {
			continue // it goes for another reason
		}
		out, ids = append(out, l), append(ids, w.Stack)
	}
	priors, err := a.Store.Facts().Prior(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read where else the stacks are: %w", err)
	}
	for i, l := range out {
		for other, as := range priors[l.Stack] {
			if other != id && as.State == delivery.Assigned {
				out[i].Elsewhere++
			}
		}
	}
	slices.SortFunc(out, func(x, y Leaving) int { return strings.Compare(x.Name+string(x.Stack), y.Name+string(y.Stack)) })
	return out, nil
}

// changeCluster runs one change of what operators say of a cluster. Only one that changes something is noted and told to placement.
func (a *App) changeCluster(ctx context.Context, id agent.ID, act audit.Action, what string, data map[string]any, fn func(ctx context.Context, tx ports.Repositories) (bool, error)) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		changed, err := fn(ctx, tx)
		if err != nil || !changed {
			return err
		}
		if err := a.did(ctx, tx, changedPart(act, string(id), data)); err != nil {
			return err
		}
		told := map[string]any{"agent_id": id, "change": what}
		return tx.Outbox().Append(ctx, a.agentEvent(ctx, event.AgentChanged, id, a.now(), told))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// by names who asks, as cordons and drains keep it.
func by(p tenancy.Principal) string { return string(p.Role) + " " + string(p.Credential) }

// Cordon keeps new stacks away from a cluster. One that is cordoned already stays as it is. Under a plan it is done only as long as
// the plan is true (else Conflict, plan_outdated), as each change of a cluster here and in agentparts.go.
func (a *App) Cordon(ctx context.Context, p tenancy.Principal, id agent.ID, reason, plan string) (Cluster, error) {
	if err := cluster.CheckReason(reason); err != nil {
		return Cluster{}, err
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, Cordon: true}), plan); err != nil {
		return Cluster{}, err
	}
	err := a.changeCluster(ctx, id, audit.AgentCordoned, "cordon", map[string]any{"reason": reason}, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		return tx.Clusters().Cordon(ctx, id, &cluster.Cordon{Since: a.now(), By: by(p), Reason: reason})
	})
	if err != nil {
		return Cluster{}, err
	}
	return a.Cluster(ctx, p, id)
}

// Uncordon ends a cordon, and a drain with it.
func (a *App) Uncordon(ctx context.Context, p tenancy.Principal, id agent.ID, plan string) (Cluster, error) {
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, Uncordon: true}), plan); err != nil {
		return Cluster{}, err
	}
	err := a.changeCluster(ctx, id, audit.AgentUncordoned, "uncordon", map[string]any{}, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		return tx.Clusters().Cordon(ctx, id, nil)
	})
	if err != nil {
		return Cluster{}, err
	}
	return a.Cluster(ctx, p, id)
}

// Drain is what a drain is asked for with.
type Drain struct {
	Budget int
	Reason string
	DryRun bool // says what would go, and changes nothing
}

// Drain empties a cluster: at most Budget stacks at a time, all at once if it is 0. It cordons the cluster. A drain that runs
// goes on with the new budget.
func (a *App) Drain(ctx context.Context, p tenancy.Principal, id agent.ID, d Drain, plan string) (Cluster, error) {
	if err := cluster.CheckReason(d.Reason); err != nil {
		return Cluster{}, err
	}
	if d.Budget < 0 || d.Budget > maxBudget {
		return Cluster{}, fault.Newf(fault.Invalid, "invalid_drain", "the budget is %d, not between 0 (no bound) and %d", d.Budget, maxBudget)
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, Drain: true}), plan); err != nil {
		return Cluster{}, err
	}
	start := cluster.Drain{Since: a.now(), By: by(p), Reason: d.Reason, Budget: d.Budget}
	if d.DryRun {
		return a.wouldDrain(ctx, p, id, start)
	}
	err := a.changeCluster(ctx, id, audit.AgentDrained, "drain", map[string]any{"budget": d.Budget, "reason": d.Reason}, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		return tx.Drains().Start(ctx, id, start)
	})
	if err != nil {
		return Cluster{}, err
	}
	return a.Cluster(ctx, p, id)
}

func (a *App) wouldDrain(ctx context.Context, p tenancy.Principal, id agent.ID, d cluster.Drain) (Cluster, error) {
	out, err := a.Cluster(ctx, p, id)
	if err != nil {
		return Cluster{}, err
	}
	if was := out.Known.Drain; was != nil {
		d.Since, d.Released = was.Since, was.Released
	}
	_, wanted, err := a.Store.Assignments().OfAgent(ctx, id)
	if err != nil {
		return Cluster{}, fmt.Errorf("list the agent's assignments: %w", err)
	}
	if out.Known.Cordon == nil {
		out.Known.Cordon = &cluster.Cordon{Since: d.Since, By: d.By, Reason: d.Reason}
	}
	out.Known.Drain = &d
	out.Draining, err = a.leaving(ctx, id, d, wanted)
	return out, err
}

// EndDrain ends a drain and leaves the cordon; what has gone does not come back by it.
func (a *App) EndDrain(ctx context.Context, id agent.ID) error {
	return a.changeCluster(ctx, id, audit.AgentDrainEnded, "end drain", map[string]any{}, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		ended, err := tx.Drains().End(ctx, id)
		if err == nil && !ended {
			return false, fault.New(fault.NotFound, "drain_not_found", "the cluster is not being drained")
		}
		return ended, err
	})
}

// Taints returns a cluster's taints to staff or to the agent itself.
func (a *App) Taints(ctx context.Context, p tenancy.Principal, id agent.ID) ([]cluster.Taint, error) {
	if _, err := a.GetAgent(ctx, p, id); err != nil {
		return nil, err
	}
	known, err := a.Store.Clusters().Known(ctx, tenancy.Everything(), []agent.ID{id})
	if err != nil {
		return nil, fmt.Errorf("read the cluster's taints: %w", err)
	}
	return known[id].Taints, nil
}

// Taint adds a taint, or gives the one with its key and effect another value.
func (a *App) Taint(ctx context.Context, p tenancy.Principal, id agent.ID, t cluster.Taint, plan string) (cluster.Taint, error) {
	effect, err := cluster.ParseEffect(string(t.Effect))
	if err != nil {
		return cluster.Taint{}, err
	}
	t.Effect = effect
	if err := t.Check(); err != nil {
		return cluster.Taint{}, err
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, AddTaints: []cluster.Taint{t}}), plan); err != nil {
		return cluster.Taint{}, err
	}
	t.Since = a.now()
	data := map[string]any{"key": t.Key, "value": t.Value, "effect": string(t.Effect)}
	err = a.changeCluster(ctx, id, audit.AgentTaintAdded, "taint", data, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		changed, err := tx.Clusters().Taint(ctx, id, t)
		if err != nil {
			return false, err
		}
		known, err := tx.Clusters().Known(ctx, tenancy.Everything(), []agent.ID{id})
		if err != nil {
			return false, err
		}
		all := known[id].Taints
		if len(all) > cluster.MaxTaints {
			return false, fault.Newf(fault.Refused, "too_many_taints", "a cluster has at most %d taints", cluster.MaxTaints)
		}
		if i := slices.IndexFunc(all, func(x cluster.Taint) bool { return x.Key == t.Key && x.Effect == t.Effect }); i >= 0 {
			t = all[i]
		}
		return changed, nil
	})
	return t, err
}

// Untaint removes the taint with this key and effect, or with an empty effect all with this key.
func (a *App) Untaint(ctx context.Context, p tenancy.Principal, id agent.ID, key, effect, plan string) error {
	effects, named := cluster.Effects(), key
	if effect != "" {
		named += ":" + effect
		e, err := cluster.ParseEffect(effect)
		if err != nil {
			return err
		}
		effects = []cluster.Effect{e}
	}
	if err := a.stillTrue(ctx, p, ofAgent(PlannedAgent{ID: id, RemoveTaints: []string{named}}), plan); err != nil {
		return err
	}
	return a.changeCluster(ctx, id, audit.AgentTaintRemoved, "remove taint", map[string]any{"key": key, "effect": effect}, func(ctx context.Context, tx ports.Repositories) (bool, error) {
		var missing error
		removed := false
		for _, e := range effects {
			switch err := tx.Clusters().Untaint(ctx, id, key, e); {
			case err == nil:
				removed = true
			case fault.CodeOf(err) == "agent_taint_not_found":
				missing = err
			default:
				return false, err
			}
		}
		if !removed {
			return false, missing
		}
		return true, nil
	})
}
