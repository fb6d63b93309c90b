package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
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
// Lesson 29: one cluster that cannot be reached neither starves nor ends a rollout.
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
