package placement_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
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
