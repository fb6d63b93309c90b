package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// ClusterSummary is what a list tells of a cluster: what is known of it, and how its stacks fare.
type ClusterSummary struct {
	Agent agent.Agent
	Known cluster.Known
	Fleet fleet.Record
}

// ClusterList is cluster.List for summaries.
func ClusterList() page.List[ClusterSummary] {
	of := func(f func(agent.Agent) string) func(ClusterSummary) string {
		return func(c ClusterSummary) string { return f(c.Agent) }
	}
	agents := cluster.List()
	out := page.List[ClusterSummary]{ID: of(agents.ID), Labels: true, Annotations: true, Chunk: page.DefaultLimit, InPages: true}
	for _, s := range agents.Sorts {
		out.Sorts = append(out.Sorts, page.Sort[ClusterSummary]{Name: s.Name, Kind: s.Kind, Key: of(s.Key)})
	}
	for _, f := range agents.Filters {
		out.Filters = append(out.Filters, page.Filter[ClusterSummary]{Name: f.Name, Alias: f.Alias, Parse: f.Parse})
	}
	for _, s := range agents.Search {
		out.Search = append(out.Search, of(s))
	}
	return out
}

// ListClusters returns a page of the clusters, to staff.
func (a *App) ListClusters(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[ClusterSummary], error) {
	agents, err := a.Store.Agents().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[ClusterSummary]{}, fmt.Errorf("list agents: %w", err)
	}
	out := page.Page[ClusterSummary]{Items: make([]ClusterSummary, len(agents.Items)), Next: agents.Next, Total: agents.Total}
	ids, at := make([]agent.ID, len(agents.Items)), make(map[agent.ID]int, len(agents.Items))
	for i, v := range agents.Items {
		ids[i], at[v.ID], out.Items[i].Agent = v.ID, i, v
	}
	known, err := a.Store.Clusters().Known(ctx, tenancy.ScopeOf(p), ids)
	if err != nil {
		return page.Page[ClusterSummary]{}, fmt.Errorf("read what is known of the clusters: %w", err)
	}
	for id, k := range known {
		out.Items[at[id]].Known = k
	}
	records, err := a.Store.Insights().Fleet(ctx, tenancy.ScopeOf(p), ids)
	if err != nil {
		return page.Page[ClusterSummary]{}, fmt.Errorf("read how their stacks fare: %w", err)
	}
	for _, r := range records {
		out.Items[at[r.Agent]].Fleet = r
	}
	return out, nil
}
