package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Tenants returns the generators that are tenants, by name: all but the system's own.
func (a *App) Tenants(ctx context.Context) ([]tenancy.Generator, error) {
	all, err := a.Store.Generators().List(ctx, tenancy.Everything())
	if err != nil {
		return nil, fmt.Errorf("list generators: %w", err)
	}
	out := make([]tenancy.Generator, 0, len(all))
	for _, g := range all {
		if !g.System {
			out = append(out, g)
		}
	}
	return out, nil
}
