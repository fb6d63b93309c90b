package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

const (
	older = stack.ObjectID("o1")
	newer = stack.ObjectID("o2")
)

// rig drives one stack's rollout by hand: everything takes effect at once, unless a test says otherwise.
type rig struct {
	t      *testing.T
	in     rollout.In
	now    time.Time
	last   rollout.Out
	starts int
	seen   []rollout.Transition
}

// newRig has clusters a, b, c, ... that are healthy with the older object; the newer one has just been published.
func newRig(t *testing.T, clusters int, r policy.Rollout) *rig {
	t.Helper()
	g := &rig{t: t, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	g.in = rollout.In{
		Stack: "web", Newest: newer, Spec: specOf(t, r), Prior: map[agent.ID]stack.ObjectID{}, Status: map[agent.ID]delivery.Status{},
		Window: rollout.Opening{Open: true},
	}
	for i := range clusters {
		a := agent.ID(rune('a' + i))
		g.in.Picks = append(g.in.Picks, rollout.Pick{Agent: a})
		g.in.Prior[a] = older
		g.report(a, older, delivery.PhaseApplied, delivery.HealthHealthy)
	}
	return g
}

func specOf(t testing.TB, r policy.Rollout) *rollout.Spec {
	t.Helper()
	s, err := rollout.SpecOf(policy.Document{Rollout: &r})
	if err != nil {
		t.Fatalf("spec: %v", err)
	}
	return s
}

// step makes one step and commits it.
func (g *rig) step() *rollout.Rollout {
	g.t.Helper()
	g.starts++
	g.in.NewID = rollout.ID(fmt.Sprint("r", g.starts))
	g.last = rollout.Step(g.in, g.now)
	g.in.Current = g.last.Rollout
	for a, o := range g.last.Objects {
		g.in.Prior[a] = o
	}
	for _, x := range g.last.Transitions {
		if !slices.ContainsFunc(rollout.Edges(), func(e rollout.Edge) bool { return e.From == x.From && e.To == x.To }) {
			g.t.Fatalf("the transition %s -> %s is not among the edges", x.From, x.To)
		}
	}
	g.seen = append(g.seen, g.last.Transitions...)
	return g.last.Rollout
}

func (g *rig) after(d time.Duration) *rollout.Rollout {
	g.t.Helper()
	g.now = g.now.Add(d)
	return g.step()
}

func (g *rig) report(a agent.ID, o stack.ObjectID, p delivery.Phase, h delivery.Health) {
	g.in.Status[a] = delivery.Status{Agent: a, Object: o, Phase: p, Health: h}
}

func (g *rig) healthy(agents ...agent.ID) {
	for _, a := range agents {
		g.report(a, g.in.Prior[a], delivery.PhaseApplied, delivery.HealthHealthy)
	}
}

func (g *rig) failing(a agent.ID) {
	g.report(a, g.in.Prior[a], delivery.PhaseApplied, delivery.HealthFailing)
}

func (g *rig) pick(a agent.ID) *rollout.Pick {
	for i := range g.in.Picks {
		if g.in.Picks[i].Agent == a {
			return &g.in.Picks[i]
		}
	}
	g.t.Fatalf("no pick %s", a)
	return nil
}

// have returns the clusters that are assigned the object.
func (g *rig) have(o stack.ObjectID) []agent.ID {
	var out []agent.ID
	for a, x := range g.in.Prior {
		if x == o {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}

func (g *rig) wantHave(why string, o stack.ObjectID, want ...agent.ID) {
	g.t.Helper()
	if got := g.have(o); !slices.Equal(got, want) {
		g.t.Fatalf("%s: %s is at %v, want %v (rollout %s, blockers %+v)", why, o, got, want, g.phase(), g.blockers())
	}
}

func (g *rig) wantCount(why string, o stack.ObjectID, want int) {
	g.t.Helper()
	if got := g.have(o); len(got) != want {
		g.t.Fatalf("%s: %s is at %v, want %d clusters (rollout %s)", why, o, got, want, g.phase())
	}
}

func (g *rig) phase() rollout.Phase {
	if g.last.Rollout == nil {
		return ""
	}
	return g.last.Rollout.Phase
}

func (g *rig) blockers() []rollout.Blocker {
	if g.last.Rollout == nil {
		return nil
	}
	return g.last.Rollout.Blockers
}

func (g *rig) wantPhase(why string, want rollout.Phase) {
	g.t.Helper()
	if got := g.phase(); got != want {
		g.t.Fatalf("%s: phase %s, want %s (%+v)", why, got, want, g.blockers())
	}
}

func (g *rig) wantBlocked(why string, kind rollout.BlockerKind) rollout.Blocker {
	g.t.Helper()
	for _, b := range g.blockers() {
		if b.Kind == kind {
			if b.Message == "" || b.Release == "" || b.Since.IsZero() {
				g.t.Fatalf("%s: the blocker says too little: %+v", why, b)
			}
			return b
		}
	}
	g.t.Fatalf("%s: blockers %+v, want one of kind %s", why, g.blockers(), kind)
	return rollout.Blocker{}
}

func (g *rig) member(a agent.ID) rollout.Member {
	for _, m := range g.last.Rollout.Members {
		if m.Agent == a {
			return m
		}
	}
	g.t.Fatalf("no member %s", a)
	return rollout.Member{}
}

// canary makes a the only cluster of the first wave, which is selected.
func canary(g *rig) { g.pick("a").Fits = []bool{true} }

func canaryWaves() policy.Rollout {
	return policy.Rollout{Waves: []policy.Wave{{Name: "canary", Clusters: &policy.Selector{Labels: []string{"canary"}}}, {Name: "rest"}}}
}
