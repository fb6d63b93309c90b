package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// StackPlacement is the newest decision about a stack, as far as the asker may see it.
type StackPlacement struct {
	Stack  stack.ID
	Record *placement.Record // nil: nothing was decided yet
	Hold   *placement.Hold
	Agents map[agent.ID]agent.Agent // of the verdicts; deleted ones are absent
}

// StackPlacement returns why a stack is where it is, to an admin or its owner. An owner sees no cluster of others: only
// those that are registered with it or have its stack.
func (a *App) StackPlacement(ctx context.Context, p tenancy.Principal, s stack.ID) (StackPlacement, error) {
	sub, err := a.subject(ctx, p, s)
	if err != nil {
		return StackPlacement{}, err
	}
	out := StackPlacement{Stack: s, Hold: sub.Hold}
	rec, hold, err := a.Store.Decisions().Latest(ctx, s)
	if fault.Is(err, fault.NotFound) {
		return out, nil
	}
	if err != nil {
		return StackPlacement{}, fmt.Errorf("get the decision: %w", err)
	}
	out.Record, out.Hold = &rec, hold
	if out.Agents, err = a.fleet(ctx); err != nil {
		return StackPlacement{}, err
	}
	if p.IsStaff() {
		return out, nil
	}
	visible, err := a.visibleClusters(ctx, p, s)
	if err != nil {
		return StackPlacement{}, err
	}
	kept := make([]placement.Verdict, 0, len(visible))
	for _, v := range rec.Decision.Verdicts {
		if visible[v.Agent] {
			kept = append(kept, v)
		}
	}
	out.Record.Decision.Verdicts = kept
	return out, nil
}

func (a *App) visibleClusters(ctx context.Context, p tenancy.Principal, s stack.ID) (map[agent.ID]bool, error) {
	seen, err := a.Store.Agents().List(ctx, tenancy.ScopeOf(p))
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	wanted, err := a.Store.Assignments().OfStack(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("list the stack's assignments: %w", err)
	}
	out := make(map[agent.ID]bool, len(seen)+len(wanted))
	for _, v := range seen {
		out[v.ID] = true
	}
	for _, w := range wanted {
		out[w.Agent] = true
	}
	return out, nil
}

// ApprovePlacement lets a held decision with this fingerprint pass, by an admin or the stack's owner; Refused if
// nothing, or something else, waits.
func (a *App) ApprovePlacement(ctx context.Context, p tenancy.Principal, s stack.ID, fingerprint string) (StackPlacement, error) {
	sub, err := a.subject(ctx, p, s)
	if err != nil {
		return StackPlacement{}, err
	}
	if fingerprint == "" {
		return StackPlacement{}, fault.New(fault.Invalid, "invalid_approval", "fingerprint is missing: an approval names exactly the removals that were shown (hold.fingerprint)")
	}
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Decisions().Approve(ctx, s, fingerprint); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.StackPlacementApproved, string(s), nil, nil).With("fingerprint", fingerprint)); err != nil {
			return err
		}
		at := a.now()
		e := a.occurred(ctx, event.PlacementApproved, at, map[string]any{
			"stack_id": s, "fingerprint": fingerprint, "approved_by": string(p.Credential), "approved_at": at,
		})
		e.Stack, e.Generator = s, sub.Generator
		return tx.Outbox().Append(ctx, e)
	})
	if err != nil {
		return StackPlacement{}, fmt.Errorf("approve the held decision: %w", err)
	}
	return a.StackPlacement(ctx, p, s)
}
