package rollout_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/rollout/window"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// scenario is a file of testdata/scenarios: a rollout, what happens, and what comes of it. Everything begins on a Monday at ten, with the
// object one healthy in all clusters; "publish" makes two, three and so on.
type scenario struct {
	Because   string              `json:"because"`
	Rollout   policy.Rollout      `json:"rollout"`
	DependsOn *scenarioDependency `json:"depends_on,omitempty"`
	Clusters  []agent.ID          `json:"clusters"`
	Canaries  []agent.ID          `json:"canaries,omitempty"` // what waves with a selector select
	Steps     []scenarioStep      `json:"steps"`
}

type scenarioDependency struct {
	Stack      string `json:"stack"`
	Everywhere bool   `json:"everywhere,omitempty"`
}

// scenarioStep is what happens, and what is the case after the rollout has taken a step.
type scenarioStep struct {
	Do   string `json:"do"`
	Then string `json:"then"`
}

// play is a scenario in progress.
type play struct {
	*rig
	scenario
	objects []stack.ObjectID
}

func objectName(n int) stack.ObjectID {
	return stack.ObjectID([]string{"", "one", "two", "three", "four"}[n])
}

func newPlay(t *testing.T, s scenario) *play {
	p := &play{rig: newRig(t, 0, s.Rollout), scenario: s, objects: []stack.ObjectID{"one"}}
	p.in.Newest = "one"
	for _, a := range s.Clusters {
		p.joins(a)
		p.in.Prior[a] = "one"
		p.report(a, "one", delivery.PhaseApplied, delivery.HealthHealthy)
	}
	if d := s.DependsOn; d != nil {
		p.in.Dependencies = []rollout.Dependency{{Stack: d.Stack, Need: "healthy", Everywhere: d.Everywhere, Clusters: map[agent.ID]bool{}}}
	}
	return p
}

func (p *play) joins(a agent.ID) {
	pick := rollout.Pick{Agent: a}
	for range p.Rollout.Waves {
		pick.Fits = append(pick.Fits, slices.Contains(p.Canaries, a))
	}
	p.in.Picks = append(p.in.Picks, pick)
}

// do makes one thing happen; several are separated by commas.
func (p *play) do(what string) {
	p.t.Helper()
	for _, one := range strings.Split(what, ", ") {
		verb, rest, _ := strings.Cut(one, " ")
		var names []agent.ID
		for _, name := range strings.Fields(rest) {
			names = append(names, agent.ID(name))
		}
		switch verb {
		case "publish":
			p.objects = append(p.objects, objectName(len(p.objects)+1))
			p.in.Newest = p.objects[len(p.objects)-1]
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				p.t.Fatal(err)
			}
			p.now = p.now.Add(d)
		case "approve", "pause", "resume", "abort", "undo":
			p.act(verb)
		default:
			for _, a := range names {
				p.happens(verb, a)
			}
			if len(names) == 0 {
				p.t.Fatalf("what is %q?", one)
			}
		}
	}
}

// happens is what a cluster does.
func (p *play) happens(verb string, a agent.ID) {
	p.t.Helper()
	switch verb {
	case "healthy":
		p.healthy(a)
	case "failing":
		p.failing(a)
	case "progressing":
		p.report(a, p.in.Prior[a], delivery.PhaseApplied, delivery.HealthProgressing)
	case "stale": // it says again that what it had before is healthy
		p.report(a, p.objects[len(p.objects)-2], delivery.PhaseApplied, delivery.HealthHealthy)
	case "offline", "online":
		p.pick(a).Offline = verb == "offline"
	case "joins":
		p.rig.t.Helper()
		p.joins(a)
	case "leaves":
		p.in.Picks = slices.DeleteFunc(p.in.Picks, func(x rollout.Pick) bool { return x.Agent == a })
		delete(p.in.Prior, a)
		delete(p.in.Status, a)
	case "meets": // what the stack depends on is there
		p.in.Dependencies[0].Clusters[a] = true
	case "met":
		p.in.Dependencies[0].Met = a == "everywhere"
	default:
		p.t.Fatalf("what is %q?", verb)
	}
}

