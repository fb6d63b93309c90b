package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Checks are what validating needs and the domain does not have: each returns what is wrong with a text. What is nil is
// not checked.
type Checks struct {
	CEL  func(expression string) (cost uint64, err error) // how much it may cost for one cluster
	Cron func(expression string) error
	Zone func(name string) error
}

// Bounds of a document's parts.
const (
	maxItems      = 100 // of a list
	maxSelector   = 5   // levels of any
	maxText       = 1024
	maxExpression = 4096    // of CEL
	maxCost       = 200_000 // of all different expressions in CEL together, for one cluster: schedulers ask them of each
	maxWeight     = 1000
	maxCount      = 100_000
	maxCores      = 1_000_000 // that a stack may ask of one cluster; sums of a cluster's stacks stay far from overflow
	maxMemory     = 1 << 50   // bytes
)

// Validate returns d normalised (what is left out and has a default that depends on other parts is filled in) with all of
// its problems, in the order of the document.
func Validate(d Document, c Checks) (Document, []Problem) {
	v := &validator{checks: c}
	if err := tenancy.CheckName("invalid_policy", "the name", d.Name); err != nil {
		v.fail("name", "%s", err)
	}
	if d.Clusters != nil {
		v.selector("clusters", *d.Clusters, 0)
	}
	v.requires(d.Requires)
	v.tolerations(d.Tolerations)
	d.Strategy = v.strategy(d.Strategy)
	v.spread(d)
	v.affinity(d.Affinity)
	v.groups(d.Groups)
	v.prefer(d.Prefer)
	v.stickiness(d.Stickiness)
	if f := d.Failover; f != nil {
		v.duration("failover.unreachable_after", f.UnreachableAfter)
		if f.Enabled && d.Strategy.Type != Count {
			v.warn("failover.enabled", "only a strategy of type count has other clusters to move to; this does nothing")
		}
	}
	v.overrides(d.Overrides)
	v.dependencies(d.DependsOn)
	if d.Rollout != nil {
		v.rollout(*d.Rollout)
	}
	return d, v.problems
}

type validator struct {
	checks   Checks
	cels     map[string]bool // that have been counted
	cost     uint64          // of these
	problems []Problem
}

func (v *validator) fail(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Path: path, Severity: Error, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) warn(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Path: path, Severity: Warning, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) items(path string, n int) {
	if n > maxItems {
		v.fail(path, "has %d items, more than %d", n, maxItems)
	}
}

func (v *validator) text(path, what, s string) {
	if strings.TrimSpace(s) == "" {
		v.fail(path, "%s is empty", what)
	} else if len(s) > maxText {
		v.fail(path, "%s is longer than %d bytes", what, maxText)
	}
}

func (v *validator) duration(path string, d Duration) {
	if d < 0 {
		v.fail(path, "%s is less than nothing", time.Duration(d))
	} else if time.Duration(d) > 366*24*time.Hour {
		v.fail(path, "%s is more than a year", time.Duration(d))
	}
}

func (v *validator) oneOf(path, s string, known ...string) {
	if s != "" && !slices.Contains(known, s) {
		v.fail(path, "%q is not known; known are %s", s, strings.Join(known, ", "))
	}
}

func (v *validator) distinct(path string, n int, name func(i int) (at, name string)) {
	seen := map[string]bool{}
	for i := range n {
		at, s := name(i)
		if s != "" && seen[s] {
			v.fail(index(path, i)+at, "%q is there already", s)
		}
		seen[s] = true
	}
}

func (v *validator) requires(r *Requirements) {
	if r == nil {
		return
	}
	for _, q := range []struct {
		path, text string
		most       float64
	}{{"requires.cpu", r.CPU, maxCores}, {"requires.memory", r.Memory, maxMemory}} {
		n, ok := ParseQuantity(q.text)
		switch {
		case q.text == "":
		case !ok || n < 0:
			v.fail(q.path, "%q is no amount like 500m, 2 or 4Gi", q.text)
		case n > q.most:
			v.fail(q.path, "%q is more than any cluster has", q.text)
		}
	}
	if r.Pods < 0 {
		v.fail("requires.pods", "%d is less than nothing", r.Pods)
	}
	if r.GPU < 0 {
		v.fail("requires.gpus", "%d is less than nothing", r.GPU)
	}
}

func (v *validator) tolerations(ts []Toleration) {
	v.items("tolerations", len(ts))
	for i, t := range ts {
		at := index("tolerations", i)
		if t.Effect != "" && !slices.Contains(cluster.Effects(), t.Effect) {
			v.fail(at+".effect", "%q is not known; known are PreferNoPlace, NoPlace, Evict", t.Effect)
		}
		if t.Seconds != nil && *t.Seconds < 0 {
			v.fail(at+".seconds", "%d is less than nothing", *t.Seconds)
		}
		if t.Key == "" && t.Value != "" {
			v.fail(at+".value", "a value needs a key")
		}
	}
}

