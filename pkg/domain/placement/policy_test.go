package placement_test

import (
	"fmt"
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
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func compiled(t interface{ Fatalf(string, ...any) }, d policy.Document) *placement.Compiled {
	d.Name = "p"
	d, problems := policy.Validate(d, policy.Checks{})
	if policy.Failed(problems) {
		t.Fatalf("the test's policy is wrong: %v", problems)
	}
	c, err := placement.Compile(d, placement.Deps{})
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return c
}

// drawCluster draws a cluster with everything that filters look at.
func drawCluster(t *rapid.T, i int) placement.Cluster {
	at := now.Add(-time.Minute)
	c := cluster(fmt.Sprintf("c%02d", i))
	c.Labels = rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "prod"}), rapid.Just(true)).Draw(t, "labels")
	c.Annotations = map[string]string{"region": rapid.SampledFrom([]string{"eu", "us", "ap"}).Draw(t, "region")}
	c.Load = rapid.IntRange(0, 5).Draw(t, "load")
	if rapid.IntRange(0, 9).Draw(t, "consent") == 0 {
		c.Generators = nil
	}
	if rapid.IntRange(0, 9).Draw(t, "told") > 0 {
		c.ReportedAt = &at
		c.Reported = domain.Status{Nodes: 3, ReadyNodes: rapid.Int32Range(0, 3).Draw(t, "ready"), Allocatable: domain.Resources{CPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 1000}}
	}
	switch rapid.IntRange(0, 9).Draw(t, "mark") {
	case 0:
		c.Cordon = &domain.Cordon{Since: at}
	case 1:
		c.Drain = &domain.Drain{Since: at, Budget: rapid.IntRange(0, 1).Draw(t, "budget")}
	case 2:
		c.Taints = []domain.Taint{{Key: "t", Effect: rapid.SampledFrom(domain.Effects()).Draw(t, "effect"), Since: at}}
	case 3:
		c.UnreachableSince = &at
	case 4:
		c.Targets = map[stack.ID]bool{web: true}
	}
	return c
}

func drawPolicy(t *rapid.T) policy.Document {
	d := policy.Document{Clusters: &policy.Selector{}}
	if rapid.Bool().Draw(t, "by label") {
		d.Clusters.Labels = []string{"a"}
	}
	if rapid.Bool().Draw(t, "by nodes") {
		d.Clusters.Expressions = []policy.Expression{{Key: policy.KeyReadyNodes, Operator: policy.AtLeast, Values: []string{"1"}}}
	}
	if rapid.Bool().Draw(t, "count") {
		d.Strategy.Count = &policy.Range{Min: 1, Max: rapid.IntRange(1, 6).Draw(t, "max")}
		d.Failover = &policy.Failover{Enabled: rapid.Bool().Draw(t, "failover"), UnreachableAfter: policy.Duration(time.Second)}
	}
	if rapid.Bool().Draw(t, "spread") {
		d.Spread = []policy.Spread{{By: "annotation.region", MaxSkew: rapid.IntRange(1, 2).Draw(t, "skew")}}
	}
	if rapid.Bool().Draw(t, "groups") {
		d.Groups = []policy.Group{{Name: "one", Clusters: policy.Selector{Labels: []string{"b"}}}, {Name: "two"}}
	}
	if rapid.Bool().Draw(t, "prefer") {
		d.Prefer = []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 4}, Weight: 2}, {Balance: true}}
	}
	if rapid.Bool().Draw(t, "needs") {
		d.Requires = &policy.Requirements{CPU: "1500m"}
	}
	if rapid.Bool().Draw(t, "sticky") {
		d.Stickiness = &policy.Stickiness{Points: rapid.IntRange(0, 50).Draw(t, "points"), MinDwell: policy.Duration(time.Hour), MaxMovesPerHour: rapid.IntRange(0, 2).Draw(t, "moves")}
	}
	return d
}

