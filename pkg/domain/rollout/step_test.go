package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func TestWithoutSpecEveryClusterHasTheNewestAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, policy.Rollout{})
	g.in.Spec = nil
	if r := g.step(); r != nil || g.last.Changed {
		t.Fatalf("rollout = %+v, want none", r)
	}
	g.wantHave("no spec", newer, "a", "b", "c")
}

func TestPolicyThatCameAfterTheObjectStartsNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, canaryWaves())
	g.in.Prior["b"] = newer
	if r := g.step(); r != nil {
		t.Fatalf("rollout = %+v, want none: the object was going everywhere already", r)
	}
	g.wantHave("plain distribution goes on", newer, "a", "b", "c")
}

func TestWavesInTurn(t *testing.T) {
	t.Parallel()
	w := canaryWaves()
	w.Waves = slices.Insert(w.Waves, 1, policy.Wave{Name: "half", Percent: 50, Soak: policy.Duration(5 * time.Minute)})
	w.Waves[0].Soak = policy.Duration(10 * time.Minute)
	g := newRig(t, 5, w)
	canary(g)
	g.step()
	g.wantHave("the canary alone begins", newer, "a")
	g.wantBlocked("its report is waited for", rollout.BlockedByHealth)
	g.report("a", newer, delivery.PhaseApplied, delivery.HealthProgressing)
	g.after(time.Minute)
	g.wantHave("not healthy yet", newer, "a")
	g.healthy("a")
	r := g.after(time.Minute)
	if r.Stage != rollout.StageSoaking || r.WakeAt == nil || !r.WakeAt.Equal(g.now.Add(10*time.Minute)) {
		t.Fatalf("stage %s, wakes at %v; want it to soak for 10 min", r.Stage, r.WakeAt)
	}
	g.report("a", newer, delivery.PhaseApplied, delivery.HealthDegraded)
	g.after(9 * time.Minute)
	g.healthy("a")
	g.after(time.Minute)
	g.after(9 * time.Minute)
	g.wantHave("the soak began anew when the canary was unwell", newer, "a")
	g.after(time.Minute)
	g.wantCount("half of the other four", newer, 3)
	g.healthy(g.have(newer)...)
	g.step()
	g.after(5 * time.Minute)
	g.wantCount("the rest", newer, 5)
	g.wantPhase("the rest has not reported", rollout.PhaseProgressing)
	g.healthy(g.have(newer)...)
	g.step()
	g.wantPhase("all are healthy", rollout.PhaseCompleted)
	if len(g.blockers()) != 0 || g.last.Rollout.WakeAt != nil || g.last.Rollout.EndedAt == nil {
		t.Fatalf("a completed rollout waits for nothing: %+v", g.last.Rollout)
	}
	g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: "x"})
	g.step()
	g.wantCount("who comes later has the object at once", newer, 6)
}

// Lesson 26: the next wave is not released by stale health.
func TestLesson26StaleHealthReleasesNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, canaryWaves())
	canary(g)
	g.step()
	g.step()
	g.wantHave("the canary was healthy with the older object only", newer, "a")
	g.report("a", newer, delivery.PhasePending, delivery.HealthHealthy)
	g.step()
	g.wantHave("a health from before the object was applied", newer, "a")
	g.report("a", "o0", delivery.PhaseApplied, delivery.HealthHealthy)
	g.step()
	g.wantHave("a health of another object", newer, "a")
	g.report("b", newer, delivery.PhaseApplied, delivery.HealthHealthy)
	g.step()
	g.wantHave("a report of a cluster that was not given the object", newer, "a")
	g.healthy("a")
	g.step()
	g.wantHave("its own report of this object", newer, "a", "b", "c")
}

// Lesson 27: the bound on clusters in flight holds for the first clusters too, and one by one.
func TestLesson27BoundHoldsFromTheFirstClusterOn(t *testing.T) {
	t.Parallel()
	g := newRig(t, 10, policy.Rollout{MaxConcurrent: "20%"})
	g.step()
	g.wantHave("two of ten", newer, "a", "b")
	g.wantBlocked("the others wait for their turn", rollout.BlockedByConcurrency)
	g.healthy("a")
	g.step()
	g.wantHave("one healthy, one follows", newer, "a", "b", "c")
	g.report("a", newer, delivery.PhaseApplied, delivery.HealthDegraded)
	g.healthy("b")
	g.step()
	g.wantHave("one that is unwell again is in flight", newer, "a", "b", "c")
	g.healthy("a")
	g.step()
	g.wantHave("well again", newer, "a", "b", "c", "d")
}

