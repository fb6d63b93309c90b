package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

const broken = "overrides[0].patches[0] of policy p cannot be applied"

func (g *rig) refuse(a agent.ID, o stack.ObjectID, passing bool) {
	if g.in.Refused == nil {
		g.in.Refused = map[rollout.Offer]rollout.Refusal{}
	}
	g.in.Refused[rollout.Offer{Agent: a, Object: o}] = rollout.Refusal{Reason: broken, Passing: passing}
}

func TestRefusedClusterFailsAtOnceWithItsReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		on   string
		want rollout.Phase
	}{"pause": {"pause", rollout.PhasePaused}, "rollback": {"rollback", rollout.PhaseRolledBack}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := canaryWaves()
			r.OnFailure = tc.on
			g := newRig(t, 3, r)
			canary(g)
			g.refuse("c", newer, false) // of the last wave
			g.step()
			g.wantPhase("a cluster of a later wave cannot be given the object", tc.want)
			g.wantHave("nobody is given what cannot be given everywhere", newer)
			if m := g.member("c"); m.State != rollout.MemberFailed || m.Message != broken || m.AdmittedAt != nil {
				t.Errorf("member: got %+v, want it failed with the reason, and not admitted", m)
			}
			said := g.last.Rollout.Reason
			for _, x := range g.seen {
				said += "\n" + x.Reason
			}
			if !strings.Contains(said, "cluster c: "+broken) || strings.Contains(said, "do not report it healthy") {
				t.Errorf("the rollout says %q, want the cluster and the reason alone", said)
			}
		})
	}
}

func TestRefusedClusterWithinTheBudgetKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	r := canaryWaves()
	r.FailureBudget = &policy.FailureBudget{MaxFailed: 1}
	g := newRig(t, 3, r)
	canary(g)
	g.refuse("c", newer, false)
	g.step()
	g.wantHave("the canary goes on", newer, "a")
	g.healthy("a")
	g.step()
	g.wantHave("so do the others", newer, "a", "b")
	g.healthy("b")
	g.step()
	g.wantPhase("one may fail", rollout.PhaseCompleted)
	if m := g.member("c"); m.State != rollout.MemberFailed || m.Message != broken {
		t.Errorf("member: got %+v, want it failed with the reason", m)
	}
}

func TestRefusalThatEndsLetsTheClusterHaveItsTurn(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, canaryWaves())
	canary(g)
	g.refuse("b", newer, false)
	g.step()
	g.wantPhase("refused", rollout.PhasePaused)
	if _, err := g.in.Current.Resume(g.now, "me"); err != nil {
		t.Fatal(err)
	}
	g.step()
	g.wantHave("resumed, and b is excused", newer, "a")
	g.in.Refused = nil // the policy was mended
	g.step()
	if m := g.member("b"); m.State != rollout.MemberPending || m.Excused {
		t.Fatalf("member: got %+v, want it to wait for its turn", m)
	}
	g.healthy("a")
	g.step()
	g.wantHave("its turn has come", newer, "a", "b")
	g.failing("b")
	g.step()
	g.wantPhase("its new failure counts", rollout.PhasePaused)
}

func TestWhatIsNotKnownYetIsWaitedForUntilTheDeadline(t *testing.T) {
	t.Parallel()
	r := canaryWaves()
	r.Deadline = policy.Duration(5 * time.Minute)
	g := newRig(t, 2, r)
	canary(g)
	g.refuse("a", newer, true)
	g.step()
	b := g.wantBlocked("not known", rollout.BlockedByOverride)
	if b.Count != 1 || !strings.Contains(b.Message, broken) {
		t.Errorf("blocker: got %+v, want the cluster and the reason", b)
	}
	if w := g.last.Rollout.WakeAt; w == nil || !w.Equal(g.now.Add(5*time.Minute)) {
		t.Errorf("wakes at %v, want it at the deadline", w)
	}
	g.after(time.Minute)
	g.wantHave("it waits", newer)
	g.in.Refused = nil
	g.step()
	g.wantHave("it is known", newer, "a")

	g = newRig(t, 2, r)
	canary(g)
	g.refuse("a", newer, true)
	g.step()
	g.after(5 * time.Minute)
	g.wantPhase("not known in time", rollout.PhasePaused)
	if m := g.member("a"); m.State != rollout.MemberFailed || !strings.Contains(m.Message, "not known within 5m0s: "+broken) {
		t.Errorf("member: got %+v, want it failed with the reason", m)
	}
	before := g.member("a")
	g.after(time.Minute)
	if got := g.member("a"); got != before {
		t.Errorf("a minute later: got %+v, want it as it was, %+v", got, before)
	}
}

func TestReturnThatIsRefusedSaysSo(t *testing.T) {
	t.Parallel()
	r := canaryWaves()
	r.OnFailure = "rollback"
	g := newRig(t, 2, r)
	canary(g)
	g.step()
	g.failing("a")
	g.refuse("a", older, false)
	g.in.Prior["a"] = newer
	g.step()
	g.in.Prior["a"] = newer // what overrides make of the former object cannot be made, so it was not given back
	g.step()
	g.wantPhase("it ends", rollout.PhaseRolledBack)
	if m := g.member("a"); m.State != rollout.MemberFailed || !strings.Contains(m.Message, broken) {
		t.Errorf("member: got %+v, want it failed with the reason", m)
	}
	if why := g.last.Rollout.Reason; !strings.Contains(why, "cluster a: ") || !strings.Contains(why, broken) {
		t.Errorf("reason %q, want the cluster and why", why)
	}
}
