package http

import (
	"context"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	cordonBody struct {
		Reason string `json:"reason"`
	}
	drainBody struct {
		Budget int    `json:"budget"`
		Reason string `json:"reason"`
		DryRun bool   `json:"dry_run"`
	}
	newTaintBody struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Effect string `json:"effect"`
	}
	taintRef struct {
		id          agent.ID
		key, effect string
	}

	knownJSON struct {
		AgentID          agent.ID             `json:"agent_id"`
		AgentName        string               `json:"agent_name"`
		ClusterName      string               `json:"cluster_name"`
		Reachability     cluster.Reachability `json:"reachability"`
		UnreachableSince *time.Time           `json:"unreachable_since"`
		LastHeartbeat    *time.Time           `json:"last_heartbeat"`
		K8sReachable     *bool                `json:"k8s_reachable"`
		Status           *cluster.Status      `json:"status"` // null: none was reported
		ReportedAt       *time.Time           `json:"status_reported_at"`
		ChangedAt        *time.Time           `json:"status_changed_at"`
		Available        *resourcesJSON       `json:"available"` // null: it is not known
		Taints           []cluster.Taint      `json:"taints"`
		Cordon           *cluster.Cordon      `json:"cordon"`
		Drain            *drainJSON           `json:"drain"`
		AssignedStacks   int                  `json:"assigned_stacks"`
		LeavingStacks    int                  `json:"leaving_stacks"`
		DryRun           bool                 `json:"dry_run"`
	}
	resourcesJSON = cluster.Resources
	drainJSON     struct {
		cluster.Drain
		Moving  int           `json:"moving"`
		Waiting int           `json:"waiting"`
		Done    bool          `json:"done"`
		Stacks  []leavingJSON `json:"stacks"`
	}
	leavingJSON struct {
		StackID    stack.ID   `json:"stack_id"`
		StackName  string     `json:"stack_name"`
		State      string     `json:"state"` // waiting | released | removing
		ReleasedAt *time.Time `json:"released_at"`
		Elsewhere  int        `json:"elsewhere"`
	}
)

func knownOf(c app.Cluster) knownJSON {
	k := c.Known
	out := knownJSON{
		AgentID: c.Agent.ID, AgentName: c.Agent.Name, ClusterName: c.Agent.ClusterName,
		Reachability: k.Reachability(c.Agent.Liveness.LastHeartbeat != nil), UnreachableSince: k.UnreachableSince,
		LastHeartbeat: c.Agent.Liveness.LastHeartbeat, K8sReachable: c.Agent.Liveness.K8sReachable, ReportedAt: k.ReportedAt, ChangedAt: k.ChangedAt,
		Taints: each(k.Taints, func(t cluster.Taint) cluster.Taint { return t }), Cordon: k.Cordon, AssignedStacks: c.Assigned, LeavingStacks: c.Leaving,
	}
	if k.ReportedAt != nil {
		out.Status = &k.Status
		if k.Status.Knows(cluster.PartNodes) && k.Status.Knows(cluster.PartRequested) {
			free := k.Status.Available()
			out.Available = &free
		}
	}
	if k.Drain != nil {
		out.Drain = drainOf(*k.Drain, c.Draining)
	}
	return out
}

func drainOf(d cluster.Drain, stacks []app.Leaving) *drainJSON {
	out := &drainJSON{Drain: d, Stacks: make([]leavingJSON, len(stacks)), Done: len(stacks) == 0}
	for i, l := range stacks {
		j := leavingJSON{StackID: l.Stack, StackName: l.Name, State: "waiting", ReleasedAt: l.ReleasedAt, Elsewhere: l.Elsewhere}
		switch {
		case l.Removing:
			j.State = "removing"
			out.Moving++
		case l.ReleasedAt != nil:
			j.State = "released"
			out.Moving++
		default:
			out.Waiting++
		}
		out.Stacks[i] = j
	}
	return out
}

// taintList says how the taints of a cluster are listed.
func taintList() page.List[cluster.Taint] {
	return page.List[cluster.Taint]{
		ID:      func(t cluster.Taint) string { return named("taint", t.Key+":"+string(t.Effect)) },
		Sorts:   []page.Sort[cluster.Taint]{{Name: "key", Key: func(t cluster.Taint) string { return t.Key }}},
		InPages: true,
	}
}

func findTaint(r *http.Request) (taintRef, error) {
	p, err := idAndText[agent.ID]("key")(r)
	return taintRef{id: p.id, key: p.key, effect: r.URL.Query().Get("effect")}, err
}

func clusterRoutes(a *app.App) []rpc.Route {
	same := func(t cluster.Taint) cluster.Taint { return t }
	return []rpc.Route{
		get("get_agent_cluster", "/agents/{id}/cluster", view(AgentSelf), justID[agent.ID], func(ctx context.Context, v agent.ID) (knownJSON, error) {
			out, err := a.Cluster(ctx, who(ctx), v)
			return knownOf(out), err
		}),
		act("cordon_agent", "/agents/{id}/cordon", operate(Admin), planned(idAndMaybe[agent.ID, cordonBody]), func(ctx context.Context, r underPlan[of[agent.ID, cordonBody]]) (knownJSON, error) {
			out, err := a.Cordon(ctx, who(ctx), r.change.id, r.change.body.Reason, r.plan)
			return knownOf(out), err
		}),
		act("uncordon_agent", "/agents/{id}/uncordon", operate(Admin), planned(justID[agent.ID]), func(ctx context.Context, r underPlan[agent.ID]) (knownJSON, error) {
			out, err := a.Uncordon(ctx, who(ctx), r.change, r.plan)
			return knownOf(out), err
		}),
		act("drain_agent", "/agents/{id}/drain", operate(Admin), planned(idAndMaybe[agent.ID, drainBody]), func(ctx context.Context, r underPlan[of[agent.ID, drainBody]]) (knownJSON, error) {
			out, err := a.Drain(ctx, who(ctx), r.change.id, app.Drain(r.change.body), r.plan)
			j := knownOf(out)
			j.DryRun = r.change.body.DryRun
			return j, err
		}),
		del("end_agent_drain", "/agents/{id}/drain", operate(Admin), justID[agent.ID], a.EndDrain),
		list("agents_list_taints", "/agents/{id}/taints", view(AgentSelf), taintList(), justID[agent.ID], rpc.Short(taintList(), func(ctx context.Context, v agent.ID) ([]cluster.Taint, error) {
			return a.Taints(ctx, who(ctx), v)
		}), same),
		put("agents_put_taint", "/agents/{id}/taints", operate(Admin), planned(idAnd[agent.ID, newTaintBody]), func(ctx context.Context, r underPlan[of[agent.ID, newTaintBody]]) (cluster.Taint, error) {
			t := r.change.body
			return a.Taint(ctx, who(ctx), r.change.id, cluster.Taint{Key: t.Key, Value: t.Value, Effect: cluster.Effect(t.Effect)}, r.plan)
		}),
		del("agents_remove_taint", "/agents/{id}/taints/{key}", operate(Admin), planned(findTaint), func(ctx context.Context, r underPlan[taintRef]) error {
			return a.Untaint(ctx, who(ctx), r.change.id, r.change.key, r.change.effect, r.plan)
		}),
	}
}
