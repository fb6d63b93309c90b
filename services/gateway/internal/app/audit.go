package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// did notes in the transaction of a change that somebody else than the agent itself made it; what agents report of themselves
// is in their events and statuses, and not in the audit log.
func did(ctx context.Context, tx ports.Repositories, p tenancy.Principal, e audit.Entry) error {
	if p.Role == tenancy.RoleAgent {
		return nil
	}
	if err := tx.AuditLog().Append(ctx, e); err != nil {
		return fmt.Errorf("note %s: %w", e.Action, err)
	}
	return nil
}
