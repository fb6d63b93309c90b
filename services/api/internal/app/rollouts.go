package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Rollout is a rollout with its history, the names of its clusters and the number of its object.
type Rollout struct {
	rollout.Rollout
	Governs  bool
	Sequence stack.Sequence
	History  []rollout.Transition
	Agents   map[agent.ID]agent.Agent // of the members; deleted ones are absent
}

// mostRollouts is how many rollouts of a stack are listed, the newest ones.
const mostRollouts = 1000

// RolloutList says how a stack's rollouts are listed.
func RolloutList() page.List[rollout.Rollout] {
	return page.List[rollout.Rollout]{
		ID: func(r rollout.Rollout) string { return string(r.ID) },
		Sorts: []page.Sort[rollout.Rollout]{{Name: "created_at", Kind: page.Moment, Key: func(r rollout.Rollout) string {
			return page.Time(r.CreatedAt)
		}}},
		Filters: []page.Filter[rollout.Rollout]{
			{Name: "state", Parse: page.OneOf("state", rollout.Phases()...), Of: func(r rollout.Rollout) string { return string(r.Phase) }},
		},
		Descending: true, InPages: true,
	}
}

// ListRollouts returns a stack's rollouts without their clusters, the newest first, to staff or the owner.
func (a *App) ListRollouts(ctx context.Context, p tenancy.Principal, s stack.ID) ([]rollout.Rollout, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return nil, err
	}
	list, err := a.Store.Rollouts().OfStack(ctx, s, mostRollouts)
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	return list, nil
}

// GetRollout returns a rollout to staff or the owner of its stack.
func (a *App) GetRollout(ctx context.Context, p tenancy.Principal, id rollout.ID) (Rollout, error) {
	r, governs, err := a.Store.Rollouts().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return Rollout{}, fmt.Errorf("get rollout: %w", err)
	}
	out := Rollout{Rollout: r, Governs: governs}
	if out.History, err = a.Store.Rollouts().History(ctx, id); err != nil {
		return Rollout{}, fmt.Errorf("get the rollout's history: %w", err)
	}
	o, err := a.Store.Objects().Get(ctx, tenancy.ScopeOf(p), r.Object)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Rollout{}, fmt.Errorf("get the rollout's object: %w", err)
	}
	out.Sequence = o.Sequence
	if out.Agents, err = a.fleet(ctx); err != nil {
		return Rollout{}, err
	}
	return out, nil
}

// RolloutAct is something that somebody does with a rollout.
type RolloutAct struct {
	audited audit.Action
	do      func(r *rollout.Rollout, now time.Time, by string, wave int) (rollout.Transition, error)
}

// The acts.
func PauseRollout() RolloutAct {
	return RolloutAct{audit.RolloutPaused, func(r *rollout.Rollout, now time.Time, by string, _ int) (rollout.Transition, error) {
		return r.Pause(now, by)
	}}
}

// ResumeRollout excuses the clusters that have failed.
func ResumeRollout() RolloutAct {
	return RolloutAct{audit.RolloutResumed, func(r *rollout.Rollout, now time.Time, by string, _ int) (rollout.Transition, error) {
		return r.Resume(now, by)
	}}
}

// ApproveRollout lets the next wave follow.
func ApproveRollout() RolloutAct {
	return RolloutAct{audit.RolloutApproved, (*rollout.Rollout).Approve}
}

// AbortRollout leaves every cluster what it has.
func AbortRollout() RolloutAct {
	return RolloutAct{audit.RolloutAborted, func(r *rollout.Rollout, now time.Time, by string, _ int) (rollout.Transition, error) {
		return r.Abort(now, by)
	}}
}

// UndoRollout sends the clusters back to what was healthy there.
func UndoRollout() RolloutAct {
	return RolloutAct{audit.RolloutUndone, func(r *rollout.Rollout, now time.Time, by string, _ int) (rollout.Transition, error) {
		return r.Undo(now, by)
	}}
}

// ActOnRollout does something with a rollout, by staff or the owner of its stack. What its phase does not allow, or the rollout does
// not govern any more, is Refused (rollout_state). Wave, if not negative, is the one that an approval is for.
func (a *App) ActOnRollout(ctx context.Context, p tenancy.Principal, id rollout.ID, act RolloutAct, wave int) (Rollout, error) {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		r, governs, err := tx.Rollouts().Get(ctx, tenancy.ScopeOf(p), id)
		if err != nil {
			return err
		}
		st, err := ownStack(ctx, tx, p, r.Stack)
		if err != nil {
			return err
		}
		before, at := r.Clone(), a.now()
		t, err := act.do(&r, at, string(p.Credential), wave)
		if err != nil {
			return err
		}
		if !governs {
			return governsNoLonger(ctx, tx, before)
		}
		write := ports.RolloutWrite{Rollout: r, Governs: true, Members: rollout.Changed(&before, &r), Transitions: []rollout.Transition{t}}
		if _, err := tx.Rollouts().Save(ctx, write); err != nil {
			return err
		}
		did := audit.Did(act.audited, string(id), nil, nil).With("stack_id", string(r.Stack)).With("from", string(t.From)).With("to", string(t.To)).With("wave", strconv.Itoa(t.Wave))
		if err := a.did(ctx, tx, did); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.stackEvent(ctx, event.RolloutActed, st, at, map[string]any{
			"rollout_id": id, "stack_id": r.Stack, "from": t.From, "to": t.To, "wave": t.Wave,
		}))
	})
	if err != nil {
		return Rollout{}, fmt.Errorf("act on the rollout: %w", err)
	}
	return a.GetRollout(ctx, p, id)
}

// governsNoLonger says that nothing would come of what was asked of r: something newer says what the clusters have, whether r is
// over or not.
func governsNoLonger(ctx context.Context, tx ports.Repositories, r rollout.Rollout) error {
	governing, err := tx.Rollouts().Governing(ctx, []stack.ID{r.Stack})
	if err != nil {
		return err
	}
	newer := "what was published since went to the clusters without a rollout"
	if now, ok := governing[r.Stack]; ok {
		newer = fmt.Sprintf("the newer rollout %s governs it since %s", now.ID, now.CreatedAt.UTC().Format(time.RFC3339))
	}
	return fault.Newf(fault.Refused, "rollout_state", "the rollout is %s and governs the stack no longer: %s", r.Phase, newer).With("state", string(r.Phase))
}

// RollbackStack publishes the content of an earlier deployment object of the stack as a new one, by staff or the owner.
func (a *App) RollbackStack(ctx context.Context, p tenancy.Principal, s stack.ID, sequence stack.Sequence) (Published, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return Published{}, err
	}
	all, err := a.Store.Objects().OfStack(ctx, s)
	if err != nil {
		return Published{}, fmt.Errorf("list deployment objects: %w", err)
	}
	for _, o := range all {
		if o.Sequence != sequence {
			continue
		}
		if o.Marker {
			return Published{}, fault.Newf(fault.Refused, "rollback_to_marker", "sequence %d of the stack is a deletion marker: there is nothing to go back to", sequence)
		}
		content, err := a.content(ctx, o)
		if err != nil {
			return Published{}, err
		}
		out, err := a.publish(ctx, p, s, stack.Object{Origin: o.Origin}, content, nil)
		if err != nil {
			return Published{}, err
		}
		if out.Content, err = a.shown(ctx, p, s, out.Content); err != nil {
			return Published{}, fmt.Errorf("show object %s: %w", out.ID, err)
		}
		return out, nil
	}
	return Published{}, fault.Newf(fault.NotFound, "deployment_object_not_found", "the stack has no deployment object with sequence %d", sequence)
}
