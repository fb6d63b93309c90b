package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Seen is what a policy is reviewed against: what its generator may use, and nothing else.
type Seen struct {
	Clusters []Cluster       // with an approved registration with the generator
	Stacks   map[string]bool // live stacks of the generator, of those that Names names
}

// Names returns the stacks that the policy names, each once.
func (c *Compiled) Names() []string {
	names := map[string]bool{}
	for _, n := range c.Peers() {
		names[n] = true
	}
	for _, d := range c.document.DependsOn {
		names[d.Stack] = true
	}
	return sorted(names)
}

// Review tells, as warnings, what the policy asks for and the fleet does not have just now: parts that no cluster fulfils,
// more than any cluster has, agents and stacks that are not there. What is not known of a cluster counts for the policy.
func (c *Compiled) Review(seen Seen, now time.Time) []policy.Problem {
	v := &review{c: c, now: now, all: seen.Clusters}
	v.names(seen.Stacks)
	if len(v.all) == 0 {
		v.warn("", "no agent has an approved registration with the generator, so that no cluster fits")
		return v.out
	}
	d := c.document
	if d.Clusters != nil {
		v.selector("clusters", &c.clusters, *d.Clusters)
	}
	for i := range v.all {
		if c.clusters.ask(&v.all[i], now) != no {
			v.fitting = append(v.fitting, &v.all[i])
		}
	}
	v.fixed()
	if len(v.fitting) == 0 {
		return v.out
	}
	v.requires()
	v.groups()
	v.count()
	v.spread()
	for i, p := range d.Prefer {
		if !p.Balance && !v.anyHas(p.Property) {
			v.warn(fmt.Sprintf("prefer[%d].property", i), "%s is known of no cluster that fits, so that it gives no points", p.Property)
		}
	}
	for i := range d.Overrides {
		v.part(fmt.Sprintf("overrides[%d].clusters", i), &c.overrides[i])
	}
	for i, s := range c.waves {
		if s != nil {
			v.part(fmt.Sprintf("rollout.waves[%d].clusters", i), s)
		}
	}
	return v.out
}

type review struct {
	c       *Compiled
	now     time.Time
	all     []Cluster
	fitting []*Cluster // what the selector does not refuse
	out     []policy.Problem
}

func (v *review) warn(path, format string, args ...any) {
	v.out = append(v.out, policy.Problem{Path: path, Severity: policy.Warning, Message: fmt.Sprintf(format, args...)})
}

func (v *review) names(known map[string]bool) {
	missing := func(path, name string) {
		if !known[name] {
			v.warn(path, "the generator has no stack %q", name)
		}
	}
	if a := v.c.document.Affinity; a != nil {
		for i, n := range a.WithStacks {
			missing(fmt.Sprintf("affinity.with_stacks[%d]", i), n)
		}
		for i, n := range a.ApartFromStacks {
			missing(fmt.Sprintf("affinity.apart_from_stacks[%d]", i), n)
		}
	}
	for i, d := range v.c.document.DependsOn {
		missing(fmt.Sprintf("depends_on[%d].stack", i), d.Stack)
	}
}

// best is the best answer of any cluster.
func (v *review) best(ask func(*Cluster) answer) answer {
	out := no
	for i := range v.all {
		if out = max(out, ask(&v.all[i])); out == yes {
			break
		}
	}
	return out
}

// selector finds the parts that no cluster fulfils, and if each is fulfilled somewhere, whether they are together. It reports
// whether some cluster fits, or may fit.
func (v *review) selector(path string, s *selector, from policy.Selector) {
	before := len(v.out)
	for i, l := range s.labels {
		if v.best(func(c *Cluster) answer { return truth(c.Labels[l]) }) == no {
			v.warn(fmt.Sprintf("%s.labels[%d]", path, i), "none of the %d clusters that the generator may use has the label %q", len(v.all), l)
		}
	}
	for _, kv := range s.annotations {
		if v.best(func(c *Cluster) answer { x, has := c.Annotations[kv[0]]; return truth(has && x == kv[1]) }) == no {
			v.warn(path+".annotations", "none of the %d clusters that the generator may use has the annotation %s=%s", len(v.all), kv[0], kv[1])
		}
	}
	for i := range s.terms {
		at := path + ".cel"
		if i < len(from.Expressions) {
			at = fmt.Sprintf("%s.expressions[%d]", path, i)
		}
		switch v.best(func(c *Cluster) answer { return s.terms[i].ask(c, v.now) }) {
		case no:
			v.warn(at, "%s holds in none of the %d clusters that the generator may use", s.terms[i].wanted, len(v.all))
		case unknown:
			v.warn(at, "whether %s holds is known of none of the %d clusters that the generator may use", s.terms[i].wanted, len(v.all))
		case yes:
			if i < len(from.Expressions) {
				v.values(at, from.Expressions[i])
			}
		}
	}
	if len(s.any) > 0 && v.best(func(c *Cluster) answer {
		out := no
		for i := range s.any {
			out = max(out, s.any[i].ask(c, v.now))
		}
		return out
	}) == no {
		v.warn(path+".any", "none of the %d clusters that the generator may use fits one of the alternatives", len(v.all))
	}
	if len(v.out) == before && v.best(func(c *Cluster) answer { return s.ask(c, v.now) }) == no {
		v.warn(path, "each part fits some cluster, but none of the %d that the generator may use fits all of them", len(v.all))
	}
}

