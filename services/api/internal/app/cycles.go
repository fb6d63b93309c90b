package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// What may let stacks wait for one another for ever - an attachment, a detachment, a revision, a deletion, a stack's label or name -
// is looked at in the transaction that makes the change, behind the change and under the lock of the generator: of two that close a
// cycle together the second sees the first. Nothing but reads and appends comes after the lock, so that it closes no cycle of locks.

// noCycleOf is noCycle for what now decides about a stack, whose labels, name or policy have changed.
func (a *App) noCycleOf(ctx context.Context, tx ports.Repositories, s stack.Stack) error {
	return a.noCycleUnless(ctx, tx, s, nil)
}

// noCycleUnless is noCycleOf, unless the same policy decides as before.
func (a *App) noCycleUnless(ctx context.Context, tx ports.Repositories, s stack.Stack, before *policy.Ref) error {
	if err := tx.Locks().Generator(ctx, s.Generator); err != nil {
		return err
	}
	ref, err := tx.Policies().Effective(ctx, s.ID)
	if err != nil || ref == nil || (before != nil && before.ID == ref.ID) {
		return err
	}
	p, err := tx.Policies().Get(ctx, tenancy.Scope{Generator: s.Generator}, ref.ID)
	if err != nil {
		return fmt.Errorf("get policy %s: %w", ref.Name, err)
	}
	return a.noCycle(ctx, tx, s.Generator, p.Document, closesOne(s.ID))
}

// noCycleBy is noCycle for all stacks about which the policy decides now.
func (a *App) noCycleBy(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, id policy.ID) error {
	if err := tx.Locks().Generator(ctx, g); err != nil {
		return err
	}
	p, err := tx.Policies().Get(ctx, tenancy.Scope{Generator: g}, id)
	if err != nil {
		return err
	}
	return a.noCycle(ctx, tx, g, p.Document, closesAll(id))
}

// noCycleWithout is noCycle for stacks that a policy reached until now: others decide about them, by labels.
func (a *App) noCycleWithout(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID, reached []stack.ID) error {
	if err := tx.Locks().Generator(ctx, g); err != nil {
		return err
	}
	if len(reached) == 0 {
		return nil
	}
	others, err := depending(ctx, tx, g)
	if err != nil || len(others) == 0 {
		return err
	}
	subjects, err := subjectsOf(ctx, tx, reached)
	if err != nil {
		return err
	}
	follow := map[policy.ID]map[stack.ID]bool{}
	for _, s := range subjects {
		if s.Generator != g || s.Deleted || s.Policy == nil {
			continue
		}
		if _, depends := others[s.Policy.ID]; depends {
			if follow[s.Policy.ID] == nil {
				follow[s.Policy.ID] = map[stack.ID]bool{}
			}
			follow[s.Policy.ID][s.Stack] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(follow)) {
		if err := a.noCycle(ctx, tx, g, others[id], func(s stack.ID, _ *policy.Ref) bool { return follow[id][s] }); err != nil {
			return err
		}
	}
	return nil
}

// depending returns the documents of a generator's policies that reach stacks by labels and let them wait for others.
func depending(ctx context.Context, tx ports.Repositories, g tenancy.GeneratorID) (map[policy.ID]policy.Document, error) {
	out, q := map[policy.ID]policy.Document{}, policy.List().All(page.DefaultLimit)
	for {
		some, err := tx.Policies().Page(ctx, tenancy.Scope{Generator: g}, q)
		if err != nil {
			return nil, fmt.Errorf("list the generator's placement policies: %w", err)
		}
		for _, p := range some.Items {
			if len(p.Labels) > 0 && (len(p.Document.DependsOn) > 0 || (p.Document.Affinity != nil && len(p.Document.Affinity.WithStacks) > 0)) {
				out[p.ID] = p.Document
			}
		}
		if some.Next == nil {
			return out, nil
		}
		q.After = some.Next
	}
}

// subjectsOf reads these stacks, and no others.
func subjectsOf(ctx context.Context, tx ports.Repositories, ids []stack.ID) ([]placement.Subject, error) {
	if len(ids) == 0 {
		return nil, nil // where none are named, all would be read
	}
	out, err := tx.Facts().Subjects(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the stacks that the policy reaches: %w", err)
	}
	return out, nil
}