// Lesson 28: clusters that join or leave do not end a rollout.
func TestLesson28JoinersAndLeaversEndNothing(t *testing.T) {
	t.Parallel()
	for _, joiners := range []string{"append", "ignore"} {
		w := canaryWaves()
		w.Joiners = joiners
		g := newRig(t, 3, w)
		canary(g)
		g.step()
		g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: "x"})
		g.step()
		g.wantHave(joiners+": a joiner has the older object until its turn", older, "b", "c", "x")
		g.in.Picks = slices.DeleteFunc(g.in.Picks, func(p rollout.Pick) bool { return p.Agent == "b" })
		delete(g.in.Prior, "b")
		g.healthy("a")
		g.step()
		want := []agent.ID{"a", "c", "x"}
		if joiners == "ignore" {
			want = []agent.ID{"a", "c"}
		}
		g.wantHave(joiners+": the last wave", newer, want...)
		g.healthy("c", "x")
		g.step()
		g.wantPhase(joiners, rollout.PhaseCompleted)
		g.wantHave(joiners+": completed", newer, "a", "c", "x")
	}
}

func TestClusterThatLeavesInFlightHoldsUpNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, 4, policy.Rollout{MaxConcurrent: "1"})
	g.step()
	g.in.Picks = g.in.Picks[1:]
	delete(g.in.Prior, "a")
	g.step()
	g.wantHave("the next has its place", newer, "b")
	g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: "a"})
	g.step()
	g.wantHave("it came back, and waits for its turn with the older object", older, "a", "c", "d")
}

// Lesson 29: one cluster that cannot be reached neither starves nor ends a rollout.
func TestLesson29UnreachableClusterStarvesNobody(t *testing.T) {
	t.Parallel()
	g := newRig(t, 4, policy.Rollout{MaxConcurrent: "1"})
	g.pick("a").Offline = true
	g.step()
	g.wantHave("who cannot be reached is passed over", newer, "b")
	g.pick("b").Offline = true
	g.step()
	g.wantHave("it may be in any state: it is in flight", newer, "b")
	g.after(rollout.DefaultDeadline)
	g.wantHave("not for ever", newer, "b", "c")
	if got := g.member("b").State; got != rollout.MemberSkipped {
		t.Fatalf("b is %s, want it skipped and not failed", got)
	}
	g.healthy("c")
	g.step()
	g.healthy("d")
	g.step()
	g.wantPhase("all that can be reached are healthy", rollout.PhaseCompleted)
}

func TestWaitForOffline(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, policy.Rollout{Offline: "wait"})
	g.pick("a").Offline = true
	g.step()
	g.healthy("b")
	g.after(24 * time.Hour)
	g.wantPhase("the wave waits", rollout.PhaseProgressing)
	if b := g.wantBlocked("the wave waits", rollout.BlockedByOffline); !slices.Equal(b.Agents, []agent.ID{"a"}) {
		t.Fatalf("blocker names %v", b.Agents)
	}
	g.pick("a").Offline = false
	g.step()
	g.wantHave("it is back", newer, "a", "b")
	g.pick("a").Offline = true
	g.after(24 * time.Hour)
	g.pick("a").Offline = false
	g.step()
	if got := g.member("a").State; got != rollout.MemberDeploying {
		t.Fatalf("a is %s: the deadline ran while it could not be reached", got)
	}
	g.healthy("a")
	g.step()
	g.wantPhase("all are healthy", rollout.PhaseCompleted)
}

func TestNoWaveIsReleasedBlindly(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, canaryWaves())
	canary(g)
	g.pick("a").Offline = true
	r := g.step()
	g.wantPhase("the only canary cannot be reached: somebody must decide", rollout.PhaseWaitingApproval)
	if _, err := r.Approve(g.now, "me", -1); err != nil {
		t.Fatal(err)
	}
	g.step()
	g.wantHave("approved", newer, "b", "c")
}

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

