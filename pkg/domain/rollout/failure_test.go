package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

func TestFailureBudget(t *testing.T) {
	t.Parallel()
	g := newRig(t, 10, policy.Rollout{MaxConcurrent: "2", FailureBudget: &policy.FailureBudget{MaxFailed: 1}, OnFailure: "pause"})
	g.step()
	g.failing("a")
	g.step()
	g.wantPhase("one may fail", rollout.PhaseProgressing)
	g.wantHave("one may fail", newer, "a", "b", "c")
	g.report("b", newer, delivery.PhaseFailed, delivery.HealthUnknown)
	g.step()
	g.wantPhase("two may not", rollout.PhasePaused)
	g.healthy("c")
	g.step()
	g.wantHave("no other is admitted", newer, "a", "b", "c")
	if _, err := g.last.Rollout.Resume(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.step()
	g.wantHave("both are excused", newer, "a", "b", "c", "d", "e")
	g.healthy("d")
	g.step()
	g.after(rollout.DefaultDeadline - time.Second)
	g.wantPhase("in time", rollout.PhaseProgressing)
	g.after(time.Second)
	g.wantPhase("two more are out of time", rollout.PhasePaused)
}

func TestBudgetInPercent(t *testing.T) {
	t.Parallel()
	g := newRig(t, 20, policy.Rollout{FailureBudget: &policy.FailureBudget{MaxFailed: 1, OrPercent: 10}})
	g.step()
	g.failing("a")
	g.failing("b")
	g.step()
	g.wantPhase("10 % of 20", rollout.PhaseProgressing)
	g.failing("c")
	g.step()
	g.wantPhase("one more", rollout.PhasePaused)
}

func TestRollbackGoesToTheLastHealthyObject(t *testing.T) {
	t.Parallel()
	w := canaryWaves()
	w.OnFailure = "rollback"
	g := newRig(t, 4, w)
	canary(g)
	g.pick("b").Fits = []bool{true}
	g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: "x", Fits: []bool{true}}) // it has nothing yet
	g.step()
	g.failing("a")
	g.step()
	g.wantPhase("the canary has failed", rollout.PhaseRollingBack)
	g.wantHave("back", older, "a", "b", "c", "d")
	g.wantHave("nothing was healthy there: it keeps what it has", newer, "x")
	g.wantBlocked("their reports are waited for", rollout.BlockedByReturn)
	g.healthy("b")
	g.step()
	g.wantPhase("a is still to come", rollout.PhaseRollingBack)
	g.healthy("a")
	g.step()
	g.wantPhase("both are back", rollout.PhaseRolledBack)
	g.step()
	g.wantHave("and stay", older, "a", "b", "c", "d")
	if g.last.Changed {
		t.Fatal("a rollout that has ended changes")
	}

	// a fix follows; a cluster that the broken object reached goes on from what was healthy there
	g.report("a", older, delivery.PhaseApplied, delivery.HealthDegraded)
	g.in.Newest = "o3"
	g.step()
	g.failing("a")
	g.step()
	if m := g.member("a"); m.Good != older {
		t.Fatalf("good object of a = %q, want %q", m.Good, older)
	}
	g.wantHave("back again", older, "a", "b", "c", "d")
}

func TestRollbackSkipsBrokenObjectsOfFormerRollouts(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1, policy.Rollout{OnFailure: "rollback"})
	g.step()
	g.report("a", newer, delivery.PhaseApplied, delivery.HealthDegraded)
	g.in.Newest = "o3" // while the newer object is unwell
	g.step()
	g.wantHave("superseded", "o3", "a")
	g.failing("a")
	g.step()
	g.wantHave("not to the object that never was healthy", older, "a")
}

func TestReturnOutOfTimeEnds(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, policy.Rollout{OnFailure: "rollback"})
	g.step()
	g.failing("a")
	g.report("b", newer, delivery.PhaseApplied, delivery.HealthProgressing)
	g.step()
	g.pick("b").Offline = true
	r := g.after(rollout.DefaultDeadline)
	g.wantPhase("nothing was heard", rollout.PhaseRolledBack)
	if a, b := g.member("a").State, g.member("b").State; a != rollout.MemberFailed || b != rollout.MemberSkipped {
		t.Fatalf("a %s, b %s (%s); want a failed and b skipped", a, b, r.Reason)
	}
}

