package command

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) getFleet(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	chosen, err := c.FleetBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	all := chosen.Items
	if ref != "" {
		all = only(all, func(r client.FleetRecord) bool {
			return r.Name == ref || r.ClusterName == ref || strings.EqualFold(r.AgentID, ref)
		})
	}
	v := view{data: all, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("NAME", "CLUSTER", "STATUS", "HEARTBEAT", "KUBERNETES", "PENDING", "FAILING", "DEGRADED",
		"WORK-ORDERS", "LAST-EVENT", "+CHANNEL", "+LATENCY", "+ID")}
	for _, r := range inOrder(q, all, func(r client.FleetRecord) string { return r.Name }) {
		v.names = append(v.names, "agent/"+r.Name)
		status := render.Cell{Text: r.Status, Tone: render.Good}
		if r.Status != statusActive {
			status.Tone = render.Busy
		}
		heartbeat := render.Cell{Text: "never", Tone: render.Faint}
		if r.HeartbeatAgeSeconds != nil {
			silence := time.Duration(*r.HeartbeatAgeSeconds) * time.Second
			heartbeat = render.Text(seconds(r.HeartbeatAgeSeconds))
			if silence > silentAfter {
				heartbeat.Tone = render.Bad
			}
		}
		agent := client.Agent{K8sReachable: r.K8sReachable, K8sAPILatencyMS: r.K8sAPILatencyMS}
		g.Add(render.Text(r.Name), render.Text(r.ClusterName), status, heartbeat, reachable(agent), number(r.PendingObjects, render.Busy),
			number(r.HealthFailing, render.Bad), number(r.HealthDegraded, render.Busy),
			render.Text(strconv.FormatInt(r.PendingWorkOrders, 10)+" waiting, "+strconv.FormatInt(r.ClaimedWorkOrders, 10)+" at work"),
			render.Text(seconds(r.SecondsSinceLastEvent)), render.Text(pick(r.Connected, "open", render.None)),
			render.Text(latency(agent)), render.Text(r.AgentID))
	}
	v.table = a.grid(g, o, pick(ref == "", "no agents yet: brokkr agent create --name NAME --cluster-name CLUSTER", "no such agent"))
	return v, nil
}

// number is a count, with a tone if there is any.
func number(n int64, some render.Tone) render.Cell {
	c := render.Cell{Text: strconv.FormatInt(n, 10)}
	if n > 0 {
		c.Tone = some
	}
	return c
}

// seconds shows an age that the broker has measured.
func seconds(n *int64) string {
	if n == nil {
		return render.None
	}
	now := time.Unix(*n, 0)
	then := time.Unix(0, 0)
	return render.Age(now, &then)
}
