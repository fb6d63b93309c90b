package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

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