func TestPauseAbortAndUndo(t *testing.T) {
	t.Parallel()
	g := newRig(t, 4, policy.Rollout{MaxConcurrent: "1"})
	r := g.step()
	if _, err := r.Pause(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.healthy("a")
	g.step()
	g.wantHave("paused", newer, "a")
	g.wantBlocked("paused", rollout.BlockedByPause)
	if _, err := g.last.Rollout.Resume(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	r = g.step()
	g.wantHave("resumed", newer, "a", "b")
	if _, err := r.Abort(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.healthy("b")
	r = g.step()
	g.wantHave("aborted: who has it keeps it", newer, "a", "b")
	if _, err := r.Undo(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.step()
	g.wantHave("undone", older, "a", "b", "c", "d")
	g.healthy("a", "b")
	g.step()
	g.wantPhase("undone", rollout.PhaseRolledBack)
}

func TestUndoOfACompletedRollout(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, policy.Rollout{})
	g.pick("c").Offline = true
	g.step()
	g.healthy("a", "b")
	r := g.step()
	g.wantHave("completed", newer, "a", "b", "c")
	if _, err := r.Undo(g.now, "me"); err != nil || r.EndedAt != nil {
		t.Fatalf("undo: %v, ended %v", err, r.EndedAt)
	}
	g.step()
	g.wantHave("all go back, also who was passed over", older, "a", "b", "c")
}

// Who left with the object, in the middle or afterwards, and came back when all was over goes back with the others, and is not believed to be as well
// as it was before.
func TestUndoFindsWhoHasComeBackMeanwhile(t *testing.T) {
	t.Parallel()
	g := newRig(t, 4, policy.Rollout{})
	g.step()
	g.join("e") // it has nothing to go back to
	g.step()
	all := slices.Clone(g.in.Picks)
	leave := func(agents ...agent.ID) {
		g.in.Picks = slices.DeleteFunc(g.in.Picks, func(p rollout.Pick) bool { return slices.Contains(agents, p.Agent) })
		for _, a := range agents {
			delete(g.in.Prior, a)
			delete(g.in.Status, a)
		}
		g.step()
	}
	g.healthy("a", "b", "c", "e")
	leave("b")
	g.healthy("d")
	g.step()
	g.wantPhase("those that are there are healthy", rollout.PhaseCompleted)
	leave("c", "e")
	g.in.Picks = all
	r := g.step()
	g.wantHave("all are back", newer, "a", "b", "c", "d", "e")
	if _, err := r.Undo(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.step()
	g.wantHave("undone", older, "a", "b", "c", "d")
	for a, want := range map[agent.ID]rollout.MemberState{"b": rollout.MemberReturning, "c": rollout.MemberReturning, "e": rollout.MemberDeploying} {
		if m := g.member(a); m.State != want || m.Gone {
			t.Errorf("cluster %s: got %+v, want it to be %s", a, m, want)
		}
	}
	g.healthy("e")
	g.step()
	if m := g.member("e"); m.State != rollout.MemberHealthy {
		t.Errorf("cluster e, which is well with what it has: got %+v", m)
	}
}

// A cluster that was to leave, and still has the object because that is held, goes back like the others if it counts again while they do.
func TestWhoCountsAgainGoesBackToo(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, policy.Rollout{OnFailure: "rollback"})
	g.step()
	g.healthy("b", "c")
	g.step()
	all := slices.Clone(g.in.Picks)
	g.in.Picks = slices.DeleteFunc(g.in.Picks, func(p rollout.Pick) bool { return p.Agent == "b" })
	g.step()
	g.failing("a")
	g.step()
	g.wantPhase("one fails", rollout.PhaseRollingBack)
	g.in.Picks = all
	g.step()
	g.wantHave("all go back", older, "a", "b", "c")
	if m := g.member("b"); m.State != rollout.MemberReturning {
		t.Errorf("cluster b: got %+v, want it to be returning", m)
	}
}
