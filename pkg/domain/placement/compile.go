package placement

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Expr is a compiled expression over one cluster. Its answer depends on nothing else; an error (also of too much work)
// leaves the answer unknown. It is safe for concurrent use.
type Expr interface {
	Eval(c *Cluster) (bool, error)
	// Cost is how much one evaluation may cost at most, in steps.
	Cost() uint64
}

// Deps are what compiling needs and the domain does not have.
type Deps struct {
	CEL func(expression string) (Expr, error) // nil: a policy with CEL cannot be compiled
}

// Compiled is a revision of a policy, ready to decide with. It never changes: what decisions find out about clusters is
// remembered with the fleet. It is safe for concurrent use.
type Compiled struct {
	document  policy.Document
	clusters  selector
	groups    []selector
	waves     []*selector // nil: no selector
	overrides []selector
	needs     cluster.Resources
	room      *term       // whether there is room for needs; nil: nothing is needed
	scales    []pointsKey // of the preferences
	facts     []string    // which facts a decision rests on, anyFact for each
	reads     []string    // as Reads returns it
}

// Compile returns the policy ready to decide with. The document is valid; an error names the part that cannot be compiled.
func Compile(d policy.Document, deps Deps) (*Compiled, error) {
	c := &Compiled{document: d, groups: make([]selector, len(d.Groups)), overrides: make([]selector, len(d.Overrides))}
	if s := &c.document.Strategy; s.Type == "" {
		switch {
		case s.Count != nil:
			s.Type = policy.Count
		case len(s.Fixed) > 0:
			s.Type = policy.Fixed
		default:
			s.Type = policy.All
		}
	}
	if d.Clusters != nil {
		if err := c.clusters.compile(*d.Clusters, deps); err != nil {
			return nil, fmt.Errorf("clusters: %w", err)
		}
	}
	for i, g := range d.Groups {
		if err := c.groups[i].compile(g.Clusters, deps); err != nil {
			return nil, fmt.Errorf("groups[%d]: %w", i, err)
		}
	}
	for i, o := range d.Overrides {
		if err := c.overrides[i].compile(o.Clusters, deps); err != nil {
			return nil, fmt.Errorf("overrides[%d]: %w", i, err)
		}
	}
	if d.Rollout != nil {
		for i, w := range d.Rollout.Waves {
			var s *selector
			if w.Clusters != nil {
				s = &selector{}
				if err := s.compile(*w.Clusters, deps); err != nil {
					return nil, fmt.Errorf("rollout.waves[%d]: %w", i, err)
				}
			}
			c.waves = append(c.waves, s)
		}
	}
	if c.needs.CPU, c.needs.Memory, c.needs.Pods, c.needs.GPU = d.Requires.Amount(); c.needs != (cluster.Resources{}) {
		c.room = roomTerm(c.needs)
	}
	for _, p := range d.Prefer {
		c.scales = append(c.scales, scaleOf(p))
	}
	c.reads = c.keys()
	c.facts = c.rests()
	return c, nil
}

// Document returns the policy; it must not be changed.
func (c *Compiled) Document() policy.Document { return c.document }

// Needs is what one placement uses of a cluster, for Cluster.Assumed.
func (c *Compiled) Needs() cluster.Resources { return c.needs }

// Waits reports whether a stack that is on so many clusters may lack one for want of room: it would go to more if they had it.
func (c *Compiled) Waits(on int) bool {
	if c.needs == (cluster.Resources{}) {
		return false
	}
	switch st := c.document.Strategy; st.Type {
	case policy.Count:
		return on < st.Count.Max
	case policy.Fixed:
		return on < len(st.Fixed)
	case policy.All:
		return true
	default:
		return true
	}
}

// FitsWave reports whether the selector of a wave of the rollout fits the cluster; one without a selector fits all.
func (c *Compiled) FitsWave(wave int, x *Cluster, now time.Time) bool {
	return wave < len(c.waves) && (c.waves[wave] == nil || c.waves[wave].ask(x, now) == yes)
}

// FitsOverride reports whether an override is for the cluster, and whether that can be said: what it asks for may be unknown of
// the cluster just now, which is no reason to give it other content.
func (c *Compiled) FitsOverride(override int, x *Cluster, now time.Time) (fits, known bool) {
	if override >= len(c.overrides) {
		return false, true
	}
	a := c.overrides[override].ask(x, now)
	return a == yes, a != unknown
}

