package rollout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

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

// Why an approval is needed is said as it is now, not as it was when the wait began.
func TestWhyAnApprovalIsNeededIsSaidAsItIs(t *testing.T) {
	t.Parallel()
	w := canaryWaves()
	w.Waves[0].Approval = true
	g := newRig(t, 3, w)
	canary(g)
	g.step()
	g.healthy("a")
	says := func(when, want string) {
		t.Helper()
		r := g.step()
		g.wantPhase(when, rollout.PhaseWaitingApproval)
		b := g.wantBlocked(when, rollout.BlockedByApproval)
		if len(g.blockers()) != 1 || !strings.Contains(r.Reason, want) || !strings.HasSuffix(b.Message, r.Reason) {
			t.Errorf("%s: the reason is %q, and the blockers %+v; want %q, and no other blocker", when, r.Reason, g.blockers(), want)
		}
	}
	says("healthy", "wave canary is healthy")
	since := g.last.Rollout.Since
	g.pick("a").Offline = true
	says("it cannot be reached", "no cluster of wave canary is known to be healthy")
	g.now = g.now.Add(time.Hour)
	says("it is skipped", "all are skipped, have failed or have left")
	g.pick("a").Offline = false
	says("it is back", "wave canary is healthy")
	if !g.last.Rollout.Since.Equal(since) {
		t.Errorf("it waits since %s, want %s: it has waited all the time", g.last.Rollout.Since, since)
	}
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