// values finds agents and clusters that are named and not there.
func (v *review) values(path string, e policy.Expression) {
	if (e.Key != policy.KeyAgent && e.Key != policy.KeyName) || (e.Operator != policy.In && e.Operator != policy.Equal) {
		return
	}
	for i, want := range e.Values {
		if !slices.ContainsFunc(v.all, func(c Cluster) bool { return observe(&c, e.Key, v.now).string == want }) {
			v.warn(fmt.Sprintf("%s.values[%d]", path, i), "no cluster that the generator may use has the %s %q", e.Key, want)
		}
	}
}

// fixed finds agents that are not there, and those whose cluster does not fit.
func (v *review) fixed() {
	byAgent := map[agent.ID]*Cluster{}
	for i := range v.all {
		byAgent[v.all[i].Agent] = &v.all[i]
	}
	for i, a := range v.c.document.Strategy.Fixed {
		at := fmt.Sprintf("strategy.fixed[%d]", i)
		c, there := byAgent[a]
		switch {
		case !there:
			v.warn(at, "no agent with this id has an approved registration with the generator")
		case v.c.clusters.ask(c, v.now) == no:
			v.warn(at, "its cluster does not fit: %s", v.c.clusters.explain(c, v.now)[0].Message)
		}
	}
}

// allocates returns what a cluster has for workloads, if that is known.
func allocates(c *Cluster) (cluster.Resources, bool) {
	return c.Reported.Allocatable, c.ReportedAt != nil && c.Reported.Knows(cluster.PartNodes)
}

func (v *review) requires() {
	n := v.c.needs
	if n == (cluster.Resources{}) {
		return
	}
	var most cluster.Resources
	fits := false
	for _, c := range v.fitting {
		r, known := allocates(c)
		if !known {
			return
		}
		most = cluster.Resources{CPU: max(most.CPU, r.CPU), Memory: max(most.Memory, r.Memory), Pods: max(most.Pods, r.Pods), GPU: max(most.GPU, r.GPU)}
		fits = fits || (n.CPU <= r.CPU && n.Memory <= r.Memory && n.Pods <= r.Pods && n.GPU <= r.GPU)
	}
	if fits {
		return
	}
	before := len(v.out)
	for _, x := range []struct {
		name         string
		needs, there float64
	}{
		{"cpu", float64(n.CPU) / 1000, float64(most.CPU) / 1000}, {"memory", float64(n.Memory), float64(most.Memory)},
		{"pods", float64(n.Pods), float64(most.Pods)}, {"gpus", float64(n.GPU), float64(most.GPU)},
	} {
		if x.needs > x.there {
			v.warn("requires."+x.name, "%s is more than any cluster that fits can allocate (%s at most)", policy.FormatNumber(x.needs), policy.FormatNumber(x.there))
		}
	}
	if len(v.out) == before {
		v.warn("requires", "no cluster that fits can allocate all of it together")
	}
}

// part says if a selector beside the policy's own fits none of the clusters that fit that.
func (v *review) part(path string, s *selector) {
	for _, c := range v.fitting {
		if s.ask(c, v.now) != no {
			return
		}
	}
	why := ""
	if len(v.fitting) == 1 {
		why = ": " + s.explain(v.fitting[0], v.now)[0].Message
	}
	v.warn(path, "none of the %d clusters that fit the policy fits here%s", len(v.fitting), why)
}

func (v *review) groups() {
	if len(v.c.groups) == 0 {
		return
	}
	for g := range v.c.groups {
		v.part(fmt.Sprintf("groups[%d].clusters", g), &v.c.groups[g])
	}
}

// count says if fewer clusters fit than are asked for.
func (v *review) count() {
	st := v.c.document.Strategy
	if st.Type != policy.Count || st.Count == nil {
		return
	}
	fit := 0
	for _, c := range v.fitting {
		if len(v.c.groups) == 0 || slices.ContainsFunc(v.c.groups, func(s selector) bool { return s.ask(c, v.now) != no }) {
			fit++
		}
	}
	if fit < st.Count.Min {
		v.warn("strategy.count.min", "%d are asked for, and only %d of the %d clusters that the generator may use fit", st.Count.Min, fit, len(v.all))
	}
}

func (v *review) anyHas(key string) bool {
	return slices.ContainsFunc(v.fitting, func(c *Cluster) bool {
		o := observe(c, key, v.now)
		return !o.known || o.exists
	})
}

func (v *review) spread() {
	for i, s := range v.c.document.Spread {
		at := fmt.Sprintf("spread[%d]", i)
		if !v.anyHas(s.By) {
			v.warn(at+".by", "no cluster that fits has a value for %s", s.By)
			continue
		}
		domains, all := map[string]bool{}, true
		for _, c := range v.fitting {
			o := observe(c, s.By, v.now)
			domains[o.text()], all = true, all && o.known
		}
		if all && len(domains) < s.MinDomains {
			v.warn(at+".min_domains", "%d are asked for, and the clusters that fit are in %d (%s)", s.MinDomains, len(domains), strings.Join(domainNames(domains), ", "))
		}
	}
}

func domainNames(domains map[string]bool) []string {
	names := slices.Sorted(maps.Keys(domains))
	for i, n := range names {
		if n == "" {
			names[i] = "without a value"
		}
	}
	const shown = 5
	if len(names) > shown {
		names = append(names[:shown], "...")
	}
	return names
}
