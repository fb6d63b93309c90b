package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// offlineAfter is the silence after which an agent is called offline: more than one parked sync and its retry.
const offlineAfter = 2 * time.Minute

// StackStatus is how far a stack is, cluster by cluster.
type StackStatus struct {
	Subject  placement.Subject
	Clusters []ClusterStatus
	Summary  Summary
	Blocked  []placement.Blocked      // clusters that keep what they have though something else is wanted; those that the asker may see
	Agents   map[agent.ID]agent.Agent // of the fleet; deleted ones are absent
}

// ClusterStatus is how far one cluster is with a stack.
type ClusterStatus struct {
	Agent     agent.Agent
	Wanted    delivery.Wanted
	Applied   *AppliedObject // what the agent last said it has applied; nil if nothing, or if it is between two
	Phase     delivery.Phase // of what is wanted now; pending until the agent has said something about it
	Health    delivery.Health
	Message   string
	Since     time.Time
	BlockedOn string // in words, why nothing happens; empty if something does
}

// AppliedObject names a deployment object.
type AppliedObject struct {
	Object   stack.ObjectID
	Sequence stack.Sequence
}

// Summary counts clusters. Applied, Healthy and Failed count those where it is true of the object that is wanted.
type Summary struct{ Wanted, Applied, Healthy, Failed, Removing int }

// StackStatus returns the status of a stack to an admin or its owner; a deleted one answers until its last tombstone is collected.
func (a *App) StackStatus(ctx context.Context, p tenancy.Principal, s stack.ID) (StackStatus, error) {
	sub, err := a.subject(ctx, p, s)
	if err != nil {
		return StackStatus{}, err
	}
	if sub.Hold, err = a.until(ctx, sub.Hold); err != nil {
		return StackStatus{}, err
	}
	wanted, err := a.Store.Assignments().OfStack(ctx, s)
	if err != nil {
		return StackStatus{}, fmt.Errorf("list the stack's assignments: %w", err)
	}
	agents, err := a.fleet(ctx)
	if err != nil {
		return StackStatus{}, err
	}
	out := StackStatus{Subject: sub, Clusters: make([]ClusterStatus, 0, len(wanted)), Agents: agents}
	if out.Blocked, err = a.visibleBlocked(ctx, p, sub); err != nil {
		return StackStatus{}, err
	}
	now := a.Now()
	for _, w := range wanted {
		c := clusterStatus(w, agents[w.Agent])
		c.BlockedOn = blocker(c, sub, now)
		out.Summary.add(c)
		out.Clusters = append(out.Clusters, c)
	}
	return out, nil
}

// visibleBlocked returns the clusters that keep what they have, without those that the asker may not see.
func (a *App) visibleBlocked(ctx context.Context, p tenancy.Principal, sub placement.Subject) ([]placement.Blocked, error) {
	if p.IsStaff() || len(sub.Blocked) == 0 {
		return sub.Blocked, nil
	}
	visible, err := a.visibleClusters(ctx, p, sub.Stack)
	if err != nil {
		return nil, err
	}
	var out []placement.Blocked
	for _, b := range placement.CopyBlocked(sub.Blocked) {
		if b.Agents = slices.DeleteFunc(b.Agents, func(v agent.ID) bool { return !visible[v] }); len(b.Agents) > 0 {
			out = append(out, b)
		}
	}
	return out, nil
}

func clusterStatus(w delivery.Wanted, v agent.Agent) ClusterStatus {
	c := ClusterStatus{Agent: v, Wanted: w, Phase: delivery.PhasePending, Health: delivery.HealthUnknown, Since: w.Since}
	st := w.Status
	if st == nil {
		return c
	}
	c.Health = st.Health
	if st.Phase == delivery.PhaseApplied {
		c.Applied = &AppliedObject{Object: st.Object, Sequence: st.Sequence}
	}
	if answers(*st, w) {
		c.Phase, c.Message, c.Since = st.Phase, st.Message, st.Since
	}
	return c
}

// answers reports whether what the agent last said is about what is wanted now.
func answers(st delivery.Status, w delivery.Wanted) bool {
	if w.State == delivery.Removing {
		return (st.Phase == delivery.PhaseRemoving || st.Phase == delivery.PhaseRemoved || st.Phase == delivery.PhaseFailed) &&
			!st.ReportedAt.Before(w.Since)
	}
	return st.Object == w.Object && st.Phase != delivery.PhaseRemoving && st.Phase != delivery.PhaseRemoved
}

func (s *Summary) add(c ClusterStatus) {
	if c.Wanted.State == delivery.Removing {
		s.Removing++
		return
	}
	s.Wanted++
	applied := c.Phase == delivery.PhaseApplied
	if applied {
		s.Applied++
	}
	if applied && c.Health == delivery.HealthHealthy {
		s.Healthy++
	}
	if c.Phase == delivery.PhaseFailed || (applied && c.Health == delivery.HealthFailing) {
		s.Failed++
	}
}

// waits says what ends a hold.
func waits(h placement.Hold) string {
	switch {
	case h.Cause == placement.HoldFleet && h.Until != nil:
		return "until " + h.Until.UTC().Format(time.RFC3339) + " if nothing else happens, or for an approval"
	case h.Cause == placement.HoldFleet:
		return "until the window has room, or for an approval"
	case h.Cause == placement.HoldNowhere:
		return "until another cluster has the stack, or for an approval"
	default:
		return "for an approval"
	}
}

// blocker says what keeps a cluster from getting on, and what a person can do about it.
func blocker(c ClusterStatus, sub placement.Subject, now time.Time) string {
	hold := sub.Hold
	v, live := c.Agent, c.Agent.Liveness.LastHeartbeat
	held := hold != nil && slices.Contains(hold.Removes, c.Wanted.Agent)
	switch {
	case held:
		return "held decision: " + hold.Reason + "; it waits " + waits(*hold) + " (POST /api/v1/stacks/" + string(c.Wanted.Stack) + "/placement/approve)"
	case keeps(sub, c.Wanted.Agent) != "":
		return keeps(sub, c.Wanted.Agent)
	case c.Phase == delivery.PhaseApplied:
		return ""
	case v.ID == "":
		return "the agent is deleted; nothing can be done in its cluster"
	case live == nil && c.Wanted.Status == nil && v.Status != agent.Active: // heartbeats are stored a moment after reports
		return "agent " + v.Name + " has never connected, and it is inactive; start it with its PAK and " + activate(v)
	case live == nil && c.Wanted.Status == nil:
		return "agent " + v.Name + " has never connected; start it in its cluster with its PAK (brokkr-agent start)"
	case v.Status != agent.Active:
		return "agent " + v.Name + " is inactive; " + activate(v)
	case live != nil && now.Sub(*live) > offlineAfter:
		return "agent " + v.Name + " is offline since " + live.UTC().Format(time.RFC3339)
	case v.Liveness.K8sReachable != nil && !*v.Liveness.K8sReachable:
		return "agent " + v.Name + " cannot reach its Kubernetes API"
	default:
		return ""
	}
}

// keeps says why the cluster keeps what it has though something else is wanted; nothing if it does not.
func keeps(sub placement.Subject, a agent.ID) string {
	for _, b := range sub.Blocked {
		if slices.Contains(b.Agents, a) {
			return "the cluster keeps what it has: " + b.Override + " of the policy: " + b.Reason + "; mend the policy, or publish what it fits"
		}
	}
	return ""
}

func activate(v agent.Agent) string {
	return `activate it: PUT /api/v1/agents/` + string(v.ID) + ` {"status":"ACTIVE"}`
}
