package app

import (
	"context"
	"fmt"
	"maps"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Tenants returns a page of the generators that are tenants: all but the system's own.
func (a *App) Tenants(ctx context.Context, q page.Query) (page.Page[tenancy.Generator], error) {
	is := map[string]string{"system": "false"}
	maps.Copy(is, q.Is)
	q.Is = is
	out, err := a.Store.Generators().Page(ctx, tenancy.Everything(), q)
	if err != nil {
		return out, fmt.Errorf("list generators: %w", err)
	}
	return out, nil
}
