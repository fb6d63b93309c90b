package app

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

func noStack(s stack.ID) error {
	return fault.Newf(fault.NotFound, "stack_not_found", "stack %s is not there", s)
}

// ListStacks returns a page of the stacks that p owns, of all for an admin.
func (a *App) ListStacks(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[stack.Stack], error) {
	out, err := a.Store.Stacks().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[stack.Stack]{}, fmt.Errorf("list stacks: %w", err)
	}
	return out, nil
}

// ListDeletedStacks returns a page of the deleted stacks that p could restore: of its own, of all for an admin.
func (a *App) ListDeletedStacks(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[stack.Stack], error) {
	out, err := a.Store.Stacks().DeletedPage(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[stack.Stack]{}, fmt.Errorf("list deleted stacks: %w", err)
	}
	return out, nil
}

// RestorableUntil is until when at least a deleted stack can be restored.
func (a *App) RestorableUntil(s stack.Stack) *time.Time {
	if s.DeletedAt == nil {
		return nil
	}
	until := s.DeletedAt.UTC().Add(a.KeepDeleted)
	return &until
}

// StackTag is the state of a stack that a change may be made conditional on.
func StackTag(s stack.Stack) string {
	return precondition.State(s.ID, s.Name, s.Description, s.Generator, s.Treatment, s.UpdatedAt)
}

// NewStack is what a producer says of a new stack. An empty generator is the caller's own; an admin's is admin-generator.
type NewStack struct {
	Name        string
	Description *string
	Generator   string // id; for an admin also a name
	Treatment   stack.Treatment
}

// CreateStack makes a stack. A generator makes stacks of its own only (Forbidden otherwise).
func (a *App) CreateStack(ctx context.Context, p tenancy.Principal, n NewStack) (stack.Stack, error) {
	if err := tenancy.CheckName("invalid_stack", "the stack's name", n.Name); err != nil {
		return stack.Stack{}, err
	}
	if p.Role == tenancy.RoleGenerator && n.Generator != "" && n.Generator != string(p.Generator) {
		return stack.Stack{}, fault.New(fault.Forbidden, "stack_generator_mismatch", "generator_id is not your generator; leave it out")
	}
	treatment, err := n.Treatment.Parsed(a.Rules)
	if err != nil {
		return stack.Stack{}, err
	}
	var out stack.Stack
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		g, err := a.ownerOfNew(ctx, tx, p, n.Generator)
		if err != nil {
			return err
		}
		at := a.now()
		out = stack.Stack{ID: stack.ID(newID()), Name: n.Name, Description: n.Description, Generator: g.ID, Treatment: treatment, Version: 1, CreatedAt: at, UpdatedAt: at}
		if err := tx.Stacks().Insert(ctx, out); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.StackCreated, string(out.ID), nil, out).With("name", out.Name)); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.stackEvent(ctx, event.StackCreated, out, at, map[string]any{
			"stack_id": out.ID, "name": out.Name, "description": out.Description, "created_at": at,
		}))
	})
	if err != nil {
		return stack.Stack{}, fmt.Errorf("create stack: %w", err)
	}
	return out, nil
}

func (a *App) ownerOfNew(ctx context.Context, tx ports.Repositories, p tenancy.Principal, named string) (tenancy.Generator, error) {
	if p.Role == tenancy.RoleGenerator {
		return tx.Generators().Get(ctx, tenancy.ScopeOf(p), p.Generator)
	}
	if named == "" {
		g, err := tx.Generators().ByName(ctx, tenancy.AdminGenerator)
		if fault.Is(err, fault.NotFound) {
			return g, fault.New(fault.Invalid, "invalid_stack", "generator_id is missing and this store has no admin-generator: say whose the stack is").Because(err)
		}
		return g, err
	}
	return a.namedGenerator(ctx, tx, named)
}

// GetStack returns a stack to an admin or its owner.
func (a *App) GetStack(ctx context.Context, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	return ownStack(ctx, a.Store, p, s)
}

// ownStack returns a live stack to an admin or its owner; anybody else learns that it is not there.
func ownStack(ctx context.Context, tx ports.Repositories, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	if p.Role == tenancy.RoleAgent {
		return stack.Stack{}, noStack(s)
	}
	out, err := tx.Stacks().Get(ctx, tenancy.ScopeOf(p), s)
	if err != nil {
		return stack.Stack{}, fmt.Errorf("get stack: %w", err)
	}
	return out, nil
}

// readStack is ownStack, but it also lets the agents read to which the stack is assigned or pinned.
func (a *App) readStack(ctx context.Context, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	if p.Role != tenancy.RoleAgent {
		return ownStack(ctx, a.Store, p, s)
	}
	out, err := a.Store.Stacks().Get(ctx, tenancy.ScopeOf(p), s)
	if fault.Is(err, fault.NotFound) {
		pins, targetErr := a.pins(ctx, p)
		if targetErr != nil {
			return stack.Stack{}, targetErr
		}
		if pins[s] {
			out, err = a.Store.Stacks().Get(ctx, tenancy.Everything(), s)
		}
	}
	if err != nil {
		return stack.Stack{}, fmt.Errorf("get stack: %w", err)
	}
	return out, nil
}

// pins returns the stacks that are explicit targets of the agent p: it may read them before they are assigned.
func (a *App) pins(ctx context.Context, p tenancy.Principal) (map[stack.ID]bool, error) {
	targets, err := a.Store.Agents().Targets(ctx, p.Agent)
	if err != nil {
		return nil, fmt.Errorf("list the agent's targets: %w", err)
	}
	out := make(map[stack.ID]bool, len(targets))
	for _, t := range targets {
		out[t.Stack] = true
	}
	return out, nil
}

