package arch

import (
	"fmt"
	"slices"
	"strings"
)

// std in a list of patterns means any package of the standard library.
const std = "std"

// Rule is one line of the table. Patterns are import paths, the module's own ones written "./pkg/...", a trailing "/..."
// for everything below, a "*" for one path element.
type Rule struct {
	Name string
	Why  string
	Of   []string // packages that the rule binds
	Not  []string // but these
	Only []string // if set: everything that they import must match one of these
	Deny []string // and none of these
	// Linked looks at everything that ends up in the binary, not only at the direct imports.
	Linked bool
	// Grants are exceptions: a package's pattern and what it may import all the same, each with its reason beside it.
	Grants map[string][]string
}

// Violation is an import that a rule refuses.
type Violation struct {
	Rule   Rule
	From   string
	Import string
	Chain  []string // how From comes to Import, both included
}

// String says what is wrong and why it matters.
func (v Violation) String() string {
	how := ""
	if len(v.Chain) > 2 {
		how = " (by " + strings.Join(v.Chain[1:len(v.Chain)-1], " -> ") + ")"
	}
	return fmt.Sprintf("%s imports %s%s\n    rule %q: %s", v.From, v.Import, how, v.Rule.Name, v.Rule.Why)
}

// Check returns what breaks the rules, sorted by rule, package and import.
func Check(g Graph, rules []Rule) []Violation {
	var out []Violation
	for _, r := range rules {
		for _, p := range g.own() {
			if from := g.name(p.Path); matchAny(r.Of, from) && !matchAny(r.Not, from) {
				out = append(out, r.check(g, p)...)
			}
		}
	}
	return out
}

// Bound reports for each rule whether it binds any package of the graph.
func Bound(g Graph, r Rule) bool {
	return slices.ContainsFunc(g.own(), func(p Package) bool { return matchAny(r.Of, g.name(p.Path)) })
}

func (r Rule) check(g Graph, p Package) []Violation {
	from := g.name(p.Path)
	chains := map[string][]string{}
	if r.Linked {
		chains = g.chains(p.Path)
		delete(chains, p.Path)
	} else {
		for _, i := range p.Imports {
			chains[i] = []string{p.Path, i}
		}
	}
	var out []Violation
	for path, chain := range chains {
		if r.allows(g, from, path) {
			continue
		}
		v := Violation{Rule: r, From: from, Import: g.name(path)}
		for _, c := range chain {
			v.Chain = append(v.Chain, g.name(c))
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Violation) int { return strings.Compare(a.Import, b.Import) })
	return out
}

func (r Rule) allows(g Graph, from, path string) bool {
	name := g.name(path)
	for pattern, granted := range r.Grants {
		if match(pattern, from) && matchAny(granted, name) {
			return true
		}
	}
	if matchAny(r.Deny, name) {
		return false
	}
	if r.Only == nil {
		return true
	}
	return matchAny(r.Only, name) || slices.Contains(r.Only, std) && g.Packages[path].Standard
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	want, below := strings.CutSuffix(pattern, "/...")
	ws, ns := strings.Split(want, "/"), strings.Split(name, "/")
	if len(ns) < len(ws) || !below && len(ns) != len(ws) {
		return false
	}
	for i, w := range ws {
		if w != "*" && w != ns[i] {
			return false
		}
	}
	return true
}