func drawPrior(t *rapid.T, clusters []placement.Cluster) placement.Prior {
	p := placement.Prior{}
	for _, c := range clusters {
		if st := rapid.SampledFrom([]delivery.State{"", "", delivery.Assigned, delivery.Removing}).Draw(t, "prior"); st != "" {
			p[c.Agent] = delivery.Assignment{Agent: c.Agent, Stack: web, State: st, Object: "o1", Placed: now.Add(-time.Duration(rapid.IntRange(0, 120).Draw(t, "since")) * time.Minute)}
		}
	}
	return p
}

func picked(d placement.Decision) map[agent.ID]bool {
	out := map[agent.ID]bool{}
	for _, p := range d.Picks {
		out[p.Agent] = true
	}
	return out
}

// after is how the assignments stand once d is committed.
func after(p placement.Prior, d placement.Decision) placement.Prior {
	out := placement.Prior{}
	for a, x := range p {
		out[a] = x
	}
	for _, ch := range d.Changes {
		placed := now
		if was, ok := p[ch.Agent]; ok && was.State == ch.State {
			placed = was.Placed
		}
		out[ch.Agent] = delivery.Assignment{Agent: ch.Agent, Stack: web, Object: ch.Object, State: ch.State, Placed: placed}
	}
	return out
}

func TestPolicyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var clusters []placement.Cluster
		for i := range rapid.IntRange(0, 14).Draw(t, "n") {
			clusters = append(clusters, drawCluster(t, i))
		}
		doc := drawPolicy(t)
		in := placement.Input{Subject: subject(), Clusters: clusters, Prior: drawPrior(t, clusters), Policy: compiled(t, doc)}
		if rapid.Bool().Draw(t, "braked") {
			in.Brake = placement.Brake{Share: 0.2, AtOne: 2}
		}
		d := placement.Decide(in, now)

		if diff := cmp.Diff(d, placement.Decide(in, now)); diff != "" {
			t.Fatalf("the same input, another decision:\n%s", diff)
		}
		mixed := in
		mixed.Clusters, mixed.Policy = slices.Clone(clusters), compiled(t, doc)
		rand.Shuffle(len(mixed.Clusters), func(i, j int) { mixed.Clusters[i], mixed.Clusters[j] = mixed.Clusters[j], mixed.Clusters[i] })
		if diff := cmp.Diff(d, placement.Decide(mixed, now)); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		told := placement.Explain(in, now)
		checkVerdicts(t, in, d, told)
		if max := doc.Strategy.Count; max != nil {
			pins := 0
			for _, p := range d.Picks {
				if p.Pinned {
					pins++
				}
			}
			there := 0
			for _, x := range after(in.Prior, d) {
				if x.State == delivery.Assigned {
					there++
				}
			}
			was := 0
			for _, x := range in.Prior {
				if x.State == delivery.Assigned {
					was++
				}
			}
			if len(d.Picks) > max.Max && len(d.Picks) > pins {
				t.Fatalf("%d picks, %d pins, at most %d are wanted", len(d.Picks), pins, max.Max)
			}
			if there > max.Max+pins && there > was+pins {
				t.Fatalf("the stack comes to stand in %d clusters, at most %d are wanted; it stood in %d", there, max.Max, was)
			}
		}
		checkSkew(t, in, doc, told)
		again := in
		again.Prior, again.Subject = after(in.Prior, d), in.Subject.After(d, now)
		if e := placement.Decide(again, now); d.Hold == nil && len(e.Changes) > 0 {
			t.Fatalf("deciding again changes: %+v\nfirst: %+v", e.Changes, d.Changes)
		}
	})
}

