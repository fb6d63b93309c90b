package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// PlannedPolicy is a document that somebody thinks of for a policy.
type PlannedPolicy struct {
	ID   policy.ID
	Text PolicyText
}

// PlannedAgent is what somebody thinks of for a cluster. As JSON it names a plan: what is not given is left out there.
type PlannedAgent struct {
	ID                agent.ID
	AddLabels         []string          `json:",omitempty"`
	RemoveLabels      []string          `json:",omitempty"`
	SetAnnotations    map[string]string `json:",omitempty"`
	RemoveAnnotations []string          `json:",omitempty"`
	AddTaints         []cluster.Taint   `json:",omitempty"`
	RemoveTaints      []string          `json:",omitempty"` // key: all of its effects; or key:effect
	Cordon            bool              `json:",omitempty"`
	Uncordon          bool              `json:",omitempty"` // which ends a drain too
	Drain             bool              `json:",omitempty"` // as if everything that has to go had gone
	Lost              bool              `json:",omitempty"` // as if its agent had been silent for as long as any policy waits
}

// PlanRequest is a change that is only thought of. One of its parts is given at least.
type PlanRequest struct {
	Policy *PlannedPolicy
	Attach *PlannedAttachment
	Agents []PlannedAgent
}

// PlannedAttachment is a policy that somebody thinks of for a stack.
type PlannedAttachment struct {
	Stack  stack.ID
	Policy policy.ID
}

// Plan is what a change would come to. Its id says so much that two plans with one id come to the same.
type Plan struct {
	ID        string
	Stacks    []PlannedStack // whose clusters would change, or that would be held or lack some; by name
	Unchanged int            // stacks that were looked at and stay as they are
	Warnings  []PolicyProblem
	Agents    map[agent.ID]agent.Agent
}

// PlannedStack is what a plan does to one stack.
type PlannedStack struct {
	Stack stack.ID
	Name  string
	Gains []PlannedCluster
	Loses []PlannedCluster
	Stays int
	Hold  *placement.Hold
	Unmet *placement.Unmet // what is asked for beyond what the fleet has
}

// PlannedCluster is a cluster that a stack gains or loses, and why.
type PlannedCluster struct {
	Agent  agent.ID
	Reason string
}

const (
	maxPlannedAgents = 1000
	longAgo          = 100 * 365 * 24 * time.Hour
)

// Plan says what a change would come to and writes nothing: to staff for everything, to a generator for its own stacks and the
// clusters that it sees. A policy, a stack or an agent that is not there for the asker is NotFound. Limited (too_many_plans) if there is no
// turn for it; it ends early, with ctx's error, when ctx does.
func (a *App) Plan(ctx context.Context, p tenancy.Principal, q PlanRequest) (Plan, error) {
	if q.Policy == nil && q.Attach == nil && len(q.Agents) == 0 {
		return Plan{}, fault.New(fault.Invalid, "invalid_plan", "the plan changes nothing: give a policy, an attachment or agents")
	}
	if len(q.Agents) > maxPlannedAgents {
		return Plan{}, fault.Newf(fault.Invalid, "invalid_plan", "the plan names %d agents; %d are allowed", len(q.Agents), maxPlannedAgents)
	}
	for _, x := range q.Agents {
		if x.Uncordon && (x.Cordon || x.Drain) {
			return Plan{}, fault.Newf(fault.Invalid, "invalid_plan", "agent %s would be cordoned or drained and uncordoned at once", x.ID)
		}
	}
	end, err := a.foresee(ctx, p)
	if err != nil {
		return Plan{}, err
	}
	defer end()
	now := a.now()
	w, err := a.readDeciding(ctx, a.Store, nil)
	if err != nil {
		return Plan{}, err
	}
	before := w.copy()
	warnings, err := a.change(ctx, p, w, q, now)
	if err != nil {
		return Plan{}, err
	}
	changed := map[agent.ID]placement.Cluster{}
	for _, x := range q.Agents {
		if c, ok := before.clusters[x.ID]; ok {
			changed[x.ID] = c
		}
	}
	out, err := compare(ctx, p, before, w, changed, now)
	if err != nil {
		return Plan{}, err
	}
	out.Warnings = warnings
	if out.Agents, err = a.fleet(ctx); err != nil {
		return Plan{}, err
	}
	if !p.IsStaff() {
		err = a.hide(ctx, p, &out)
	}
	if err == nil {
		out.ID, err = planID(q, out)
	}
	return out, err
}

