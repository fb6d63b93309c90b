package command

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) getRegistrations(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	chosen, err := registrationsOf(ctx, c, ref, q)
	if err != nil {
		return view{}, err
	}
	all := chosen.Items
	agents, err := agentNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	generators, err := generatorNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	v := view{data: all, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("AGENT", "GENERATOR", "STATE", "AGE", "+AGENT-ID", "+GENERATOR-ID")}
	for _, r := range inOrder(q, all, func(r client.Registration) string {
		return agents.name(r.AgentID) + " " + generators.name(r.GeneratorID)
	}) {
		v.names = append(v.names, "registration/"+agents.name(r.AgentID)+"/"+generators.name(r.GeneratorID))
		state := render.Cell{Text: orUnknown(r.State), Tone: render.Good}
		if r.State != "approved" {
			state.Tone = render.Busy
		}
		g.Add(render.Text(agents.name(r.AgentID)), render.Text(generators.name(r.GeneratorID)), state,
			render.Text(render.Age(a.env.Now(), &r.RegisteredAt)), render.Text(r.AgentID), render.Text(r.GeneratorID))
	}
	v.table = a.grid(g, o, "no registrations yet: brokkr registration approve AGENT GENERATOR")
	return v, nil
}

// registrationsOf returns the chosen registrations of a generator or of an agent, or of all generators.
func registrationsOf(ctx context.Context, c *client.Client, ref string, q client.Choice) (client.Chosen[client.Registration], error) {
	none := client.Chosen[client.Registration]{}
	generators, err := findGenerators(ctx, c, ref)
	if err != nil && (ref == "" || !client.IsStatus(err, http.StatusForbidden)) {
		return none, err
	}
	if ref == "" {
		return allRegistrations(ctx, c, generators, q)
	}
	agents, err := findAgents(ctx, c, ref)
	if err != nil && !client.IsStatus(err, http.StatusForbidden) {
		return none, err
	}
	switch {
	case len(generators)+len(agents) == 0:
		return none, hint(fmt.Errorf("there is neither a generator nor an agent %q", ref), "brokkr get generators, brokkr get agents")
	case len(generators)+len(agents) > 1:
		return none, hint(fmt.Errorf("%q is ambiguous: %s and %s have this name", ref, count(len(generators), "generator"), count(len(agents), "agent")), "use the id instead of the name")
	case len(agents) == 1:
		return c.AgentRegistrationsBy(ctx, agents[0].ID, q)
	default:
		return c.GeneratorRegistrationsBy(ctx, generators[0].ID, q)
	}
}

// allRegistrations puts those of several generators together: each has a list of its own.
func allRegistrations(ctx context.Context, c *client.Client, generators []client.Generator, q client.Choice) (client.Chosen[client.Registration], error) {
	each := q
	each.Limit = 0
	all := []client.Registration{}
	for _, g := range generators {
		some, err := c.GeneratorRegistrationsBy(ctx, g.ID, each)
		if err != nil {
			return client.Chosen[client.Registration]{}, err
		}
		all = append(all, some.Items...)
	}
	if q.Sort != "" {
		slices.SortStableFunc(all, func(x, y client.Registration) int { return x.RegisteredAt.Compare(y.RegisteredAt) })
		if strings.HasPrefix(q.Sort, "-") {
			slices.Reverse(all)
		}
	}
	out := client.Chosen[client.Registration]{Items: all}
	if q.Limit > 0 && len(all) > q.Limit {
		out.Items, out.Rest = all[:q.Limit], len(all)-q.Limit
	}
	return out, nil
}