func checkVerdicts(t *rapid.T, in placement.Input, d, told placement.Decision) {
	verdicts := told.Verdicts
	told.Verdicts = nil
	if diff := cmp.Diff(d, told); diff != "" {
		t.Fatalf("Explain decides otherwise than Decide:\n%s", diff)
	}
	if len(verdicts) != len(in.Clusters) {
		t.Fatalf("%d verdicts on %d clusters", len(verdicts), len(in.Clusters))
	}
	is := picked(d)
	for i, v := range verdicts {
		c := in.Clusters[i]
		if v.Agent != c.Agent || v.Picked != is[c.Agent] || len(v.Reasons) == 0 {
			t.Fatalf("verdict %+v; picked: %v", v, is[c.Agent])
		}
		incumbent := in.Prior[c.Agent].State == delivery.Assigned
		if !v.Picked {
			continue
		}
		evicting := slices.ContainsFunc(c.Taints, func(x domain.Taint) bool { return x.Effect == domain.Evict })
		switch {
		case !c.Generators[team]:
			t.Fatalf("picked without consent: %+v", v)
		case c.Drain.Evicts(web), evicting:
			t.Fatalf("picked though it is to be emptied: %+v", v)
		case !incumbent && (c.Cordon != nil || c.Drain != nil || slices.ContainsFunc(c.Taints, func(x domain.Taint) bool { return x.Effect == domain.NoPlace })):
			t.Fatalf("something new where nothing new may come: %+v", v)
		}
		if c.Targets[web] {
			continue
		}
		sel := in.Policy.Document().Clusters
		if len(sel.Labels) > 0 && !c.Labels["a"] {
			t.Fatalf("picked without the label: %+v", v)
		}
		if len(sel.Expressions) > 0 && (c.ReportedAt == nil && !incumbent || c.ReportedAt != nil && c.Reported.ReadyNodes < 1) {
			t.Fatalf("picked with too few nodes: %+v", v)
		}
	}
}

// checkSkew looks at the domains in which the stack could be: where it is picked, and where a verdict says that it fits.
func checkSkew(t *rapid.T, in placement.Input, doc policy.Document, told placement.Decision) {
	if len(doc.Spread) == 0 || told.Hold != nil {
		return
	}
	counts := map[string]int{}
	for i, v := range told.Verdicts {
		c := in.Clusters[i]
		if c.Targets[web] {
			return // pins stand where they are named; TestPinsCountInSpreads is of them
		}
		fits := slices.ContainsFunc(v.Reasons, func(r placement.Reason) bool {
			return r.Rule == placement.RuleSpread || r.Rule == placement.RuleOutranked
		})
		if region := c.Annotations["region"]; v.Picked {
			counts[region]++
		} else if fits {
			counts[region] += 0
		}
	}
	low, high := 1<<30, 0
	for _, n := range counts {
		low, high = min(low, n), max(high, n)
	}
	if len(counts) > 0 && high-low > doc.Spread[0].MaxSkew {
		t.Fatalf("skew %d in %v, at most %d is wanted", high-low, counts, doc.Spread[0].MaxSkew)
	}
}

// A snapshot that was changed step by step decides as one that was made anew, also with a policy that remembers.
func TestFleetStepByStep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := drawPolicy(t)
		p := compiled(t, doc)
		now := now
		known := map[int]placement.Cluster{}
		f := placement.NewFleet(nil)
		prior := placement.Prior{}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			i := rapid.IntRange(0, 70).Draw(t, "which")
			old := f
			if c, ok := known[i]; ok && rapid.Bool().Draw(t, "gone") {
				delete(known, i)
				delete(prior, c.Agent)
				f = f.With(nil, []agent.ID{c.Agent})
			} else {
				known[i] = drawCluster(t, i)
				f = f.With([]placement.Cluster{known[i]}, nil)
			}
			if rapid.IntRange(0, 4).Draw(t, "forked") == 0 { // somebody asks what would be, on the older snapshot
				placement.Decide(placement.Input{Subject: subject(), Fleet: old.With([]placement.Cluster{drawCluster(t, 99)}, nil), Policy: p}, now)
				placement.Decide(placement.Input{Subject: subject(), Fleet: old, Policy: p}, now)
			}
			var list []placement.Cluster
			for _, c := range known {
				list = append(list, c)
			}
			step := placement.Decide(placement.Input{Subject: subject(), Fleet: f, Policy: p, Prior: prior}, now)
			anew := placement.Decide(placement.Input{Subject: subject(), Clusters: list, Policy: compiled(t, doc), Prior: prior}, now)
			if diff := cmp.Diff(anew, step); diff != "" {
				t.Fatalf("-anew +step by step:\n%s", diff)
			}
			prior = after(prior, step)
		}
	})
}

