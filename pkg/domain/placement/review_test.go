package placement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// A review names each part that the fleet cannot fulfil, with its place; what is not known counts for the policy.
func TestReview(t *testing.T) {
	t.Parallel()
	at := now.Add(-1e12)
	told := func(cpu, memory int64, region string, labels ...string) func(*placement.Cluster) {
		return func(c *placement.Cluster) {
			c.Labels, c.Annotations = map[string]bool{}, map[string]string{}
			for _, l := range labels {
				c.Labels[l] = true
			}
			if region != "" {
				c.Annotations["region"] = region
			}
			c.ReportedAt, c.Reported.Allocatable = &at, domain.Resources{CPU: cpu, Memory: memory, Pods: 100}
		}
	}
	fleet := []placement.Cluster{cluster("small", told(1000, 16<<30, "eu", "prod")), cluster("large", told(8000, 4<<30, "eu", "prod", "gpu")), cluster("test", told(2000, 8<<30, "us", "test"))}
	silent := append([]placement.Cluster{cluster("silent", func(c *placement.Cluster) {
		c.Labels, c.Annotations = map[string]bool{"prod": true}, map[string]string{"region": "ap"}
	})}, fleet...)
	patches := []policy.Patch{{Merge: []byte(`{"spec":{"replicas":1}}`)}}
	zero := func(in ...policy.Selector) []policy.Selector { return in }
	for reason, tc := range map[string]struct {
		document policy.Document
		clusters []placement.Cluster
		want     map[string]string // by path
	}{
		"all is there": {policy.Document{Clusters: &policy.Selector{Labels: []string{"prod"}, Any: zero(policy.Selector{Labels: []string{"nobody"}}, policy.Selector{Labels: []string{"gpu"}})}}, fleet, nil},
		"parts that contradict in this fleet": {policy.Document{Clusters: &policy.Selector{Labels: []string{"prod", "test"}}}, fleet,
			map[string]string{"clusters": "each part fits some cluster, but none of the 3 that the generator may use fits all of them"}},
		"an annotation": {policy.Document{Clusters: &policy.Selector{Annotations: map[string]string{"region": "mars"}}}, fleet,
			map[string]string{"clusters.annotations": "none of the 3 clusters that the generator may use has the annotation region=mars"}},
		"no alternative": {policy.Document{Clusters: &policy.Selector{Any: zero(policy.Selector{Labels: []string{"x"}}, policy.Selector{Labels: []string{"y"}})}}, fleet,
			map[string]string{"clusters.any": "none of the 3 clusters that the generator may use fits one of the alternatives"}},
		"capacity of two kinds in two clusters": {policy.Document{Requires: &policy.Requirements{CPU: "8", Memory: "16Gi"}}, fleet,
			map[string]string{"requires": "no cluster that fits can allocate all of it together"}},
		"capacity of any": {policy.Document{Clusters: &policy.Selector{Labels: []string{"prod"}}, Requires: &policy.Requirements{CPU: "9", GPU: 1, Pods: 101}}, fleet,
			map[string]string{"requires.cpu": "9 is more than any cluster that fits can allocate (8 at most)", "requires.pods": "101 is more than any cluster that fits can allocate (100 at most)",
				"requires.gpus": "1 is more than any cluster that fits can allocate (0 at most)"}},
		"capacity that is not known of one": {policy.Document{Requires: &policy.Requirements{CPU: "90"}}, silent, nil},
		"groups, overrides and waves": {policy.Document{
			Groups:    []policy.Group{{Name: "a", Clusters: policy.Selector{Labels: []string{"prod"}}}, {Name: "b", Clusters: policy.Selector{Labels: []string{"x"}}}},
			Overrides: []policy.Override{{Clusters: policy.Selector{Labels: []string{"x"}}, Patches: patches}, {Patches: patches}}, Strategy: policy.Strategy{Count: &policy.Range{Min: 3, Max: 3}},
			Rollout: &policy.Rollout{Waves: []policy.Wave{{Name: "c", Clusters: &policy.Selector{Labels: []string{"canary"}}}, {Name: "rest"}}}}, fleet,
			map[string]string{"groups[1].clusters": "none of the 3 clusters that fit the policy fits here", "overrides[0].clusters": "none of the 3 clusters that fit the policy fits here",
				"rollout.waves[0].clusters": "none of the 3 clusters that fit the policy fits here", "strategy.count.min": "3 are asked for, and only 2 of the 3 clusters that the generator may use fit"}},
		"a spread over too little": {policy.Document{Spread: []policy.Spread{{By: "annotation.region", MaxSkew: 1, MinDomains: 3}, {By: "annotation.zone", MaxSkew: 1}}}, fleet,
			map[string]string{"spread[0].min_domains": "3 are asked for, and the clusters that fit are in 2 (eu, us)", "spread[1].by": "no cluster that fits has a value for annotation.zone"}},
		"a preference for what nobody states": {policy.Document{Prefer: []policy.Preference{{Property: "facts.cost", Range: &[2]float64{0, 1}}, {Balance: true}}}, fleet,
			map[string]string{"prefer[0].property": "facts.cost is known of no cluster that fits, so that it gives no points"}},
		"fixed agents that are there and do not fit": {policy.Document{Clusters: &policy.Selector{Labels: []string{"prod"}}, Strategy: policy.Strategy{Fixed: []agent.ID{"large", "test", "nobody"}}}, fleet,
			map[string]string{"strategy.fixed[1]": `its cluster does not fit: the cluster has no label "prod"`, "strategy.fixed[2]": "no agent with this id has an approved registration with the generator"}},
		"stacks": {policy.Document{DependsOn: []policy.Dependency{{Stack: "db"}, {Stack: "crds"}}, Affinity: &policy.Affinity{ApartFromStacks: []string{"noisy"}}}, fleet,
			map[string]string{"depends_on[1].stack": `the generator has no stack "crds"`, "affinity.apart_from_stacks[0]": `the generator has no stack "noisy"`}},
	} {
		got := map[string]string{}
		for _, p := range compiled(t, tc.document).Review(placement.Seen{Clusters: tc.clusters, Stacks: map[string]bool{"db": true}}, now) {
			if p.Severity != policy.Warning {
				t.Errorf("%s: %s is no warning", reason, p)
			}
			got[p.Path] += p.Message
		}
		if tc.want == nil {
			tc.want = map[string]string{}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
}
