package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
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

// StackPlacement returns why a stack is where it is, to an admin or its owner; at a moment what had been decided until then.
// An owner sees no cluster of others: only those that are registered with it or have its stack.
func (a *App) StackPlacement(ctx context.Context, p tenancy.Principal, s stack.ID, at *time.Time) (StackPlacement, error) {
	sub, err := a.subject(ctx, p, s)
	if err != nil {
		return StackPlacement{}, err
	}
	out := StackPlacement{Stack: s, Hold: sub.Hold}
	rec, hold, err := a.decision(ctx, p, s, at)
	if err == nil && at == nil {
		hold, err = a.until(ctx, hold)
	}
	if at == nil && fault.Is(err, fault.NotFound) {
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

// decision returns the newest record about a stack with what waits for an approval, or the one that was the newest at a moment
// with what waited then.
func (a *App) decision(ctx context.Context, p tenancy.Principal, s stack.ID, at *time.Time) (placement.Record, *placement.Hold, error) {
	if at == nil {
		return a.Store.Decisions().Latest(ctx, s)
	}
	rec, err := a.Store.History().At(ctx, tenancy.ScopeOf(p), s, *at)
	return rec, rec.Decision.Hold, err
}

// PlacementHistory returns a page of the kept records about a stack, to an admin or its owner, who sees no cluster of others.
func (a *App) PlacementHistory(ctx context.Context, p tenancy.Principal, s stack.ID, q page.Query) (page.Page[placement.Record], error) {
	if _, err := a.subject(ctx, p, s); err != nil {
		return page.Page[placement.Record]{}, err
	}
	out, err := a.Store.History().Page(ctx, tenancy.ScopeOf(p), s, q)
	if err != nil {
		return page.Page[placement.Record]{}, fmt.Errorf("list the decisions: %w", err)
	}
	if p.IsStaff() {
		return out, nil
	}
	visible, err := a.visibleClusters(ctx, p, s)
	if err != nil {
		return page.Page[placement.Record]{}, err
	}
	for i := range out.Items {
		d := &out.Items[i].Decision
		d.Changes = slices.DeleteFunc(d.Changes, func(c placement.Change) bool { return !visible[c.Agent] })
	}
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
	if fault.CodeOf(err) == "nothing_to_approve" {
		err = a.notWaiting(ctx, s, err)
	}
	if err != nil {
		return StackPlacement{}, fmt.Errorf("approve the held decision: %w", err)
	}
	return a.StackPlacement(ctx, p, s, nil)
}

// notWaiting says what is the case instead of what somebody wanted to approve.
func (a *App) notWaiting(ctx context.Context, s stack.ID, because error) error {
	rec, hold, err := a.Store.Decisions().Latest(ctx, s)
	switch {
	case fault.Is(err, fault.NotFound):
		return fault.New(fault.Refused, "nothing_to_approve", "nothing has been decided about the stack yet, so that nothing waits").Because(because).With("state", "undecided")
	case err != nil:
		return fmt.Errorf("get the decision: %w", err)
	case hold != nil:
		return fault.Newf(fault.Refused, "nothing_to_approve", "another decision waits, since %s: %s", hold.Since.UTC().Format(time.RFC3339), hold.Reason).
			Because(because).With("state", "held").With("fingerprint", hold.Fingerprint).With("generation", rec.Generation)
	default:
		return fault.Newf(fault.Refused, "nothing_to_approve", "nothing waits any more: decision %d of %s holds nothing back", rec.Generation, rec.At.UTC().Format(time.RFC3339)).
			Because(because).With("state", "decided").With("generation", rec.Generation)
	}
}
