package command

import (
	"context"
	"strings"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// getEvents lists what agents, or one of them, reported.
func (a *app) getEvents(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	if ref != "" {
		n, err := findAgent(ctx, c, ref)
		if err != nil {
			return view{}, err
		}
		q = with(q, "agent_id", n.ID)
	}
	chosen, err := c.EventsBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	names, err := agentNames(ctx, c)
	if err != nil {
		return view{}, err
	}
	v := view{data: chosen.Items, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("AGE", "AGENT", "TYPE", "STATUS", "OBJECT", "MESSAGE", "+ID")}
	for _, e := range chosen.Items {
		v.names = append(v.names, "event/"+e.ID)
		status := render.Cell{Text: e.Status}
		if strings.EqualFold(e.Status, "FAILURE") {
			status.Tone = render.Bad
		}
		g.Add(render.Text(render.Age(a.env.Now(), &e.CreatedAt)), render.Text(names.name(e.AgentID)), render.Text(e.EventType), status, render.Text(e.DeploymentObjectID),
			render.Text(orNone(deref(e.Message))), render.Text(e.ID))
	}
	v.table = a.grid(g, o, "no agent has reported anything yet")
	return v, nil
}
