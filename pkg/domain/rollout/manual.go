package rollout

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// refuse says that the rollout's phase does not allow what was asked.
func (r *Rollout) refuse(act string) error {
	f := fault.Newf(fault.Refused, "rollout_state", "the rollout cannot be %s: it is %s since %s", act, r.Phase, r.Since.UTC().Format(time.RFC3339))
	f.Details = map[string]any{"state": string(r.Phase)}
	return f
}

// Pause stops a rollout where it is: clusters that have the object keep it, no other gets it. Refused unless it goes on.
func (r *Rollout) Pause(now time.Time, by string) (Transition, error) {
	switch r.Phase {
	case PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow:
		return r.act(PhasePaused, now, by, "somebody paused it"), nil
	case PhasePaused, PhaseFailed, PhaseRollingBack, PhaseRolledBack, PhaseCompleted, PhaseAborted, PhaseSuperseded:
	}
	return Transition{}, r.refuse("paused")
}

// Resume lets a paused rollout go on. Clusters that have failed so far are excused: they use up its budget no longer. Refused unless
// it is paused.
func (r *Rollout) Resume(now time.Time, by string) (Transition, error) {
	if r.Phase != PhasePaused {
		return Transition{}, r.refuse("resumed")
	}
	for i := range r.Members {
		if m := &r.Members[i]; m.State == MemberFailed {
			m.Excused = true
		}
	}
	to := PhaseProgressing
	if r.BegunAt == nil {
		to = PhasePending
	}
	return r.act(to, now, by, "somebody resumed it"), nil
}

// Approve lets the next wave follow. Wave, if not negative, is the one that the approval was given for. Refused unless the rollout
// waits for that.
func (r *Rollout) Approve(now time.Time, by string, wave int) (Transition, error) {
	if r.Phase != PhaseWaitingApproval {
		return Transition{}, r.refuse("approved")
	}
	if wave >= 0 && wave != r.Wave {
		f := fault.Newf(fault.Refused, "rollout_state", "the rollout waits for an approval of wave %d, not of wave %d", r.Wave, wave)
		f.Details = map[string]any{"state": string(r.Phase), "wave": r.Wave}
		return Transition{}, f
	}
	r.Approved = r.Wave + 1
	return r.act(PhaseProgressing, now, by, "somebody approved the next wave"), nil
}

// Abort ends a rollout where it is: clusters keep what they have. Refused if it has ended, or goes back already.
func (r *Rollout) Abort(now time.Time, by string) (Transition, error) {
	switch r.Phase {
	case PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow, PhasePaused:
		t := r.act(PhaseAborted, now, by, "somebody aborted it")
		r.WakeAt = nil
		return t, nil
	case PhaseFailed, PhaseRollingBack, PhaseRolledBack, PhaseCompleted, PhaseAborted, PhaseSuperseded:
	}
	return Transition{}, r.refuse("aborted")
}

// Undo sends every cluster that has been given the object back to the last one that was healthy there. Refused if it goes back
// already, or a newer rollout governs the stack.
func (r *Rollout) Undo(now time.Time, by string) (Transition, error) {
	switch r.Phase {
	case PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow, PhasePaused, PhaseCompleted, PhaseAborted:
	case PhaseFailed, PhaseRollingBack, PhaseRolledBack, PhaseSuperseded:
		return Transition{}, r.refuse("rolled back")
	}
	for i := range r.Members {
		m := &r.Members[i]
		if m.AdmittedAt == nil && r.Phase == PhaseCompleted { // it was given the object when the rollout was completed
			m.AdmittedAt = &now
		}
		if m.AdmittedAt != nil && m.Target() != "" {
			m.become(MemberReturning, now, "")
		}
	}
	return r.act(PhaseRollingBack, now, by, "somebody asked for it"), nil
}

func (r *Rollout) act(to Phase, now time.Time, by, reason string) Transition {
	now = now.UTC().Truncate(time.Microsecond)
	r.Blockers = nil // the next step says what there is to wait for
	return r.move(to, now, by, reason)
}