func (v *validator) strategy(s Strategy) Strategy {
	if s.Type == "" {
		switch {
		case s.Count != nil && len(s.Fixed) > 0:
			v.fail("strategy", "both fixed and count are given, and no type")
		case s.Count != nil:
			s.Type = Count
		case len(s.Fixed) > 0:
			s.Type = Fixed
		default:
			s.Type = All
		}
	}
	v.oneOf("strategy.type", string(s.Type), string(All), string(Fixed), string(Count))
	if s.Count != nil && s.Type != Count {
		v.fail("strategy.count", "a strategy of type %s has no count", s.Type)
	}
	if len(s.Fixed) > 0 && s.Type != Fixed {
		v.fail("strategy.fixed", "a strategy of type %s has no fixed agents", s.Type)
	}
	switch {
	case s.Type == Fixed && len(s.Fixed) == 0:
		v.fail("strategy.fixed", "names no agent")
	case s.Type == Count && s.Count == nil:
		v.fail("strategy.count", "is missing")
	case s.Type == Count:
		s.Count = v.count(*s.Count)
	}
	if len(s.Fixed) > 10*maxItems {
		v.fail("strategy.fixed", "has %d agents, more than %d", len(s.Fixed), 10*maxItems)
	}
	v.distinct("strategy.fixed", len(s.Fixed), func(i int) (string, string) { return "", string(s.Fixed[i]) })
	return s
}

func (v *validator) count(r Range) *Range {
	if r.Max == 0 {
		r.Max = r.Min
	}
	switch {
	case r.Min < 0:
		v.fail("strategy.count.min", "%d is less than nothing", r.Min)
	case r.Max < 1:
		v.fail("strategy.count.max", "%d is less than 1", r.Max)
	case r.Max > maxCount:
		v.fail("strategy.count.max", "%d is more than %d", r.Max, maxCount)
	case r.Min > r.Max:
		v.fail("strategy.count.min", "%d is more than max, %d", r.Min, r.Max)
	}
	return &r
}

func (v *validator) spread(d Document) {
	v.items("spread", len(d.Spread))
	if len(d.Spread) > 4 {
		v.fail("spread", "has %d keys, more than 4", len(d.Spread))
	}
	for i, s := range d.Spread {
		at := index("spread", i)
		v.key(at+".by", s.By)
		if s.MaxSkew < 1 {
			v.fail(at+".max_skew", "%d is less than 1", s.MaxSkew)
		}
		if s.MinDomains < 0 {
			v.fail(at+".min_domains", "%d is less than nothing", s.MinDomains)
		}
		v.oneOf(at+".when_unsatisfiable", string(s.WhenUnsatisfiable), string(Refuse), string(Prefer))
		if c := d.Strategy.Count; c != nil && d.Strategy.Type == Count && s.MinDomains > c.Max && s.WhenUnsatisfiable != Prefer {
			v.fail(at+".min_domains", "%d domains cannot be had with %d clusters at most", s.MinDomains, c.Max)
		}
	}
	v.distinct("spread", len(d.Spread), func(i int) (string, string) { return ".by", d.Spread[i].By })
	if len(d.Spread) > 0 && d.Strategy.Type == Fixed {
		v.fail("spread", "the fixed agents are taken as they are; there is nothing to spread")
	}
}

func (v *validator) affinity(a *Affinity) {
	if a == nil {
		return
	}
	for _, l := range []struct {
		path  string
		names []string
	}{{"affinity.with_stacks", a.WithStacks}, {"affinity.apart_from_stacks", a.ApartFromStacks}} {
		v.items(l.path, len(l.names))
		for i, n := range l.names {
			v.text(index(l.path, i), "the name of a stack", n)
		}
		v.distinct(l.path, len(l.names), func(i int) (string, string) { return "", l.names[i] })
	}
	for i, n := range a.ApartFromStacks {
		if slices.Contains(a.WithStacks, n) {
			v.fail(index("affinity.apart_from_stacks", i), "%q is among with_stacks too; no cluster can fit", n)
		}
	}
}

func (v *validator) groups(gs []Group) {
	v.items("groups", len(gs))
	for i, g := range gs {
		at := index("groups", i)
		v.text(at+".name", "the name", g.Name)
		v.selector(at+".clusters", g.Clusters, 0)
	}
	v.distinct("groups", len(gs), func(i int) (string, string) { return ".name", gs[i].Name })
}

func (v *validator) prefer(ps []Preference) {
	v.items("prefer", len(ps))
	for i, p := range ps {
		at := index("prefer", i)
		switch {
		case p.Balance && p.Property != "":
			v.fail(at, "either a property or balance")
		case p.Balance:
			if p.Range != nil || p.Order != "" {
				v.fail(at, "balance has neither range nor order")
			}
		case p.Property == "":
			v.fail(at+".property", "is missing")
		case !Numeric(p.Property):
			v.fail(at+".property", "%q is no number that is known of clusters", p.Property)
		case p.Range == nil:
			v.fail(at+".range", "is missing: from what is worst to what is best, or with order low the other way round")
		case !(p.Range[0] < p.Range[1]):
			v.fail(at+".range", "%v is not less than %v", p.Range[0], p.Range[1])
		case math.IsInf(p.Range[1]-p.Range[0], 0):
			v.fail(at+".range", "from %v to %v is too far", p.Range[0], p.Range[1])
		}
		v.oneOf(at+".order", p.Order, "high", "low")
		if p.Weight < 0 || p.Weight > maxWeight {
			v.fail(at+".weight", "%d is not within 0 to %d", p.Weight, maxWeight)
		}
	}
}

func (v *validator) stickiness(s *Stickiness) {
	if s == nil {
		return
	}
	if s.Points < 0 || s.Points > 1_000_000 {
		v.fail("stickiness.points", "%d is not within 0 to 1000000", s.Points)
	}
	v.duration("stickiness.min_dwell", s.MinDwell)
	if s.MaxMovesPerHour < 0 {
		v.fail("stickiness.max_moves_per_hour", "%d is less than nothing", s.MaxMovesPerHour)
	}
}
