package rollout_test

import (
	"slices"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

// join has another cluster picked that has nothing.
func (g *rig) join(a agent.ID) { g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: a}) }

// crds lets the stack depend on another one that is in these clusters as it must be.
func (g *rig) crds(in ...agent.ID) map[agent.ID]bool {
	met := map[agent.ID]bool{}
	for _, a := range in {
		met[a] = true
	}
	g.in.Dependencies = []rollout.Dependency{{Stack: "crds", Need: "healthy", Clusters: met}}
	return met
}

// wantWaiting fails unless exactly this cluster lacks what the stack depends on.
func (g *rig) wantWaiting(why string, want agent.ID) {
	g.t.Helper()
	if b := g.wantBlocked(why, rollout.BlockedByDependency); b.Count != 1 || !slices.Equal(b.Agents, []agent.ID{want}) {
		g.t.Fatalf("%s: blocker %+v, want it to name %s alone", why, b, want)
	}
}

func (g *rig) wantChanged(why string, want bool) {
	g.t.Helper()
	if g.last.Changed != want || len(g.last.Transitions) != 0 {
		g.t.Fatalf("%s: changed %t, transitions %+v; want %t and none", why, g.last.Changed, g.last.Transitions, want)
	}
}

func TestWhoJoinsACompletedRolloutWaitsForDependencies(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2, policy.Rollout{})
	met := g.crds("a", "b")
	g.step()
	g.healthy("a", "b")
	g.step()
	g.wantPhase("healthy", rollout.PhaseCompleted)

	met["a"] = false
	g.step()
	g.wantHave("who has it keeps it", newer, "a", "b")
	g.wantChanged("nobody waits", false)
	g.join("c")
	since := g.step().Blockers
	g.wantHave("c lacks the dependency", newer, "a", "b")
	g.wantWaiting("c lacks the dependency", "c")
	g.wantChanged("c waits", true)
	g.after(1)
	g.wantChanged("c waits still", false)
	if got := g.blockers(); !got[0].Since.Equal(since[0].Since) {
		t.Errorf("c waits since %s, want %s", got[0].Since, since[0].Since)
	}
	met["c"] = true
	g.step()
	g.wantHave("c has the dependency", newer, "a", "b", "c")
	g.wantChanged("nobody waits any more", true)
	if len(g.blockers()) != 0 {
		t.Errorf("blockers %+v, want none", g.blockers())
	}
	met["c"] = false
	g.step()
	g.wantHave("c keeps it", newer, "a", "b", "c")
	g.wantChanged("c keeps it", false)

	delete(g.in.Prior, "a") // it left, and comes back with nothing
	g.step()
	g.wantHave("a comes back", newer, "b", "c")
	g.wantWaiting("a comes back", "a")
	g.in.Dependencies = nil
	g.step()
	g.wantHave("the policy asks for it no longer", newer, "a", "b", "c")
}

// Who is left out until the rollout is completed waits for dependencies from that step on.
func TestWhoWasLeftOutWaitsForDependencies(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1, policy.Rollout{Joiners: "ignore"})
	g.crds("a")
	g.step()
	g.join("b")
	g.healthy("a")
	g.step()
	g.wantPhase("healthy", rollout.PhaseCompleted)
	g.wantHave("b lacks the dependency", newer, "a")
	g.wantWaiting("b lacks the dependency", "b")
	g.in.Dependencies[0].Everywhere = true
	g.step()
	g.wantHave("it is not everywhere", newer, "a")
	g.in.Dependencies[0].Met = true
	g.step()
	g.wantHave("it is everywhere", newer, "a", "b")
}

func TestWhoJoinsGetsNoFormerObjectWithoutDependencies(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(g *rig){
		"it goes on": func(*rig) {},
		"it is aborted": func(g *rig) {
			if _, err := g.in.Current.Abort(g.now, "me"); err != nil {
				g.t.Fatal(err)
			}
		},
		"it is rolled back": func(g *rig) {
			if _, err := g.in.Current.Undo(g.now, "me"); err != nil {
				g.t.Fatal(err)
			}
			g.step()
			g.healthy("a")
			g.step()
			g.wantPhase("back", rollout.PhaseRolledBack)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, 2, canaryWaves())
			canary(g)
			met := g.crds("a", "b")
			g.step()
			g.wantHave("the canary", newer, "a")
			end(g)
			g.join("c")
			before := g.have(older)
			open := g.step().Phase.Open()
			g.wantHave("c lacks the dependency", older, before...)
			if !open {
				g.wantWaiting("c lacks the dependency", "c")
			}
			met["c"] = true
			g.step()
			g.wantHave("c has it", older, append(before, "c")...)
		})
	}
}
