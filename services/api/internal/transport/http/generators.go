package http

import (
	"context"
	"net/http"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	newGeneratorJSON struct {
		Name               string                     `json:"name"`
		Description        *string                    `json:"description"`
		RegistrationPolicy tenancy.RegistrationPolicy `json:"registration_policy"`
	}
	generatorChangeJSON struct {
		Name               *string                     `json:"name"`
		Description        patch[string]               `json:"description"`
		IsActive           *bool                       `json:"is_active"`
		RegistrationPolicy *tenancy.RegistrationPolicy `json:"registration_policy"`
	}
	registerBody struct {
		AgentID *string `json:"agent_id"`
	}
	registrationStateBody struct {
		State tenancy.RegistrationState `json:"state"`
	}
)

func generatorTagged(g tenancy.Generator) rpc.Tagged {
	return rpc.Tagged{Tag: app.GeneratorTag(g), Body: generatorOf(g)}
}

func generatorRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_generators", "/generators", view(Admin), tenancy.GeneratorList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[tenancy.Generator], error) {
			return a.ListGenerators(ctx, who(ctx), q)
		}, generatorOf),
		post("create_generator", "/generators", operate(Admin), rpc.JSON[newGeneratorJSON], func(ctx context.Context, n newGeneratorJSON) (generatorKeyJSON, error) {
			g, key, err := a.CreateGenerator(ctx, app.NewGenerator(n))
			return generatorKeyJSON{Generator: generatorOf(g), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		get("get_generator", "/generators/{id}", view(GeneratorSelf), justID[tenancy.GeneratorID], func(ctx context.Context, g tenancy.GeneratorID) (rpc.Tagged, error) {
			out, err := a.GetGenerator(ctx, who(ctx), g)
			return generatorTagged(out), err
		}),
		put("update_generator", "/generators/{id}", operate(GeneratorSelf), idAndWhole[tenancy.GeneratorID, generatorChangeJSON], func(ctx context.Context, r of[tenancy.GeneratorID, generatorChangeJSON]) (rpc.Tagged, error) {
			out, err := a.UpdateGenerator(ctx, who(ctx), r.id, app.GeneratorChange{
				Name: r.body.Name, Description: app.Patch[string](r.body.Description), Active: r.body.IsActive, RegistrationPolicy: r.body.RegistrationPolicy,
			})
			return generatorTagged(out), err
		}).Conditional(),
		del("delete_generator", "/generators/{id}", operate(GeneratorSelf), justID[tenancy.GeneratorID], func(ctx context.Context, g tenancy.GeneratorID) error {
			return a.DeleteGenerator(ctx, who(ctx), g)
		}).Conditional(),
		post("rotate_generator_pak", "/generators/{id}/rotate-pak", operate(GeneratorSelf), idAndMaybe[tenancy.GeneratorID, graceJSON], func(ctx context.Context, r of[tenancy.GeneratorID, graceJSON]) (generatorKeyJSON, error) {
			out, key, err := a.RotateGenerator(ctx, who(ctx), r.id, r.body.overlap())
			return generatorKeyJSON{Generator: generatorOf(out), PAK: key.Reveal()}, err
		}).ShowsSecret(),
	}
}

func (b registerBody) agent() (*agent.ID, error) {
	if b.AgentID == nil {
		return nil, nil //nolint:nilnil // naming no agent is allowed
	}
	v, err := id.Parse[agent.ID]("agent_id", *b.AgentID)
	return &v, err
}

// registeredAgent reads {id}, {agent_id} and the wanted state.
type registeredAgent struct {
	part[tenancy.GeneratorID, agent.ID]
	state tenancy.RegistrationState
}

func registeredAgentState(r *http.Request) (registeredAgent, error) {
	p, err := idAndID[tenancy.GeneratorID, agent.ID]("agent_id")(r)
	if err != nil {
		return registeredAgent{}, err
	}
	b, err := rpc.JSON[registrationStateBody](r)
	if err == nil && b.State != tenancy.RegistrationApproved {
		err = fault.Newf(fault.Invalid, "invalid_registration", "state %q cannot be set; send approved, or DELETE the registration to refuse it", b.State)
	}
	return registeredAgent{part: p, state: b.State}, err
}

func registrationRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		post("register_agent", "/generators/{id}/register", operate(Agent), idAndMaybe[tenancy.GeneratorID, registerBody], func(ctx context.Context, r of[tenancy.GeneratorID, registerBody]) (registrationJSON, error) {
			v, err := r.body.agent()
			if err != nil {
				return registrationJSON{}, err
			}
			out, err := a.Register(ctx, who(ctx), r.id, v)
			return registrationOf(out), err
		}),
		del("deregister_agent", "/generators/{id}/register", operate(Agent), idAndMaybe[tenancy.GeneratorID, registerBody], func(ctx context.Context, r of[tenancy.GeneratorID, registerBody]) error {
			v, err := r.body.agent()
			if err != nil {
				return err
			}
			return a.Deregister(ctx, who(ctx), r.id, v)
		}),
		list("list_generator_registered_agents", "/generators/{id}/registered-agents", view(GeneratorSelf), tenancy.RegistrationList(), justID[tenancy.GeneratorID], rpc.Short(tenancy.RegistrationList(), func(ctx context.Context, g tenancy.GeneratorID) ([]tenancy.Registration, error) {
			return a.GeneratorRegistrations(ctx, who(ctx), g)
		}), registrationOf),
		put("update_registered_agent", "/generators/{id}/registered-agents/{agent_id}", operate(GeneratorSelf), registeredAgentState, func(ctx context.Context, r registeredAgent) (registrationJSON, error) {
			out, err := a.ApproveRegistration(ctx, who(ctx), r.id, r.key)
			return registrationOf(out), err
		}),
		del("remove_registered_agent", "/generators/{id}/registered-agents/{agent_id}", operate(GeneratorSelf), idAndID[tenancy.GeneratorID, agent.ID]("agent_id"), func(ctx context.Context, r part[tenancy.GeneratorID, agent.ID]) error {
			return a.RevokeRegistration(ctx, who(ctx), r.id, r.key)
		}),
	}
}
