package placement_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// What is told of a comparison is what it rested on: the points add up, and the domains are as full as picks make them.
func TestRankingIsTold(t *testing.T) {
	t.Parallel()
	long := now.Add(-1e12)
	var clusters []placement.Cluster
	for i, region := range []string{"eu", "eu", "us", "us", ""} {
		name := fmt.Sprintf("c%d", i)
		clusters = append(clusters, cluster(name, func(c *placement.Cluster) {
			c.Annotations = map[string]string{"region": region}
			c.Labels = map[string]bool{"own": i < 3, "rented": i >= 3}
			c.ReportedAt, c.Reported.Allocatable.CPU, c.Load = &long, int64(i+1)*8000, i
			if i == 2 {
				c.Taints = []domain.Taint{{Key: "busy", Effect: domain.PreferNoPlace, Since: long}}
			}
		}))
	}
	clusters = append(clusters, cluster("misfit", func(c *placement.Cluster) { c.Labels = map[string]bool{"nobody's": true} }))
	in := placement.Input{Subject: subject(), Clusters: clusters, Brake: placement.Brake{Share: 0.9, AtOne: 50},
		Prior: placement.Prior{"c1": delivery.Assignment{Agent: "c1", Stack: web, Object: "o1", State: delivery.Assigned, Since: long}},
		Policy: compiled(t, policy.Document{
			Groups:     []policy.Group{{Name: "own", Clusters: policy.Selector{Labels: []string{"own"}}}, {Name: "rented", Clusters: policy.Selector{Labels: []string{"rented"}}}},
			Strategy:   policy.Strategy{Count: &policy.Range{Min: 1, Max: 2}},
			Spread:     []policy.Spread{{By: "annotation.region", MaxSkew: 2, WhenUnsatisfiable: policy.Prefer}},
			Prefer:     []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 80}, Weight: 3}, {Balance: true}},
			Stickiness: &policy.Stickiness{Points: 20},
		})}
	d := placement.Explain(in, now)
	if len(d.Verdicts) != 6 || len(d.Picks) != 2 {
		t.Fatalf("got %d verdicts and %d picks, want 6 and 2", len(d.Verdicts), len(d.Picks))
	}
	byDomain, region := map[string]int{}, map[agent.ID]string{}
	for _, c := range clusters {
		region[c.Agent] = c.Annotations["region"]
	}
	for _, p := range d.Picks {
		byDomain[region[p.Agent]]++
	}
	for _, v := range d.Verdicts {
		if v.Cluster == "misfit" {
			if v.Ranked || v.Spread != nil || v.Scores != nil {
				t.Errorf("a cluster that does not fit is ranked: %+v", v)
			}
			continue
		}
		sum := int64(0)
		for _, s := range v.Scores {
			sum += s.Points
		}
		if !v.Ranked || sum != v.Score {
			t.Errorf("%s: ranked %t, the parts %+v give %d, the score is %d", v.Cluster, v.Ranked, v.Scores, sum, v.Score)
		}
		want := placement.Fullness{By: "annotation.region", Domain: region[v.Agent], Picked: byDomain[region[v.Agent]], Fewest: 0}
		if diff := cmp.Diff([]placement.Fullness{want}, v.Spread); diff != "" {
			t.Errorf("%s: spread (-want +got):\n%s", v.Cluster, diff)
		}
		if v.Incumbent != (v.Cluster == "c1") || v.Avoided != (v.Cluster == "c2") {
			t.Errorf("%s: incumbent %t, avoided %t", v.Cluster, v.Incumbent, v.Avoided)
		}
	}
	kept, err := d.Pack()
	if err != nil {
		t.Fatal(err)
	}
	back, err := placement.Unpack(kept.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Verdicts, back.Verdicts); diff != "" {
		t.Errorf("a kept record tells another ranking (-want +got):\n%s", diff)
	}
}