// Clusters that go away move only what stood there, and one more cluster moves nothing that is not better off.
func TestMinimalMovement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var clusters []placement.Cluster
		n := rapid.IntRange(30, 100).Draw(t, "n")
		for i := range n {
			c := cluster(fmt.Sprintf("c%03d", i))
			c.Annotations = map[string]string{"region": fmt.Sprint("r", i%3)}
			clusters = append(clusters, c)
		}
		doc := policy.Document{Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: rapid.IntRange(1, 12).Draw(t, "max")}}}
		if rapid.Bool().Draw(t, "spread") {
			doc.Spread = []policy.Spread{{By: "annotation.region", MaxSkew: 1}}
		}
		in := placement.Input{Subject: subject(), Clusters: clusters, Policy: compiled(t, doc)}
		first := placement.Decide(in, now)
		in.Prior = after(nil, first)
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		in.Clusters = slices.Delete(slices.Clone(clusters), gone, gone+1)
		was, is := picked(first), picked(placement.Decide(in, now))
		for a := range was {
			if !is[a] && a != clusters[gone].Agent {
				t.Fatalf("%s was left, though %s is what went away", a, clusters[gone].Agent)
			}
		}
		in.Clusters = append(slices.Clone(clusters), cluster("new", func(c *placement.Cluster) { c.Annotations = map[string]string{"region": "r0"} }))
		if diff := cmp.Diff(was, picked(placement.Decide(in, now))); diff != "" {
			t.Fatalf("one more cluster of the same worth moves the stack:\n%s", diff)
		}
	})
}

// More room never means fewer clusters.
func TestMonotonicOnCapacity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := now.Add(-time.Minute)
		var clusters []placement.Cluster
		for i := range rapid.IntRange(1, 12).Draw(t, "n") {
			c := cluster(fmt.Sprintf("c%02d", i))
			c.ReportedAt, c.Reported.Allocatable.CPU = &at, rapid.Int64Range(0, 4).Draw(t, "cpu")*500
			clusters = append(clusters, c)
		}
		p := compiled(t, policy.Document{Requires: &policy.Requirements{CPU: "1"}, Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 5}}})
		in := placement.Input{Subject: subject(), Clusters: clusters, Policy: p}
		before := len(placement.Decide(in, now).Picks)
		i := rapid.IntRange(0, len(clusters)-1).Draw(t, "which")
		in.Clusters = slices.Clone(clusters)
		in.Clusters[i].Reported.Allocatable.CPU += 1000
		if now := len(placement.Decide(in, now).Picks); now < before {
			t.Fatalf("%d clusters with less room, %d with more", before, now)
		}
	})
}

// Policies that share a fleet share answers; what they ask for may have any characters.
func TestPoliciesOfOneFleetAreNotMixedUp(t *testing.T) {
	t.Parallel()
	c := cluster("c0", func(c *placement.Cluster) { c.Annotations = map[string]string{"a": "b\x00c"} })
	fleet := placement.NewFleet([]placement.Cluster{c})
	for _, tc := range []struct {
		selector policy.Selector
		picks    int
	}{
		{policy.Selector{Annotations: map[string]string{"a\x00b": "c"}}, 0},
		{policy.Selector{Annotations: map[string]string{"a": "b\x00c"}}, 1},
		{policy.Selector{Expressions: []policy.Expression{{Key: "annotation.a", Operator: policy.In, Values: []string{"b", "c"}}}}, 0},
		{policy.Selector{Expressions: []policy.Expression{{Key: "annotation.a", Operator: policy.In, Values: []string{"b\x00c"}}}}, 1},
	} {
		in := placement.Input{Subject: subject(), Fleet: fleet, Policy: ready(t, policy.Document{Clusters: &tc.selector})}
		if d := placement.Decide(in, now); len(d.Picks) != tc.picks {
			t.Errorf("%+v: %d picks, want %d", tc.selector, len(d.Picks), tc.picks)
		}
	}
}
