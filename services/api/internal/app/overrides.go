package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/override"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// checkedStacks bounds with how many stacks a policy's overrides are tried when it is written.
const checkedStacks = 50

// tryOverrides applies each override of a policy to the newest revision of the stacks that it reaches, without storing
// anything: what cannot be applied is refused (Invalid, invalid_policy), what does nothing there is a warning, and so is that it
// reaches more than checkedStacks. Of the stacks that are named it will reach those of which reaches says so.
func (a *App) tryOverrides(ctx context.Context, tx ports.Repositories, d policy.Document, stacks []stack.ID, reaches func(placement.Subject) bool) ([]PolicyProblem, error) {
	if len(d.Overrides) == 0 {
		return nil, nil
	}
	subjects, err := subjectsOf(ctx, tx, stacks)
	if err != nil {
		return nil, err
	}
	subjects = slices.DeleteFunc(subjects, func(s placement.Subject) bool {
		return s.Deleted || s.Newest == nil || s.Newest.Marker || !reaches(s)
	})
	var warnings, errs []PolicyProblem
	if all := len(subjects); all > checkedStacks {
		warnings = append(warnings, PolicyProblem{Path: "overrides", Warning: true, Message: fmt.Sprintf(
			"tried on %d of %d stacks; where they cannot be applied to one of the others its clusters keep what they have", checkedStacks, all)})
		subjects = subjects[:checkedStacks]
	}
	for _, s := range subjects {
		content, err := tx.Blobs().Get(ctx, s.Newest.Checksum)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the newest revision of stack %s: %w", s.Name, err)
		}
		w, e := problemsOf(s.Name, content, d)
		warnings, errs = append(warnings, w...), append(errs, e...)
	}
	return warnings, invalidPolicy(errs)
}

// tryWhereItDecides is tryOverrides for all stacks about which a policy decides.
func (a *App) tryWhereItDecides(ctx context.Context, tx ports.Repositories, id policy.ID, d policy.Document) ([]PolicyProblem, error) {
	if len(d.Overrides) == 0 {
		return nil, nil
	}
	reached, err := tx.Policies().Reaches(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the stacks that the policy reaches: %w", err)
	}
	return a.tryOverrides(ctx, tx, d, reached, func(s placement.Subject) bool { return s.Policy != nil && s.Policy.ID == id })
}

// problemsOf tries each override by itself: which of them meet in one cluster is another question.
func problemsOf(name string, content []byte, d policy.Document) (warnings, errs []PolicyProblem) {
	for i := range d.Overrides {
		_, problems := override.Render(content, override.Steps(d, func(n int) bool { return n == i }))
		for _, x := range problems {
			problem := PolicyProblem{Path: x.Path, Message: "stack " + name + ": " + x.Message, Warning: x.Warning}
			if x.Warning {
				warnings = append(warnings, problem)
			} else {
				errs = append(errs, problem)
			}
		}
	}
	return warnings, errs
}