// The spread that is told to be in the way is the one that is, however many there are; and what is wanted beyond what there is, is put down
// to a spread only if that is the cause.
func TestWhatIsInTheWayIsTold(t *testing.T) {
	t.Parallel()
	in := func(region, zone string, pinned bool) func(*placement.Cluster) {
		return func(c *placement.Cluster) {
			c.Annotations = map[string]string{"region": region, "zone": zone}
			if pinned {
				c.Targets = map[stack.ID]bool{web: true}
			}
		}
	}
	clusters := []placement.Cluster{cluster("c0", in("eu", "a", true)), cluster("c1", in("us", "a", false)), cluster("c2", in("us", "b", false)), cluster("c3", in("eu", "a", false))}
	doc := policy.Document{Strategy: policy.Strategy{Count: &policy.Range{Min: 4, Max: 4}},
		Spread: []policy.Spread{{By: "annotation.region", MaxSkew: 2}, {By: "annotation.zone", MaxSkew: 1}}}
	d := placement.Explain(placement.Input{Subject: subject(), Clusters: clusters, Policy: compiled(t, doc)}, now)
	told := false
	for _, v := range d.Verdicts {
		if v.Picked {
			continue
		}
		told = true
		want := placement.Reason{Rule: placement.RuleSpread, Wanted: "no more than 1 apart", Observed: "annotation.zone a: 2", Message: "one more here would break the spread"}
		if diff := cmp.Diff([]placement.Reason{want}, v.Reasons); diff != "" {
			t.Errorf("%s:\n%s", v.Cluster, diff)
		}
	}
	if want := "4 clusters have consent, 4 of them fit; the spread admits no more"; !told || d.Unmet == nil || d.Unmet.Reason != want {
		t.Errorf("unmet: %+v, want %q; picks %+v", d.Unmet, want, d.Picks)
	}
	fixed := policy.Document{Strategy: policy.Strategy{Fixed: []agent.ID{"c1", "gone"}}}
	d = placement.Decide(placement.Input{Subject: subject(), Clusters: clusters, Policy: compiled(t, fixed)}, now)
	if want := "4 clusters have consent, 1 of them fit"; d.Unmet == nil || d.Unmet.Reason != want {
		t.Errorf("a pin beside fixed agents: %+v, want %q", d.Unmet, want)
	}
	prior := placement.Prior{}
	for _, c := range clusters {
		prior[c.Agent] = delivery.Assignment{Agent: c.Agent, Stack: web, Object: "o1", State: delivery.Assigned, Since: now.Add(-1e12)}
	}
	clusters = append(clusters, cluster("n0", func(c *placement.Cluster) { c.Labels = map[string]bool{"new": true} }), cluster("n1", func(c *placement.Cluster) { c.Labels = map[string]bool{"new": true} }))
	for i := range clusters[:4] {
		clusters[i].Targets = nil
	}
	moved := policy.Document{Clusters: &policy.Selector{Labels: []string{"new"}}, Strategy: policy.Strategy{Count: &policy.Range{Min: 2, Max: 2}}}
	d = placement.Decide(placement.Input{Subject: subject(), Clusters: clusters, Prior: prior, Policy: compiled(t, moved), Brake: placement.Brake{Share: 0.2, AtOne: 2}}, now)
	if want := "6 clusters have consent, 2 of them fit; others come when the removals that are held are made"; d.Hold == nil || d.Unmet == nil || d.Unmet.Reason != want {
		t.Errorf("held: %+v, want %q", d.Unmet, want)
	}
}

// Pins stand where they are named, and what is chosen beside them keeps to the spread with them.
func TestPinsCountInSpreads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		regions, pins := []string{"eu", "us", "ap"}, map[string]int{}
		var clusters []placement.Cluster
		for i := range rapid.IntRange(1, 12).Draw(t, "n") {
			region := rapid.SampledFrom(regions).Draw(t, "region")
			clusters = append(clusters, cluster(fmt.Sprintf("c%02d", i), func(c *placement.Cluster) {
				c.Annotations = map[string]string{"region": region}
				if rapid.IntRange(0, 3).Draw(t, "pinned") == 0 {
					c.Targets = map[stack.ID]bool{web: true}
					pins[region]++
				}
			}))
		}
		skew := rapid.IntRange(1, 2).Draw(t, "skew")
		d := placement.Decide(placement.Input{Subject: subject(), Clusters: clusters, Policy: compiled(t, policy.Document{
			Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: rapid.IntRange(1, 8).Draw(t, "max")}},
			Spread:   []policy.Spread{{By: "annotation.region", MaxSkew: skew}},
		})}, now)
		is, chosen := picked(d), map[string]int{}
		counts := map[string]int{}
		for _, c := range clusters {
			region := c.Annotations["region"]
			counts[region] += 0
			if is[c.Agent] {
				counts[region]++
				if !c.Targets[web] {
					chosen[region]++
				}
			} else if c.Targets[web] {
				t.Fatalf("%s is a pin and is not picked", c.Agent)
			}
		}
		low := 1 << 30
		for _, n := range counts {
			low = min(low, n)
		}
		for region, n := range counts {
			if chosen[region] > 0 && n-low > skew {
				t.Fatalf("%d in %s, of them %d pins, and %d where there are fewest: more than %d apart", n, region, pins[region], low, skew)
			}
		}
	})
}
