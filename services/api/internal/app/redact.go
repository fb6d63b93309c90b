package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// seesSecrets reports whether p may see the values of Secrets in what generator g has published: g itself, the agents that have
// the stack (whoever asks has found that out before), and admins for what the admin-generator owns.
func seesSecrets(ctx context.Context, tx ports.Repositories, p tenancy.Principal, g tenancy.GeneratorID) (bool, error) {
	switch {
	case p.Role == tenancy.RoleAgent || p.IsGenerator(g):
		return true, nil
	case !p.IsAdmin():
		return false, nil
	}
	own, err := tx.Generators().ByName(ctx, tenancy.AdminGenerator)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get the admin-generator: %w", err)
	}
	return own.ID == g, nil
}

// shown returns content as p may see it. The stack may be deleted by now; then nobody but agents sees the values.
func (a *App) shown(ctx context.Context, p tenancy.Principal, s stack.ID, content []byte) ([]byte, error) {
	sees, err := a.seesSecretsOf(ctx, p, s)
	if err != nil {
		return nil, err
	}
	if sees {
		return content, nil
	}
	return bundle.Redact(content)
}

// seesSecretsOf is seesSecrets of what a stack publishes, which may be deleted by now.
func (a *App) seesSecretsOf(ctx context.Context, p tenancy.Principal, s stack.ID) (bool, error) {
	var owner tenancy.GeneratorID
	if p.Role != tenancy.RoleAgent {
		v, err := a.Store.Stacks().Get(ctx, tenancy.ScopeOf(p), s)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return false, fmt.Errorf("get stack: %w", err)
		}
		owner = v.Generator
	}
	return seesSecrets(ctx, a.Store, p, owner)
}
