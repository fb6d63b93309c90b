package placement_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// wide draws a policy of every part: what thorough has, with more groups, alternatives and tolerations.
func wide(t *rapid.T) policy.Document {
	d := thorough(t)
	chance := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 0 }
	if d.Strategy.Count != nil && chance("ordered groups") {
		d.Groups = []policy.Group{
			{Name: "cheap", Clusters: policy.Selector{CEL: "cheap"}}, {Name: "b", Clusters: policy.Selector{Labels: []string{"b"}}},
			{Name: "europe", Clusters: policy.Selector{Annotations: map[string]string{"region": "eu"}}},
		}
	}
	if chance("bears all") {
		d.Tolerations = append(d.Tolerations, policy.Toleration{Effect: rapid.SampledFrom(domain.Effects()).Draw(t, "borne")})
	}
	if chance("with and apart") {
		d.Affinity = &policy.Affinity{WithStacks: []string{"db"}, ApartFromStacks: []string{"noisy"}}
	}
	return d
}

// peersOf draws where other stacks are.
func peersOf(t *rapid.T, clusters []placement.Cluster) map[string]placement.Prior {
	out := map[string]placement.Prior{}
	for _, name := range []string{"db", "noisy"} {
		out[name] = placement.Prior{}
		for _, c := range clusters {
			if s := rapid.SampledFrom([]delivery.State{"", delivery.Assigned, delivery.Assigned, delivery.Removing}).Draw(t, name); s != "" {
				out[name][c.Agent] = delivery.Assignment{Agent: c.Agent, State: s}
			}
		}
	}
	return out
}

// answer of the oracle, which reads selectors in its own, slow and plain way.
type answer int

const (
	no answer = iota
	unknown
	yes
)

func both(a, b answer) answer { return min(a, b) }

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

func fitsExpression(x policy.Expression, c placement.Cluster) answer {
	if c.ReportedAt == nil {
		return unknown
	}
	if x.Key == policy.KeyReadyNodes {
		return is(c.Reported.ReadyNodes >= 1)
	}
	f, ok := c.Reported.Facts[x.Key[len(policy.KeyFact):]]
	switch {
	case !ok:
		return is(x.Operator == policy.NotIn) // the cluster has told that it has none
	case f.Until != nil && !f.Until.After(now):
		return unknown
	case x.Operator == policy.Less:
		return is(f.Number != nil && *f.Number < 4)
	default:
		return is(!slices.Contains(x.Values, f.Text))
	}
}

func fits(s *policy.Selector, c placement.Cluster) answer {
	if s == nil {
		return yes
	}
	out := yes
	for _, l := range s.Labels {
		out = both(out, is(c.Labels[l]))
	}
	for k, v := range s.Annotations {
		out = both(out, is(c.Annotations[k] == v))
	}
	for _, x := range s.Expressions {
		out = both(out, fitsExpression(x, c))
	}
	switch f, ok := c.Reported.Facts["price"]; {
	case s.CEL == "even load":
		out = both(out, is(c.Load%2 == 0))
	case s.CEL == "cheap" && (!ok || c.ReportedAt == nil || (f.Until != nil && !f.Until.After(now))):
		out = both(out, unknown)
	case s.CEL == "cheap":
		out = both(out, is(*f.Number < 3))
	}
	if len(s.Any) > 0 {
		best := no
		for _, x := range s.Any {
			best = max(best, fits(&x, c))
		}
		out = both(out, best)
	}
	return out
}

// tolerates reports whether the policy bears a taint that came a minute ago.
func tolerates(d policy.Document, x domain.Taint) bool {
	return slices.ContainsFunc(d.Tolerations, func(y policy.Toleration) bool {
		return (y.Key == "" || y.Key == x.Key) && (y.Effect == "" || y.Effect == x.Effect) && (y.Seconds == nil || now.Before(x.Since.Add(time.Duration(*y.Seconds)*time.Second)))
	})
}

// checkFit: nothing is picked that does not fit, and nothing new where that is not known.
func checkFit(t *rapid.T, in placement.Input, doc policy.Document, d placement.Decision) {
	chosen := picked(d)
	for _, c := range in.Clusters {
		if !chosen[c.Agent] || c.Targets[web] {
			continue
		}
		incumbent := in.Prior[c.Agent].State == delivery.Assigned
		need := yes
		if incumbent {
			need = unknown
		}
		if got := fits(doc.Clusters, c); got < need {
			t.Fatalf("%s is picked, incumbent %v, though it does not fit: %+v\n%+v", c.Agent, incumbent, doc.Clusters, c)
		}
		if len(doc.Groups) > 0 && !slices.ContainsFunc(doc.Groups, func(g policy.Group) bool { return fits(&g.Clusters, c) != no }) {
			t.Fatalf("%s is picked though it is in no group", c.Agent)
		}
		for _, x := range c.Taints {
			if !tolerates(doc, x) && (x.Effect == domain.Evict || (x.Effect == domain.NoPlace && !incumbent)) {
				t.Fatalf("%s is picked, incumbent %v, in spite of %+v; tolerations %+v", c.Agent, incumbent, x, doc.Tolerations)
			}
		}
		if a := doc.Affinity; a != nil {
			for _, name := range a.WithStacks {
				if in.Peers[name][c.Agent].State != delivery.Assigned {
					t.Fatalf("%s is picked though %s is not there", c.Agent, name)
				}
			}
			for _, name := range a.ApartFromStacks {
				if in.Peers[name][c.Agent].State == delivery.Assigned {
					t.Fatalf("%s is picked though %s is there", c.Agent, name)
				}
			}
		}
		if doc.Requires != nil && !incumbent && (c.ReportedAt == nil || c.Reported.Allocatable.CPU < 1500) {
			t.Fatalf("%s is picked without room: %+v", c.Agent, c.Reported)
		}
	}
}

