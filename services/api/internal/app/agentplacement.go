package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// PlacedStack is a stack that is on a cluster, or that goes from there, and why.
type PlacedStack struct {
	Wanted  delivery.Wanted
	Subject placement.Subject
	Status  ClusterStatus
}

// PlacedList says how what is on a cluster is listed: by name.
func PlacedList() page.List[PlacedStack] {
	return page.List[PlacedStack]{
		ID:      func(v PlacedStack) string { return string(v.Wanted.Stack) },
		Sorts:   []page.Sort[PlacedStack]{{Name: "stack_name", Key: func(v PlacedStack) string { return v.Subject.Name }}},
		InPages: true,
	}
}

// AgentPlacement returns everything that is on an agent's cluster, to staff or the agent itself.
func (a *App) AgentPlacement(ctx context.Context, p tenancy.Principal, id agent.ID) ([]PlacedStack, error) {
	v, err := a.GetAgent(ctx, p, id)
	if err != nil {
		return nil, err
	}
	_, wanted, err := a.Store.Assignments().OfAgent(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the agent's assignments: %w", err)
	}
	ids := make([]stack.ID, len(wanted))
	for i, w := range wanted {
		ids[i] = w.Stack
	}
	subjects, err := a.Store.Facts().Subjects(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the agent's stacks: %w", err)
	}
	known := make(map[stack.ID]placement.Subject, len(subjects))
	for _, s := range subjects {
		known[s.Stack] = s
	}
	out, now := make([]PlacedStack, 0, len(wanted)), a.Now()
	for _, w := range wanted {
		c := clusterStatus(w, v)
		c.BlockedOn = blocker(c, known[w.Stack], now)
		out = append(out, PlacedStack{Wanted: w, Subject: known[w.Stack], Status: c})
	}
	return out, nil
}
