package rollout_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

var update = flag.Bool("update", false, "write docs/state/rollout.md anew")

// docs/state/rollout.md shows the machine as the code has it.
func TestStateMachineIsDrawn(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../docs/state/rollout.md", "```mermaid\n", "```\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	drawn, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no mermaid block", path)
	}
	if want := rollout.Mermaid(); drawn != want {
		if *update {
			if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // a document
				t.Fatal(err)
			}
			return
		}
		t.Fatalf("%s draws another machine; run the test with -update. Want:\n%s", path, want)
	}
	for _, p := range rollout.Phases() {
		if !strings.Contains(after, "`"+string(p)+"`") {
			t.Errorf("%s does not explain %s", path, p)
		}
	}
}

func TestEdgesReachEveryPhase(t *testing.T) {
	t.Parallel()
	reached := map[rollout.Phase]bool{rollout.PhasePending: true}
	leaves := map[rollout.Phase]bool{}
	for _, e := range rollout.Edges() {
		reached[e.To], leaves[e.From] = true, true
	}
	for _, p := range rollout.Phases() {
		if got, err := rollout.ParsePhase(string(p)); err != nil || got != p {
			t.Errorf("ParsePhase(%q) = %q, %v", p, got, err)
		}
		if !reached[p] {
			t.Errorf("nothing leads to %s", p)
		}
		if p.Open() && !leaves[p] {
			t.Errorf("%s is open, and nothing leads out of it", p)
		}
	}
	if _, err := rollout.ParsePhase("lost"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown phase: %v, want Invalid", err)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 7, "3": 3, "20%": 2, "1%": 1, "100%": 7} {
		b, err := rollout.ParseBound(text)
		if err != nil || b.Of(7) != want || b.String() != text {
			t.Errorf("%q of 7 = %d (%q, %v), want %d", text, b.Of(7), b, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "101%", "0%", "x", "5 %", "%"} {
		if _, err := rollout.ParseBound(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want Invalid", text, err)
		}
	}
}

func TestSpecOf(t *testing.T) {
	t.Parallel()
	if s, err := rollout.SpecOf(policy.Document{}); err != nil || s != nil {
		t.Errorf("a policy without rollout and dependencies: %+v, %v; want none", s, err)
	}
	s, err := rollout.SpecOf(policy.Document{DependsOn: []policy.Dependency{{Stack: "crds"}}})
	if err != nil || s == nil || len(s.Waves) != 1 {
		t.Errorf("dependencies alone: %+v, %v; want one wave", s, err)
	}
	s, err = rollout.SpecOf(policy.Document{Rollout: &policy.Rollout{Waves: []policy.Wave{{Name: "canary", Percent: 10}, {}}, OnFailure: "rollback"}})
	if err != nil || len(s.Waves) != 2 || s.Waves[1].Name != "wave 2" || !s.Rollback || s.Deadline <= 0 {
		t.Errorf("spec = %+v, %v", s, err)
	}
	if _, err := rollout.SpecOf(policy.Document{Rollout: &policy.Rollout{MaxConcurrent: "many"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a bound that is none: %v, want Invalid", err)
	}
}
