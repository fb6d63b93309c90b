package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// NewDiagnostic is what an admin asks of an agent.
type NewDiagnostic struct {
	Agent            agent.ID
	RequestedBy      *string
	RetentionMinutes *int64 // nil: an hour
}

// AskDiagnostic asks an agent to look at what it has of a deployment object, for an admin.
func (a *App) AskDiagnostic(ctx context.Context, p tenancy.Principal, id stack.ObjectID, n NewDiagnostic) (diagnostic.Request, error) {
	keep, err := diagnostic.CheckRetention(n.RetentionMinutes)
	if err != nil {
		return diagnostic.Request{}, err
	}
	if n.RequestedBy != nil && len(*n.RequestedBy) > diagnostic.MaxRequestedBy {
		return diagnostic.Request{}, fault.Newf(fault.Invalid, "invalid_diagnostic_request", "requested_by is longer than %d bytes", diagnostic.MaxRequestedBy)
	}
	o, err := a.Store.Objects().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return diagnostic.Request{}, fmt.Errorf("get object: %w", err)
	}
	at := a.now()
	r := diagnostic.Request{
		ID: diagnostic.ID(newID()), Agent: n.Agent, Object: o.ID, Stack: o.Stack, Status: diagnostic.Pending, RequestedBy: n.RequestedBy,
		CreatedAt: at, ExpiresAt: at.Add(keep),
	}
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Diagnostics().Insert(ctx, r); err != nil {
			return err
		}
		if err := tx.Works().Ring(ctx, r.Agent); err != nil {
			return err
		}
		asked := audit.Did(audit.DiagnosticRequested, string(r.ID), nil, r).With("agent_id", string(r.Agent)).With("deployment_object_id", string(r.Object))
		if err := a.did(ctx, tx, asked); err != nil {
			return err
		}
		e := a.occurred(ctx, event.DiagnosticRequested, at, map[string]any{
			"diagnostic_request_id": r.ID, "agent_id": r.Agent, "deployment_object_id": r.Object, "requested_by": r.RequestedBy, "created_at": at,
		})
		e.Agent, e.Stack, e.Object = r.Agent, r.Stack, r.Object
		return tx.Outbox().Append(ctx, e)
	})
	if err != nil {
		return diagnostic.Request{}, fmt.Errorf("ask for a diagnostic: %w", err)
	}
	return r, nil
}

// GetDiagnostic returns a request with its answer, if there is one yet, to an admin or the agent that is asked.
func (a *App) GetDiagnostic(ctx context.Context, p tenancy.Principal, id diagnostic.ID) (diagnostic.Request, *diagnostic.Result, error) {
	r, answer, err := a.Store.Diagnostics().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return r, nil, fmt.Errorf("get diagnostic request: %w", err)
	}
	now := a.Now()
	if r.Forgotten(now) {
		return diagnostic.Request{}, nil, fault.Newf(fault.NotFound, "diagnostic_not_found", "diagnostic request %s is not there", id)
	}
	return r.At(now), answer, nil
}