// checkGroups: no cluster of a later group is new while one of an earlier group is left over.
func checkGroups(t *rapid.T, in placement.Input, doc policy.Document, told placement.Decision) {
	if len(doc.Groups) == 0 || len(doc.Spread) > 0 || told.Hold != nil {
		return
	}
	group := func(c placement.Cluster) int {
		return slices.IndexFunc(doc.Groups, func(g policy.Group) bool { return fits(&g.Clusters, c) == yes })
	}
	left := len(doc.Groups)
	for i, v := range told.Verdicts {
		if !v.Picked && len(v.Reasons) == 1 && v.Reasons[0].Rule == placement.RuleOutranked {
			if g := group(in.Clusters[i]); g >= 0 {
				left = min(left, g)
			}
		}
	}
	for i, v := range told.Verdicts {
		c := in.Clusters[i]
		if v.Picked && !c.Targets[web] && in.Prior[c.Agent].State != delivery.Assigned && group(c) > left {
			t.Fatalf("%s of group %d is new though one of group %d is left over", c.Agent, group(c), left)
		}
	}
}

func TestWidePolicyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var clusters []placement.Cluster
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			clusters = append(clusters, factual(t, i, now))
		}
		doc := wide(t)
		in := placement.Input{Subject: subject(), Clusters: clusters, Prior: drawPrior(t, clusters), Peers: peersOf(t, clusters), Policy: ready(t, doc)}
		if rapid.Bool().Draw(t, "braked") {
			in.Brake = placement.Brake{Share: 0.2, AtOne: 2}
		}
		d := placement.Decide(in, now)
		anew := func(change func(*placement.Input)) placement.Decision {
			x := in
			x.Clusters, x.Policy = slices.Clone(clusters), ready(t, doc)
			change(&x)
			return placement.Decide(x, now)
		}
		if diff := cmp.Diff(d, anew(func(*placement.Input) {})); diff != "" {
			t.Fatalf("the same input, another decision:\n%s", diff)
		}
		if diff := cmp.Diff(d, anew(func(x *placement.Input) {
			rand.Shuffle(len(x.Clusters), func(i, j int) { x.Clusters[i], x.Clusters[j] = x.Clusters[j], x.Clusters[i] })
		})); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		told := placement.Explain(in, now)
		checkFit(t, in, doc, d)
		checkGroups(t, in, doc, told)
		checkBounds(t, in, doc, d)
		if again := anew(func(x *placement.Input) { x.Prior, x.Subject = after(in.Prior, d), in.Subject.After(d, now) }); d.Hold == nil && len(again.Changes) > 0 {
			t.Fatalf("deciding again changes: %+v\nfirst: %+v", again.Changes, d.Changes)
		}
		if len(clusters) == 0 || len(doc.Spread) > 0 || d.Hold != nil {
			return // one more cluster may be one more domain, over which picks have to be even
		}
		i := rapid.IntRange(0, len(clusters)-1).Draw(t, "which")
		if less := anew(func(x *placement.Input) { x.Clusters = slices.Delete(x.Clusters, i, i+1) }); !picked(d)[clusters[i].Agent] && in.Prior[clusters[i].Agent].State != delivery.Assigned {
			if diff := cmp.Diff(picked(d), picked(less)); diff != "" {
				t.Fatalf("%s was not picked, and without it others are (-with +without):\n%s", clusters[i].Agent, diff)
			}
		}
		if more := anew(func(x *placement.Input) { x.Clusters[i].Reported.Allocatable.CPU += 2000 }); more.Hold == nil && len(more.Picks) < len(d.Picks) {
			t.Fatalf("%d picks, and %d with more room in %s", len(d.Picks), len(more.Picks), clusters[i].Agent)
		}
	})
}

// checkBounds: never more than a count, and only the clusters that a fixed strategy names.
func checkBounds(t *rapid.T, in placement.Input, doc policy.Document, d placement.Decision) {
	pins := 0
	for _, p := range d.Picks {
		if p.Pinned {
			pins++
		}
	}
	if c := doc.Strategy.Count; c != nil && len(d.Picks) > max(c.Max, pins) {
		t.Fatalf("%d picks, %d pins, at most %d are wanted", len(d.Picks), pins, c.Max)
	}
	for _, p := range d.Picks {
		if len(doc.Strategy.Fixed) > 0 && !p.Pinned && !slices.Contains(doc.Strategy.Fixed, p.Agent) {
			t.Fatalf("%s is picked though it is not named", p.Agent)
		}
	}
	seen := map[agent.ID]bool{}
	for _, p := range d.Picks {
		if seen[p.Agent] {
			t.Fatalf("%s is picked twice", p.Agent)
		}
		seen[p.Agent] = true
	}
}
