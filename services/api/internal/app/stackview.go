package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// subject returns what placement knows of a stack to an admin or its owner, also while a deleted stack still has
// tombstones on clusters.
func (a *App) subject(ctx context.Context, p tenancy.Principal, s stack.ID) (placement.Subject, error) {
	found, err := a.Store.Facts().Subjects(ctx, []stack.ID{s})
	if err != nil {
		return placement.Subject{}, fmt.Errorf("get stack: %w", err)
	}
	if len(found) == 0 || p.Role == tenancy.RoleAgent || !tenancy.ScopeOf(p).Owns(found[0].Generator) {
		return placement.Subject{}, noStack(s)
	}
	return found[0], nil
}

// fleet returns every live agent by id.
func (a *App) fleet(ctx context.Context) (map[agent.ID]agent.Agent, error) {
	all, err := a.Store.Agents().List(ctx, tenancy.Everything())
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	out := make(map[agent.ID]agent.Agent, len(all))
	for _, v := range all {
		out[v.ID] = v
	}
	return out, nil
}