// StackChange is a partial update of a stack; what is nil or not set stays.
type StackChange struct {
	Name        *string
	Description Patch[string]
	Treatment   Patch[stack.Treatment] // as a whole; set to none: everything as by default
}

// UpdateStack changes name, description and treatment of a stack, by an admin or its owner. What another treatment changes in
// clusters is for the scheduler to tell their agents.
func (a *App) UpdateStack(ctx context.Context, p tenancy.Principal, s stack.ID, ch StackChange) (stack.Stack, error) {
	if ch.Name != nil {
		if err := tenancy.CheckName("invalid_stack", "the stack's name", *ch.Name); err != nil {
			return stack.Stack{}, err
		}
	}
	var treatment stack.Treatment
	if ch.Treatment.Value != nil {
		var err error
		if treatment, err = ch.Treatment.Value.Parsed(a.Rules); err != nil {
			return stack.Stack{}, err
		}
	}
	var out stack.Stack
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Stack(ctx, s); err != nil {
			return err
		}
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, StackTag(v)); err != nil {
			return err
		}
		before := v
		if ch.Name != nil {
			v.Name = *ch.Name
		}
		if ch.Description.Set {
			v.Description = ch.Description.Value
		}
		if ch.Treatment.Set {
			v.Treatment = treatment
		}
		v.UpdatedAt = a.now()
		if err := tx.Stacks().Update(ctx, v); err != nil {
			return err
		}
		if v.Name != before.Name { // others may depend on this name
			if err := a.noCycleOf(ctx, tx, v); err != nil {
				return err
			}
		}
		if err := a.did(ctx, tx, audit.Did(audit.StackUpdated, string(s), before, v)); err != nil {
			return err
		}
		if err := tx.Outbox().Append(ctx, a.stackEvent(ctx, event.StackChanged, v, v.UpdatedAt, map[string]any{
			"stack_id": v.ID, "name": v.Name, "description": v.Description,
		})); err != nil {
			return err
		}
		out, err = tx.Stacks().Get(ctx, tenancy.ScopeOf(p), s)
		return err
	})
	if err != nil {
		return stack.Stack{}, fmt.Errorf("update stack: %w", err)
	}
	return out, nil
}

// DeleteStack soft-deletes a stack, by an admin or its owner. The scheduler writes the tombstones that take it from clusters.
func (a *App) DeleteStack(ctx context.Context, p tenancy.Principal, s stack.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Stack(ctx, s); err != nil {
			return err
		}
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, StackTag(v)); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.StackDeleted, string(s), v, nil).With("name", v.Name)); err != nil {
			return err
		}
		return a.dropStack(ctx, tx, v, a.now())
	})
	if err != nil {
		return fmt.Errorf("delete stack: %w", err)
	}
	return nil
}

// RestoreStack takes a deletion back, by an admin or the stack's owner, as long as what the stack had is kept: one that has been collected
// is NotFound, one that is live is Refused (stack_not_deleted), and a name that another stack has meanwhile is a Conflict. Labels,
// annotations, targets, policy, treatment and objects are as they were. The scheduler decides about it anew: orders to remove
// it that agents have not carried out are replaced, and who has removed it gets it again.
func (a *App) RestoreStack(ctx context.Context, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	var out stack.Stack
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Stack(ctx, s); err != nil {
			return err
		}
		before, err := deletedStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		at := a.now()
		if err := tx.Stacks().Restore(ctx, s, at); err != nil {
			return err
		}
		if out, err = tx.Stacks().Get(ctx, tenancy.ScopeOf(p), s); err != nil {
			return err
		}
		if err := a.noCycleOf(ctx, tx, out); err != nil { // others may depend on its name by now
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.StackRestored, string(s), before, out).With("name", out.Name)); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.stackEvent(ctx, event.StackRestored, out, at, map[string]any{
			"stack_id": out.ID, "name": out.Name, "restored_at": at,
		}))
	})
	if err != nil {
		return stack.Stack{}, fmt.Errorf("restore stack: %w", err)
	}
	return out, nil
}

// deletedStack returns a stack that can be restored to an admin or its owner.
func deletedStack(ctx context.Context, tx ports.Repositories, p tenancy.Principal, s stack.ID) (stack.Stack, error) {
	if p.Role == tenancy.RoleAgent {
		return stack.Stack{}, noStack(s)
	}
	out, err := tx.Stacks().Deleted(ctx, tenancy.ScopeOf(p), s)
	if !fault.Is(err, fault.NotFound) {
		return out, err
	}
	live, liveErr := ownStack(ctx, tx, p, s)
	if liveErr != nil {
		return stack.Stack{}, liveErr
	}
	return stack.Stack{}, fault.Newf(fault.Refused, "stack_not_deleted", "stack %q is not deleted: there is nothing to restore", live.Name).With("state", "live").Because(err)
}

func (a *App) dropStack(ctx context.Context, tx ports.Repositories, s stack.Stack, at time.Time) error {
	events := []event.Event{a.stackEvent(ctx, event.StackDeleted, s, at, map[string]any{"stack_id": s.ID, "deleted_at": at})}
	newest, err := tx.Objects().Newest(ctx, s.ID)
	switch {
	case err == nil:
		e := a.stackEvent(ctx, event.DeploymentDeleted, s, at, map[string]any{
			"deployment_object_id": newest.ID, "stack_id": s.ID, "deleted_at": at,
		})
		e.Object = newest.ID
		events = append(events, e)
	case !fault.Is(err, fault.NotFound):
		return fmt.Errorf("read the newest object of stack %s: %w", s.ID, err)
	}
	if err := tx.Stacks().Delete(ctx, s.ID, at); err != nil {
		return fmt.Errorf("delete stack %s: %w", s.ID, err)
	}
	return tx.Outbox().Append(ctx, events...)
}