func TestNewerObjectSupersedesAtOnce(t *testing.T) {
	t.Parallel()
	for _, phase := range []rollout.Phase{rollout.PhaseProgressing, rollout.PhasePaused, rollout.PhaseWaitingApproval, rollout.PhaseWaitingWindow, rollout.PhaseRollingBack} {
		w := canaryWaves()
		w.OnFailure, w.Waves[0].Approval = "rollback", true
		g := newRig(t, 3, w)
		canary(g)
		g.in.Window.Open = phase != rollout.PhaseWaitingWindow
		r := g.step()
		switch phase { //nolint:exhaustive // the others need nothing more
		case rollout.PhasePaused:
			if _, err := r.Pause(g.now, "me"); err != nil {
				t.Fatal(err)
			}
		case rollout.PhaseWaitingApproval:
			g.healthy("a")
			g.step()
		case rollout.PhaseRollingBack:
			g.failing("a")
			g.step()
		}
		if got := g.in.Current.Phase; got != phase {
			t.Fatalf("phase %s, want %s", got, phase)
		}
		g.in.Newest, g.in.Window.Open = "o3", true
		r = g.step()
		if g.last.Former == nil || g.last.Former.Phase != rollout.PhaseSuperseded || g.last.Former.EndedAt == nil || r.Object != "o3" {
			t.Fatalf("%s: former %+v, now %+v", phase, g.last.Former, r)
		}
		g.wantHave(string(phase), "o3", "a")
	}
}

func TestStackThatGoesEndsItsRollout(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, canaryWaves())
	g.step()
	g.in.Newest, g.in.Picks = "", nil
	if r := g.step(); r != nil || g.last.Former.Phase != rollout.PhaseSuperseded || len(g.last.Objects) != 0 {
		t.Fatalf("rollout %+v, former %+v, objects %v", r, g.last.Former, g.last.Objects)
	}
}

func TestApproval(t *testing.T) {
	t.Parallel()
	w := canaryWaves()
	w.Waves[0].Approval = true
	g := newRig(t, 3, w)
	canary(g)
	r := g.step()
	if _, err := r.Approve(g.now, "me", -1); !fault.Is(err, fault.Refused) || fault.CodeOf(err) != "rollout_state" {
		t.Fatalf("approval of what does not wait: %v, want Refused", err)
	}
	g.healthy("a")
	r = g.step()
	g.wantPhase("healthy", rollout.PhaseWaitingApproval)
	g.wantBlocked("healthy", rollout.BlockedByApproval)
	if _, err := r.Approve(g.now, "me", 1); !fault.Is(err, fault.Refused) {
		t.Fatalf("approval of another wave: %v, want Refused", err)
	}
	g.report("a", newer, delivery.PhaseApplied, delivery.HealthDegraded)
	r = g.step()
	g.wantPhase("unwell while it waits", rollout.PhaseWaitingApproval)
	if x, err := r.Approve(g.now, "me", 0); err != nil || x.By != "me" {
		t.Fatalf("approval: %v, %+v", err, x)
	}
	g.step()
	g.wantHave("the approval is kept, but the canary must be well", newer, "a")
	g.healthy("a")
	g.step()
	g.wantHave("well and approved", newer, "a", "b", "c")
}