// act is what somebody does; what is refused is told.
func (p *play) act(verb string) {
	p.t.Helper()
	c := p.in.Current.Clone()
	var err error
	switch verb {
	case "approve":
		_, err = c.Approve(p.now, "somebody", -1)
	case "pause":
		_, err = c.Pause(p.now, "somebody")
	case "resume":
		_, err = c.Resume(p.now, "somebody")
	case "abort":
		_, err = c.Abort(p.now, "somebody")
	case "undo":
		_, err = c.Undo(p.now, "somebody")
	}
	if err != nil {
		p.t.Fatalf("%s: %v", verb, err)
	}
	p.in.Current = &c
}

// then takes a step and tells what is the case.
func (p *play) then() string {
	p.t.Helper()
	spec := p.in.Spec
	if p.in.Current != nil && p.in.Current.Object == p.in.Newest {
		spec = &p.in.Current.Spec
	}
	o, err := window.At(spec.Windows, p.now, time.LoadLocation)
	if err != nil {
		p.t.Fatal(err)
	}
	p.in.Window = rollout.Opening{Open: o.Open, Changes: o.Changes}
	r := p.step()
	var out []string
	if r == nil {
		out = append(out, "no rollout")
	} else {
		out = append(out, p.standing(r))
	}
	for _, o := range slices.Backward(p.objects) {
		if have := p.have(o); len(have) > 0 {
			out = append(out, fmt.Sprintf("%s on %s", o, list(have)))
		}
	}
	if r != nil {
		out = append(out, p.waits(r)...)
	}
	return strings.Join(out, "; ")
}

func (p *play) standing(r *rollout.Rollout) string {
	text := string(r.Phase)
	if r.Phase == rollout.PhaseProgressing {
		text = fmt.Sprintf("%s %s", r.Spec.Waves[r.Wave].Name, r.Stage)
	}
	by := map[rollout.MemberState][]agent.ID{}
	for _, m := range r.Members {
		if !m.Gone && (m.State == rollout.MemberFailed || m.State == rollout.MemberSkipped) {
			by[m.State] = append(by[m.State], m.Agent)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(by)) {
		text += fmt.Sprintf(", %s %s", list(by[s]), s)
	}
	return text
}

func (p *play) waits(r *rollout.Rollout) []string {
	var out []string
	for _, b := range r.Blockers {
		text := "waits for " + string(b.Kind)
		if len(b.Agents) > 0 {
			text += " of " + list(b.Agents)
		}
		if b.Until != nil {
			text += " until " + b.Until.Format("Mon 15:04")
		}
		out = append(out, text)
	}
	return out
}

func list(agents []agent.ID) string {
	var out []string
	for _, a := range agents {
		out = append(out, string(a))
	}
	return strings.Join(out, " ")
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			if err := yaml.UnmarshalStrict(text, &s); err != nil {
				t.Fatal(err)
			}
			p := newPlay(t, s)
			var steps []scenarioStep
			for _, x := range s.Steps {
				p.do(x.Do)
				steps = append(steps, scenarioStep{x.Do, p.then()})
			}
			for i, x := range steps {
				if want := s.Steps[i].Then; x.Then != want && !*update {
					t.Errorf("%s\nstep %d, %s: it is\n  %s\nnot\n  %s", s.Because, i+1, x.Do, x.Then, want)
				}
			}
			if !*update {
				return
			}
			before, _, _ := bytes.Cut(text, []byte("steps:"))
			var out bytes.Buffer
			out.Write(before)
			out.WriteString("steps:\n")
			for _, x := range steps {
				fmt.Fprintf(&out, "- do: %s\n  then: %s\n", x.Do, x.Then)
			}
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil { //nolint:gosec // a document
				t.Fatal(err)
			}
		})
	}
}