// Peers are the names of the stacks whose places a decision looks at: Input.Peers.
func (c *Compiled) Peers() []string {
	if c.document.Affinity == nil {
		return nil
	}
	return slices.Concat(c.document.Affinity.WithStacks, c.document.Affinity.ApartFromStacks)
}

// Any key: an expression in CEL may read each of them.
const ReadsAll = "*"

// Reads returns the keys of a cluster that a decision with this policy rests on, in order, or ReadsAll alone. What every
// decision rests on (consent, explicit targets, taints, cordon, drain, whether it is active and reachable) is not among them.
func (c *Compiled) Reads() []string { return c.reads }

// OverridesRead returns the keys of a cluster on which it rests which overrides are for it, in order, or ReadsAll alone.
func (c *Compiled) OverridesRead() []string {
	keys := map[string]bool{}
	for _, o := range c.document.Overrides {
		readBy(o.Clusters, keys)
	}
	if keys[ReadsAll] {
		return []string{ReadsAll}
	}
	return sorted(keys)
}

// readBy adds the keys that a selector reads.
func readBy(s policy.Selector, keys map[string]bool) {
	for _, l := range s.Labels {
		keys[policy.KeyLabel+l] = true
	}
	for k := range s.Annotations {
		keys[policy.KeyAnnotation+k] = true
	}
	for _, e := range s.Expressions {
		keys[e.Key] = true
	}
	if s.CEL != "" {
		keys[ReadsAll] = true
	}
	for _, a := range s.Any {
		readBy(a, keys)
	}
}

func (c *Compiled) keys() []string {
	keys := map[string]bool{}
	d := c.document
	walk := func(s policy.Selector) { readBy(s, keys) }
	if d.Clusters != nil {
		walk(*d.Clusters)
	}
	for _, g := range d.Groups {
		walk(g.Clusters)
	}
	for _, s := range d.Spread {
		keys[s.By] = true
	}
	for _, p := range d.Prefer {
		if p.Balance {
			keys[policy.KeyLoad] = true
		} else {
			keys[p.Property] = true
		}
	}
	if c.needs != (cluster.Resources{}) {
		for _, r := range []string{policy.CPU, policy.Memory, policy.Pods, policy.GPU} {
			keys[policy.KeyAvailable+r] = true
		}
	}
	if keys[ReadsAll] {
		return []string{ReadsAll}
	}
	return sorted(keys)
}

// rests returns the facts that a decision rests on.
func (c *Compiled) rests() []string {
	facts := map[string]bool{}
	for _, s := range append([]selector{c.clusters}, c.groups...) {
		for _, f := range s.facts {
			facts[f] = true
		}
	}
	for _, p := range c.document.Prefer {
		facts[factOf(p.Property)] = true
	}
	for _, s := range c.document.Spread {
		facts[factOf(s.By)] = true
	}
	delete(facts, "")
	return sorted(facts)
}

// differs reports whether anything that CEL can read differs.
func differs(a, b *Cluster, now time.Time) bool {
	x, y := &a.Reported, &b.Reported
	if a.Name != b.Name || a.Load != b.Load || (a.ReportedAt == nil) != (b.ReportedAt == nil) || a.Assumed != b.Assumed ||
		x.KubernetesVersion != y.KubernetesVersion || x.Nodes != y.Nodes || x.ReadyNodes != y.ReadyNodes || x.Allocatable != y.Allocatable || x.Requested != y.Requested ||
		!slices.Equal(x.Architectures, y.Architectures) || !slices.Equal(x.APIs, y.APIs) || len(x.Facts) != len(y.Facts) || len(x.Unknown) != len(y.Unknown) ||
		!maps.Equal(a.Annotations, b.Annotations) || !within(a.Labels, b.Labels) || !within(b.Labels, a.Labels) {
		return true
	}
	for k := range x.Facts {
		if o, p := observeFact(x, k, now), observeFact(y, k, now); o.known != p.known || o.text() != p.text() || !o.until.Equal(p.until) {
			return true
		}
	}
	for part := range x.Unknown {
		if _, too := y.Unknown[part]; !too {
			return true
		}
	}
	return false
}

// within reports whether all labels of a are labels of b.
func within(a, b map[string]bool) bool {
	for l, has := range a {
		if has && !b[l] {
			return false
		}
	}
	return true
}
