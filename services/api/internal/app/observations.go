package app

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// How many observations one answer has: without a limit, and at most.
const (
	DefaultObservations = 500
	MaxObservations     = 5000
)

// StackEvents returns the newest Kubernetes events of a stack that are kept, to an admin or its owner.
func (a *App) StackEvents(ctx context.Context, p tenancy.Principal, s stack.ID, since time.Time, limit int) (observation.Events, error) {
	w, err := a.window(ctx, p, s, since, limit)
	if err != nil {
		return observation.Events{}, err
	}
	out, err := a.Store.Observations().Events(ctx, tenancy.ScopeOf(p), s, w)
	if err != nil {
		return observation.Events{}, fmt.Errorf("list the stack's events: %w", err)
	}
	return out, nil
}

// StackLogs returns the newest lines of the logs of a stack's pods that are kept, to an admin or its owner.
func (a *App) StackLogs(ctx context.Context, p tenancy.Principal, s stack.ID, since time.Time, limit int) (observation.Logs, error) {
	w, err := a.window(ctx, p, s, since, limit)
	if err != nil {
		return observation.Logs{}, err
	}
	out, err := a.Store.Observations().Logs(ctx, tenancy.ScopeOf(p), s, w)
	if err != nil {
		return observation.Logs{}, fmt.Errorf("list the stack's logs: %w", err)
	}
	return out, nil
}

func (a *App) window(ctx context.Context, p tenancy.Principal, s stack.ID, since time.Time, limit int) (observation.Window, error) {
	if limit == 0 {
		limit = DefaultObservations
	}
	limit = min(limit, MaxObservations)
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return observation.Window{}, err
	}
	return observation.Window{Kept: a.now().Add(-a.Keep), Since: since, Limit: limit}, nil
}
