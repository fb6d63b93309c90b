package placement

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Expr is a compiled expression over one cluster. Its answer depends on nothing else; an error (also of too much work)
// leaves the answer unknown. It is safe for concurrent use.
type Expr interface {
	Eval(c *Cluster) (bool, error)
}

// Deps are what compiling needs and the domain does not have.
type Deps struct {
	CEL func(expression string) (Expr, error) // nil: a policy with CEL cannot be compiled
}

// Compiled is a revision of a policy, ready to decide with. It remembers which clusters fit, so that after a change of the
// fleet only the clusters that changed are asked again. It is safe for concurrent use.
type Compiled struct {
	document  policy.Document
	clusters  selector
	groups    []selector
	waves     []*selector // nil: no selector
	overrides []selector
	needs     cluster.Resources
	facts     bool

	mu   sync.Mutex
	memo memo
}

// memo is which slots of a fleet fit, as of one version.
type memo struct {
	line    *lineage
	version uint64
	until   time.Time // a fact expires then; zero: none
	sets    []sets    // clusters, then each group
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
	c.facts = c.clusters.facts
	for i, g := range d.Groups {
		if err := c.groups[i].compile(g.Clusters, deps); err != nil {
			return nil, fmt.Errorf("groups[%d]: %w", i, err)
		}
		c.facts = c.facts || c.groups[i].facts
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
	c.needs.CPU, c.needs.Memory, c.needs.Pods, c.needs.GPU = d.Requires.Amount()
	return c, nil
}

// Document returns the policy; it must not be changed.
func (c *Compiled) Document() policy.Document { return c.document }

// Needs is what one placement uses of a cluster, for Cluster.Assumed.
func (c *Compiled) Needs() cluster.Resources { return c.needs }

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
func (c *Compiled) Reads() []string {
	keys := map[string]bool{}
	d := c.document
	var walk func(s policy.Selector)
	walk = func(s policy.Selector) {
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
			walk(a)
		}
	}
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

// Concerns reports whether a change of a cluster from old to now can change a decision for the stack; nil is a cluster
// that was not, or is no longer, there.
func (c *Compiled) Concerns(s Subject, old, now *Cluster, at time.Time) bool {
	if (old == nil) != (now == nil) {
		one := old
		if one == nil {
			one = now
		}
		return one.Generators[s.Generator]
	}
	if old == nil || (!old.Generators[s.Generator] && !now.Generators[s.Generator]) {
		return false
	}
	if always(s, old) != always(s, now) || !slices.Equal(old.Taints, now.Taints) {
		return true
	}
	for _, key := range c.Reads() {
		if key == ReadsAll {
			return differs(old, now, at)
		}
		if a, b := observe(old, key, at), observe(now, key, at); a.known != b.known || a.exists != b.exists || a.text() != b.text() || !a.until.Equal(b.until) {
			return true
		}
	}
	return false
}

type constant struct {
	consent, target, cordoned, drained, evicted, unreachable bool
	status                                                   string
}

func always(s Subject, c *Cluster) constant {
	return constant{c.Generators[s.Generator], c.Targets[s.Stack], c.Cordon != nil, c.Drain != nil, c.Drain.Evicts(s.Stack), c.UnreachableSince != nil, string(c.Status)}
}

// differs reports whether anything that CEL can read differs.
func differs(a, b *Cluster, now time.Time) bool {
	tell := func(c *Cluster) string {
		var out strings.Builder
		fmt.Fprint(&out, c.Name, "|", describeAll(c.Labels), "|", sortedPairs(c.Annotations), "|", c.Load, "|", c.ReportedAt != nil, "|", c.Assumed)
		r := c.Reported
		fmt.Fprint(&out, r.KubernetesVersion, r.Nodes, r.ReadyNodes, r.Allocatable, r.Requested, r.Architectures, r.APIs, sorted(r.Unknown))
		for _, k := range sorted(r.Facts) {
			o := observeFact(&r, k, now)
			fmt.Fprint(&out, "|", k, "=", o.text(), o.until)
		}
		return out.String()
	}
	return tell(a) != tell(b)
}

func describeAll(m map[string]bool) []string {
	var out []string
	for _, k := range sorted(m) {
		if m[k] {
			out = append(out, k)
		}
	}
	return out
}

func sortedPairs(m map[string]string) []string {
	var out []string
	for _, k := range sorted(m) {
		out = append(out, k+"="+m[k])
	}
	return out
}

// fit copies into out which slots fit, and returns until when that counts. What is remembered is brought up to date by
// asking the slots that changed; a snapshot that is no successor of the remembered one is asked as a whole.
func (c *Compiled) fit(f *Fleet, now time.Time, out []sets) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.memo
	switch {
	case m.line != f.line || m.version > f.version || len(m.sets) == 0 || (!m.until.IsZero() && !now.Before(m.until)):
		if m.line == f.line && m.version > f.version { // somebody else is ahead: leave it to them
			return c.full(f, now, out)
		}
		m.sets = grown(m.sets, 1+len(c.groups), len(f.slots))
		m.until = c.full(f, now, m.sets)
	case m.version < f.version:
		m.sets = grown(m.sets, 1+len(c.groups), len(f.slots))
		for i, changed := range f.changed {
			if changed <= m.version {
				continue
			}
			c.clusters.eval(f, i, now, &m.sets[0])
			for g := range c.groups {
				c.groups[g].eval(f, i, now, &m.sets[1+g])
			}
			if c.facts && f.slots[i] != nil {
				m.until = sooner(m.until, expires(f.slots[i], now))
			}
		}
	}
	m.line, m.version = f.line, f.version
	for i := range out {
		copy(out[i].yes, m.sets[i].yes)
		copy(out[i].unknown, m.sets[i].unknown)
	}
	return m.until
}

func (c *Compiled) full(f *Fleet, now time.Time, out []sets) time.Time {
	c.clusters.all(f, now, &out[0])
	for g := range c.groups {
		c.groups[g].all(f, now, &out[1+g])
	}
	var until time.Time
	if c.facts {
		for _, x := range f.slots {
			if x != nil {
				until = sooner(until, expires(x, now))
			}
		}
	}
	return until
}

// grown returns n sets with room for slots.
func grown(s []sets, n, slots int) []sets {
	words := (slots + 63) / 64
	for len(s) < n {
		s = append(s, sets{})
	}
	for i := range s {
		for _, x := range []*set{&s[i].yes, &s[i].unknown} {
			for len(*x) < words {
				*x = append(*x, 0)
			}
			*x = (*x)[:words]
		}
	}
	return s[:n]
}
