// Package statechart holds the drawings of docs/state to the code: tests tell it which transitions happen.
package statechart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Nothing is where a thing begins and ends: before it is there, and when it is gone.
const Nothing = "[*]"

// Edge is a transition.
type Edge struct{ From, To string }

// Walked are the transitions that were seen to happen.
type Walked map[Edge]bool

// Step notes a transition. That nothing happened to what is not there is none.
func (w Walked) Step(from, to string) {
	if from != Nothing || to != Nothing {
		w[Edge{from, to}] = true
	}
}

// Check fails the test unless docs/state/name.md draws each of these transitions, no other one, and tells what each state means
// in a row of a table that begins with it.
func (w Walked) Check(t testing.TB, name string) {
	t.Helper()
	path := filepath.Join(root(t), "docs", "state", name+".md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), "```mermaid\nstateDiagram-v2\n")
	drawing, after, ended := strings.Cut(rest, "```\n")
	if !begun || !ended {
		t.Fatalf("%s has no mermaid block with a state diagram", path)
	}
	drawn := Walked{}
	line := regexp.MustCompile(`^ {4}(\S+) --> (\S+?)(: \S.*)?$`)
	for l := range strings.SplitSeq(strings.TrimSuffix(drawing, "\n"), "\n") {
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("%s: %q is not understood", path, l)
			continue
		}
		e := Edge{m[1], m[2]}
		if drawn[e] {
			t.Errorf("%s draws %s --> %s twice", path, e.From, e.To)
		}
		drawn[e] = true
	}
	for e := range w {
		if !drawn[e] {
			t.Errorf("%s does not draw %s --> %s, which happens", path, e.From, e.To)
		}
		for _, state := range []string{e.From, e.To} {
			if state != Nothing && !strings.Contains(after, "\n| `"+state+"` |") {
				t.Errorf("%s does not say what %s means", path, state)
			}
		}
	}
	for e := range drawn {
		if !w[e] {
			t.Errorf("%s draws %s --> %s, which does not happen", path, e.From, e.To)
		}
	}
}

// root is the folder of the module in which the test runs.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test does not run inside the module")
		}
		dir = parent
	}
}