func TestWindows(t *testing.T) {
	t.Parallel()
	g := newRig(t, 3, canaryWaves())
	canary(g)
	opens := g.now.Add(time.Hour)
	g.in.Window = rollout.Opening{Changes: opens}
	r := g.step()
	g.wantPhase("closed", rollout.PhaseWaitingWindow)
	if b := g.wantBlocked("closed", rollout.BlockedByWindow); r.WakeAt == nil || !r.WakeAt.Equal(opens) || !b.Until.Equal(opens) {
		t.Fatalf("wakes at %v, until %v, want %v", r.WakeAt, b.Until, opens)
	}
	g.wantHave("closed", newer)
	g.in.Window = rollout.Opening{Open: true}
	g.after(time.Hour)
	g.wantHave("open", newer, "a")
	g.in.Window = rollout.Opening{}
	g.healthy("a")
	g.step()
	g.wantPhase("closed before the next wave", rollout.PhaseWaitingWindow)
	g.in.Window = rollout.Opening{Open: true}
	g.step()
	g.wantHave("open again", newer, "a", "b", "c")
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, policy.Rollout{})
	g.in.Dependencies = []rollout.Dependency{{Stack: "crds", Need: "healthy", Clusters: map[agent.ID]bool{"b": true}}}
	g.step()
	g.wantHave("only where the dependency is", newer, "b")
	g.wantBlocked("a lacks it", rollout.BlockedByDependency)
	g.in.Dependencies[0].Clusters["a"] = true
	g.step()
	g.wantHave("both", newer, "a", "b")

	g = newRig(t, 2, policy.Rollout{})
	g.in.Dependencies = []rollout.Dependency{{Stack: "crds", Need: "applied", Everywhere: true, Clusters: map[agent.ID]bool{"a": true, "b": true}}}
	g.step()
	g.wantHave("not everywhere yet", newer)
	g.in.Dependencies[0].Met = true
	g.step()
	g.wantHave("everywhere", newer, "a", "b")
}

func TestManualActs(t *testing.T) {
	t.Parallel()
	acts := map[string]func(*rollout.Rollout, time.Time) error{
		"pause":   func(r *rollout.Rollout, now time.Time) error { _, err := r.Pause(now, "me"); return err },
		"resume":  func(r *rollout.Rollout, now time.Time) error { _, err := r.Resume(now, "me"); return err },
		"approve": func(r *rollout.Rollout, now time.Time) error { _, err := r.Approve(now, "me", -1); return err },
		"abort":   func(r *rollout.Rollout, now time.Time) error { _, err := r.Abort(now, "me"); return err },
		"undo":    func(r *rollout.Rollout, now time.Time) error { _, err := r.Undo(now, "me"); return err },
	}
	allowed := map[rollout.Phase][]string{
		rollout.PhasePending:         {"pause", "abort", "undo"},
		rollout.PhaseProgressing:     {"pause", "abort", "undo"},
		rollout.PhaseWaitingApproval: {"pause", "approve", "abort", "undo"},
		rollout.PhaseWaitingWindow:   {"pause", "abort", "undo"},
		rollout.PhasePaused:          {"resume", "abort", "undo"},
		rollout.PhaseCompleted:       {"undo"},
		rollout.PhaseAborted:         {"undo"},
	}
	for _, p := range rollout.Phases() {
		for name, act := range acts {
			g := newRig(t, 2, policy.Rollout{})
			r := g.step().Clone()
			r.Phase = p
			err := act(&r, g.now)
			if want := slices.Contains(allowed[p], name); (err == nil) != want {
				t.Errorf("%s in %s: %v, want it allowed: %v", name, p, err, want)
			}
			if err != nil && (fault.KindOf(err) != fault.Refused || r.Phase != p) {
				t.Errorf("%s in %s: %v, phase %s; want Refused and nothing changed", name, p, err, r.Phase)
			}
			edge := func(e rollout.Edge) bool { return e.From == p && e.To == r.Phase }
			if err == nil && !slices.ContainsFunc(rollout.Edges(), edge) {
				t.Errorf("%s: %s -> %s is not among the edges", name, p, r.Phase)
			}
		}
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

func TestPercentagesArePinnedAndDiffer(t *testing.T) {
	t.Parallel()
	first := map[agent.ID]bool{}
	for _, o := range []string{"p", "q", "r", "s", "t", "u"} {
		g := newRig(t, 10, policy.Rollout{Waves: []policy.Wave{{Percent: 20}, {Percent: 30}, {}}})
		g.in.Newest = stack.ObjectID("object " + o)
		r := g.step()
		counts := map[int]int{}
		for _, m := range r.Members {
			counts[m.Wave]++
			if m.Wave == 0 {
				first[m.Agent] = true
			}
		}
		if counts[0] != 2 || counts[1] != 3 || counts[2] != 5 {
			t.Fatalf("waves of %v, want 2, 3 and 5: the second is 30 %% of the eight that are left, rounded up", counts)
		}
	}
	if len(first) < 4 {
		t.Fatalf("the same clusters go first each time: %v", first)
	}
}