// change makes the change of q in w.
func (a *App) change(ctx context.Context, p tenancy.Principal, w *deciding, q PlanRequest, now time.Time) ([]PolicyProblem, error) {
	for _, x := range q.Agents {
		if _, err := a.Store.Agents().Get(ctx, tenancy.ScopeOf(p), x.ID); err != nil {
			return nil, fmt.Errorf("get agent %s: %w", x.ID, err)
		}
		if c, ok := w.clusters[x.ID]; ok {
			w.clusters[x.ID] = x.on(c, now)
		}
	}
	var warnings []PolicyProblem
	if q.Policy != nil {
		stored, err := ownPolicy(ctx, a.Store, p, q.Policy.ID)
		if err != nil {
			return nil, err
		}
		d, more, err := a.readPolicy(q.Policy.Text)
		if err != nil {
			return nil, err
		}
		text, err := d.Encode()
		if err != nil {
			return nil, err
		}
		q.Policy.Text = PolicyText{Content: text} // the plan is named by what the document says, not by how it was typed
		tried, err := a.tryWhereItDecides(ctx, a.Store, stored.ID, d)
		if err != nil {
			return nil, err
		}
		if err := a.noCycle(ctx, a.Store, stored.Generator, d, closesAll(stored.ID)); err != nil {
			return nil, err
		}
		reviewed, err := a.review(ctx, a.Store, stored.Generator, d)
		if err != nil {
			return nil, err
		}
		warnings = slices.Concat(more, tried, reviewed)
		stored.Document, stored.Revision = d, stored.Revision+1
		if err := w.revise(a, stored); err != nil {
			return nil, err
		}
	}
	if q.Attach != nil {
		s, err := ownStack(ctx, a.Store, p, q.Attach.Stack)
		if err != nil {
			return nil, err
		}
		v, err := a.Store.Policies().Get(ctx, tenancy.Scope{Generator: s.Generator}, q.Attach.Policy)
		if err != nil {
			return nil, fmt.Errorf("get placement policy: %w", err)
		}
		if err := a.noCycle(ctx, a.Store, s.Generator, v.Document, closesOne(s.ID)); err != nil {
			return nil, err
		}
		if err := w.know(a, v); err != nil {
			return nil, err
		}
		if sub, ok := w.subjects[s.ID]; ok {
			sub.Policy = &policy.Ref{ID: v.ID, Name: v.Name, Revision: v.Revision, By: policy.ByStack}
			w.subjects[s.ID] = sub
		}
	}
	return warnings, nil
}

// on returns what would be known of c.
func (x PlannedAgent) on(c placement.Cluster, now time.Time) placement.Cluster {
	c.Labels, c.Annotations = maps.Clone(c.Labels), maps.Clone(c.Annotations)
	for _, l := range x.RemoveLabels {
		delete(c.Labels, l)
	}
	for _, l := range x.AddLabels {
		c.Labels[l] = true
	}
	for _, k := range x.RemoveAnnotations {
		delete(c.Annotations, k)
	}
	maps.Copy(c.Annotations, x.SetAnnotations)
	c.Taints = slices.DeleteFunc(slices.Clone(c.Taints), func(t cluster.Taint) bool {
		return slices.Contains(x.RemoveTaints, t.Key) || slices.Contains(x.RemoveTaints, t.Key+":"+string(t.Effect))
	})
	for _, t := range x.AddTaints {
		t.Since = now
		c.Taints, _ = cluster.Tainted(c.Taints, t)
	}
	if x.Uncordon {
		c.Cordon, c.Drain = nil, nil
	}
	if x.Cordon || x.Drain {
		c.Cordon = &cluster.Cordon{Since: now}
	}
	if x.Drain {
		c.Drain = &cluster.Drain{Since: now}
	}
	if x.Lost {
		at := now.Add(-longAgo)
		c.UnreachableSince = &at
	}
	return c
}

// hide leaves out what a generator may not see: it is told of clusters that are registered with it, or have the stack.
func (a *App) hide(ctx context.Context, p tenancy.Principal, out *Plan) error {
	for i := range out.Stacks {
		visible, err := a.visibleClusters(ctx, p, out.Stacks[i].Stack)
		if err != nil {
			return err
		}
		unseen := func(c PlannedCluster) bool { return !visible[c.Agent] }
		out.Stacks[i].Gains = slices.DeleteFunc(out.Stacks[i].Gains, unseen)
		out.Stacks[i].Loses = slices.DeleteFunc(out.Stacks[i].Loses, unseen)
	}
	return nil
}

// planID is a digest of what is changed and of what it comes to, without the reasons and the time.
func planID(q PlanRequest, out Plan) (string, error) {
	type moved struct {
		Stack        stack.ID
		Gains, Loses []agent.ID
		Held         string
	}
	ids := func(list []PlannedCluster) []agent.ID {
		all := make([]agent.ID, len(list))
		for i, c := range list {
			all[i] = c.Agent
		}
		slices.Sort(all)
		return all
	}
	var all []moved
	for _, s := range out.Stacks {
		m := moved{Stack: s.Stack, Gains: ids(s.Gains), Loses: ids(s.Loses)}
		if s.Hold != nil {
			m.Held = s.Hold.Fingerprint
		}
		all = append(all, m)
	}
	text, err := json.Marshal(struct {
		Request PlanRequest
		Outcome []moved
	}{q, all})
	if err != nil {
		return "", fmt.Errorf("name the plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// stillTrue refuses a change whose plan would come to something else by now (Conflict, code plan_outdated). An empty id is no plan.
func (a *App) stillTrue(ctx context.Context, p tenancy.Principal, q PlanRequest, plan string) error {
	if plan == "" {
		return nil
	}
	now, err := a.Plan(ctx, p, q)
	if err != nil {
		return err
	}
	if now.ID != plan {
		return fault.New(fault.Conflict, "plan_outdated", "since the plan was made the world has moved, or it is a plan of another change: this one would come to something else; plan again").
			With("plan_id", now.ID)
	}
	return nil
}

// ofAgent is a change of one cluster alone.
func ofAgent(x PlannedAgent) PlanRequest { return PlanRequest{Agents: []PlannedAgent{x}} }
