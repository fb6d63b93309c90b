package http

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// planOp is a POST that changes nothing.
const planOp = "plan_placement"

type (
	planRequestJSON struct {
		Policy *struct {
			PolicyID string          `json:"policy_id"`
			Document json.RawMessage `json:"document"`
		} `json:"policy"`
		Attach *struct {
			StackID  string `json:"stack_id"`
			PolicyID string `json:"policy_id"`
		} `json:"attach"`
		Agents []plannedAgentJSON `json:"agents"`
	}
	plannedAgentJSON struct {
		AgentID           string            `json:"agent_id"`
		AddLabels         []string          `json:"add_labels"`
		RemoveLabels      []string          `json:"remove_labels"`
		SetAnnotations    map[string]string `json:"set_annotations"`
		RemoveAnnotations []string          `json:"remove_annotations"`
		AddTaints         []taintBody       `json:"add_taints"`
		RemoveTaints      []string          `json:"remove_taints"`
		Cordon            bool              `json:"cordon"`
		Uncordon          bool              `json:"uncordon"`
		Drain             bool              `json:"drain"`
		Lost              bool              `json:"lost"`
	}
	taintBody struct {
		Key    string         `json:"key"`
		Value  string         `json:"value"`
		Effect cluster.Effect `json:"effect"`
	}
	planJSON struct {
		ID        string             `json:"id"`
		Stacks    []plannedStackJSON `json:"stacks"`
		Unchanged int                `json:"unchanged"`
		Warnings  []problemJSON      `json:"warnings"`
	}
	plannedStackJSON struct {
		StackID   stack.ID             `json:"stack_id"`
		StackName string               `json:"stack_name"`
		Gains     []plannedClusterJSON `json:"gains"`
		Loses     []plannedClusterJSON `json:"loses"`
		Stays     int                  `json:"stays"`
		Hold      *placement.Hold      `json:"hold"`
		Unmet     *placement.Unmet     `json:"unmet"`
	}
	plannedClusterJSON struct {
		AgentID     agent.ID `json:"agent_id"`
		AgentName   string   `json:"agent_name"`
		ClusterName string   `json:"cluster_name"`
		Reason      string   `json:"reason"`
	}
)

func planOf(p app.Plan) planJSON {
	clusters := func(list []app.PlannedCluster) []plannedClusterJSON {
		return each(list, func(c app.PlannedCluster) plannedClusterJSON {
			v := p.Agents[c.Agent]
			return plannedClusterJSON{AgentID: c.Agent, AgentName: v.Name, ClusterName: v.ClusterName, Reason: c.Reason}
		})
	}
	return planJSON{
		ID: p.ID, Unchanged: p.Unchanged, Warnings: each(p.Warnings, func(w app.PolicyProblem) problemJSON { return problemJSON{w.Path, w.Message} }),
		Stacks: each(p.Stacks, func(s app.PlannedStack) plannedStackJSON {
			return plannedStackJSON{StackID: s.Stack, StackName: s.Name, Gains: clusters(s.Gains), Loses: clusters(s.Loses), Stays: s.Stays, Hold: holdOf(s.Hold), Unmet: s.Unmet}
		}),
	}
}

// planRequest reads what is only thought of.
func planRequest(r *http.Request) (app.PlanRequest, error) {
	b, err := rpc.JSON[planRequestJSON](r)
	if err != nil {
		return app.PlanRequest{}, err
	}
	var out app.PlanRequest
	if b.Policy != nil {
		v, err := id.Parse[policy.ID]("policy_id", b.Policy.PolicyID)
		if err != nil {
			return out, err
		}
		out.Policy = &app.PlannedPolicy{ID: v, Text: app.PolicyText{Content: b.Policy.Document}}
	}
	if b.Attach != nil {
		s, err := id.Parse[stack.ID]("stack_id", b.Attach.StackID)
		if err != nil {
			return out, err
		}
		v, err := id.Parse[policy.ID]("policy_id", b.Attach.PolicyID)
		if err != nil {
			return out, err
		}
		out.Attach = &app.PlannedAttachment{Stack: s, Policy: v}
	}
	for _, x := range b.Agents {
		p, err := x.planned()
		if err != nil {
			return out, err
		}
		out.Agents = append(out.Agents, p)
	}
	return out, nil
}

func (x plannedAgentJSON) planned() (app.PlannedAgent, error) {
	v, err := id.Parse[agent.ID]("agent_id", x.AgentID)
	if err != nil {
		return app.PlannedAgent{}, err
	}
	out := app.PlannedAgent{
		ID: v, AddLabels: x.AddLabels, RemoveLabels: x.RemoveLabels, SetAnnotations: x.SetAnnotations, RemoveAnnotations: x.RemoveAnnotations,
		RemoveTaints: x.RemoveTaints, Cordon: x.Cordon, Uncordon: x.Uncordon, Drain: x.Drain, Lost: x.Lost,
	}
	for _, t := range x.AddTaints {
		known := false
		for _, e := range cluster.Effects() {
			known = known || e == t.Effect
		}
		if !known || t.Key == "" {
			return out, fault.Newf(fault.Invalid, "invalid_taint", "a taint has a key and an effect of %v, not %q with %q", cluster.Effects(), t.Key, t.Effect)
		}
		out.AddTaints = append(out.AddTaints, cluster.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return out, nil
}

// underPlan is a change that is made only as long as a plan of it is true; an empty one is no plan.
type underPlan[T any] struct {
	change T
	plan   string
}

// planned also reads ?plan=.
func planned[T any](d rpc.Decoder[T]) rpc.Decoder[underPlan[T]] {
	return func(r *http.Request) (underPlan[T], error) {
		v, err := d(r)
		return underPlan[T]{change: v, plan: r.URL.Query().Get("plan")}, err
	}
}

func planRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		act(planOp, "/placement/plan", operate(Generator), planRequest, func(ctx context.Context, q app.PlanRequest) (planJSON, error) {
			out, err := a.Plan(ctx, who(ctx), q)
			return planOf(out), err
		}),
	}
}
