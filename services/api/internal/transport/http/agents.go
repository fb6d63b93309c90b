package http

import (
	"context"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	newAgentJSON struct {
		Name         string            `json:"name"`
		ClusterName  string            `json:"cluster_name"`
		GeneratorIDs []string          `json:"generator_ids"`
		Labels       []string          `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		Status       string            `json:"status"`
	}
	agentChangeJSON struct {
		Name        *string `json:"name"`
		ClusterName *string `json:"cluster_name"`
		Status      *string `json:"status"`
	}
	agentQuery struct{ name, cluster string }
)

func findAgent(r *http.Request) (agentQuery, error) {
	q := r.URL.Query()
	return agentQuery{name: q.Get("name"), cluster: q.Get("cluster_name")}, nil
}

func agentTagged(v agent.Agent) rpc.Tagged {
	return rpc.Tagged{Tag: app.AgentTag(v), Body: agentOf(v)}
}

func agentRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_agents", "/agents", view(Generator), agent.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[agent.Agent], error) {
			return a.ListAgents(ctx, who(ctx), q)
		}, agentOf),
		post("create_agent", "/agents", operate(Admin), rpc.JSON[newAgentJSON], func(ctx context.Context, n newAgentJSON) (agentCreatedJSON, error) {
			v, key, err := a.CreateAgent(ctx, app.NewAgent{
				Name: n.Name, ClusterName: n.ClusterName, Status: n.Status, Generators: n.GeneratorIDs, Labels: n.Labels, Annotations: n.Annotations,
			})
			return agentCreatedJSON{Agent: agentOf(v), InitialPAK: key.Reveal()}, err
		}).ShowsSecret(),
		get("search_agent", "/agents/", view(AgentSelf), findAgent, func(ctx context.Context, q agentQuery) (agentJSON, error) {
			v, err := a.FindAgent(ctx, who(ctx), q.name, q.cluster)
			return agentOf(v), err
		}),
		get("get_agent", "/agents/{id}", view(AgentSelf), justID[agent.ID], func(ctx context.Context, v agent.ID) (rpc.Tagged, error) {
			out, err := a.GetAgent(ctx, who(ctx), v)
			return agentTagged(out), err
		}),
		put("update_agent", "/agents/{id}", operate(AgentSelf), idAndWhole[agent.ID, agentChangeJSON], func(ctx context.Context, r of[agent.ID, agentChangeJSON]) (rpc.Tagged, error) {
			out, err := a.UpdateAgent(ctx, who(ctx), r.id, app.AgentChange(r.body))
			return agentTagged(out), err
		}).Conditional(),
		del("delete_agent", "/agents/{id}", operate(Admin), justID[agent.ID], a.DeleteAgent).Conditional(),
		act("rotate_agent_pak", "/agents/{id}/rotate-pak", operate(AgentSelf), idAndMaybe[agent.ID, graceJSON], func(ctx context.Context, r of[agent.ID, graceJSON]) (agentRotatedJSON, error) {
			out, key, err := a.RotateAgent(ctx, who(ctx), r.id, r.body.overlap())
			return agentRotatedJSON{Agent: agentOf(out), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		list("get_associated_stacks", "/agents/{id}/stacks", view(AgentSelf), stack.List(), justID[agent.ID], func(ctx context.Context, v agent.ID, q page.Query) (page.Page[stack.Stack], error) {
			return a.AgentStacks(ctx, who(ctx), v, q)
		}, stackOf),
		list("list_agent_registrations", "/agents/{id}/registrations", view(AgentSelf), tenancy.RegistrationList(), justID[agent.ID], rpc.Short(tenancy.RegistrationList(), func(ctx context.Context, v agent.ID) ([]tenancy.Registration, error) {
			return a.AgentRegistrations(ctx, who(ctx), v)
		}), registrationOf),
	}
}

type (
	agentLabelBody struct {
		AgentID string `json:"agent_id"`
		Label   string `json:"label"`
	}
	agentAnnotationBody struct {
		AgentID string `json:"agent_id"`
		Key     string `json:"key"`
		Value   string `json:"value"`
	}
	targetBody struct {
		AgentID string `json:"agent_id"`
		StackID string `json:"stack_id"`
	}
)

// sameAgent refuses a body that names another agent than the path; it may name none.
func sameAgent(path agent.ID, body string) error {
	if body == "" {
		return nil
	}
	v, err := id.Parse[agent.ID]("agent_id", body)
	if err != nil {
		return err
	}
	if v != path {
		return fault.New(fault.Invalid, "agent_id_mismatch", "agent_id in the body is not the agent of the path")
	}
	return nil
}

func agentPartRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("agents_list_labels", "/agents/{id}/labels", view(AgentSelf), agent.LabelList(), justID[agent.ID], rpc.Short(agent.LabelList(), func(ctx context.Context, v agent.ID) ([]agent.Label, error) {
			return a.AgentLabels(ctx, who(ctx), v)
		}), agentLabelOf),
		post("agents_add_label", "/agents/{id}/labels", operate(Admin), planned(idAnd[agent.ID, agentLabelBody]), func(ctx context.Context, r underPlan[of[agent.ID, agentLabelBody]]) (agentLabelJSON, error) {
			if err := sameAgent(r.change.id, r.change.body.AgentID); err != nil {
				return agentLabelJSON{}, err
			}
			out, err := a.AddAgentLabel(ctx, who(ctx), r.change.id, r.change.body.Label, r.plan)
			return agentLabelOf(out), err
		}),
		del("agents_remove_label", "/agents/{id}/labels/{label}", operate(Admin), planned(idAndText[agent.ID]("label")), func(ctx context.Context, r underPlan[part[agent.ID, string]]) error {
			return a.RemoveAgentLabel(ctx, who(ctx), r.change.id, r.change.key, r.plan)
		}),
		list("agents_list_annotations", "/agents/{id}/annotations", view(AgentSelf), agent.AnnotationList(), justID[agent.ID], rpc.Short(agent.AnnotationList(), func(ctx context.Context, v agent.ID) ([]agent.Annotation, error) {
			return a.AgentAnnotations(ctx, who(ctx), v)
		}), agentAnnotationOf),
		post("agents_add_annotation", "/agents/{id}/annotations", operate(Admin), planned(idAnd[agent.ID, agentAnnotationBody]), func(ctx context.Context, r underPlan[of[agent.ID, agentAnnotationBody]]) (agentAnnotationJSON, error) {
			if err := sameAgent(r.change.id, r.change.body.AgentID); err != nil {
				return agentAnnotationJSON{}, err
			}
			out, err := a.AddAgentAnnotation(ctx, who(ctx), r.change.id, r.change.body.Key, r.change.body.Value, r.plan)
			return agentAnnotationOf(out), err
		}),
		del("agents_remove_annotation", "/agents/{id}/annotations/{key}", operate(Admin), planned(idAndText[agent.ID]("key")), func(ctx context.Context, r underPlan[part[agent.ID, string]]) error {
			return a.RemoveAgentAnnotation(ctx, who(ctx), r.change.id, r.change.key, r.plan)
		}),
		list("list_targets", "/agents/{id}/targets", view(AgentSelf), agent.TargetList(), justID[agent.ID], rpc.Short(agent.TargetList(), func(ctx context.Context, v agent.ID) ([]agent.Target, error) {
			return a.AgentTargets(ctx, who(ctx), v)
		}), targetOf),
		post("add_target", "/agents/{id}/targets", operate(GeneratorOwner), idAnd[agent.ID, targetBody], func(ctx context.Context, r of[agent.ID, targetBody]) (targetJSON, error) {
			if err := sameAgent(r.id, r.body.AgentID); err != nil {
				return targetJSON{}, err
			}
			s, err := id.Parse[stack.ID]("stack_id", r.body.StackID)
			if err != nil {
				return targetJSON{}, err
			}
			out, err := a.AddTarget(ctx, who(ctx), r.id, s)
			return targetOf(out), err
		}),
		del("remove_target", "/agents/{id}/targets/{stack_id}", operate(GeneratorOwner), idAndID[agent.ID, stack.ID]("stack_id"), func(ctx context.Context, r part[agent.ID, stack.ID]) error {
			return a.RemoveTarget(ctx, who(ctx), r.id, r.key)
		}),
	}
}
