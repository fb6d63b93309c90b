package cycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

var triggersNow = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// plainly asks every stack about every cluster: what concerned has to come to.
func plainly(e *Engine, ids []agent.ID, old map[agent.ID]placement.Cluster, now time.Time) []stack.ID {
	var out []stack.ID
	for id, s := range e.world.subjects {
		for _, a := range ids {
			before, after := pointers(old, e.world.clusters, a)
			var concerned bool
			switch {
			case s.Policy == nil:
				concerned = after != nil && placement.Differs(s, *after, e.world.priors[id])
			case e.ready[s.Policy.ID].revision != s.Policy.Revision:
				concerned = true
			default:
				p := e.ready[s.Policy.ID].compiled
				concerned = p.Concerns(s, before, after, now) || varies(p, before, after, now)
			}
			if concerned {
				out = append(out, id)
				break
			}
		}
	}
	return out
}

type loadExpr struct{}

func (loadExpr) Eval(c *placement.Cluster) (bool, error) { return c.Load > 1, nil }
func (loadExpr) Cost() uint64                            { return 1 }

func drawSelector(t *rapid.T, name string) policy.Selector {
	s := policy.Selector{}
	switch rapid.IntRange(0, 6).Draw(t, name) {
	case 0:
		s.Labels = []string{rapid.SampledFrom([]string{"x", "y"}).Draw(t, name+" label")}
	case 1:
		s.Annotations = map[string]string{"k": rapid.SampledFrom([]string{"1", "2"}).Draw(t, name+" annotation")}
	case 2:
		s.CEL = "cluster.load > 1"
	case 3:
		s.Any = []policy.Selector{{Labels: []string{"x"}}, {Annotations: map[string]string{"k": "2"}}}
	case 4:
		s.Expressions = []policy.Expression{{Key: "facts." + rapid.SampledFrom([]string{"f", "g"}).Draw(t, name+" fact"), Operator: policy.Exists}}
	case 5:
		s.Expressions = []policy.Expression{{Key: rapid.SampledFrom([]string{"nodes.total", "allocatable.cpu", "load"}).Draw(t, name+" number"), Operator: policy.Greater, Values: []string{"1"}}}
	}
	return s
}

func drawDocument(t *rapid.T) policy.Document {
	d := policy.Document{Name: "p"}
	if rapid.Bool().Draw(t, "selects") {
		s := drawSelector(t, "clusters")
		d.Clusters = &s
	}
	if rapid.Bool().Draw(t, "requires") {
		d.Requires = &policy.Requirements{CPU: "1"}
	}
	if rapid.Bool().Draw(t, "prefers") {
		d.Prefer = []policy.Preference{{Property: rapid.SampledFrom([]string{"facts.f", "available.memory"}).Draw(t, "property"), Range: &[2]float64{0, 9}}, {Balance: true}}
	}
	if rapid.Bool().Draw(t, "spreads") {
		d.Spread = []policy.Spread{{By: "annotation.k", MaxSkew: 1}}
	}
	if rapid.Bool().Draw(t, "overrides") {
		d.Overrides = []policy.Override{{Clusters: drawSelector(t, "override")}}
	}
	return d
}

func drawSet[K comparable](t *rapid.T, name string, of ...K) map[K]bool {
	out := map[K]bool{}
	for _, k := range of {
		if n := rapid.IntRange(0, 2).Draw(t, fmt.Sprint(name, k)); n > 0 {
			out[k] = n == 1
		}
	}
	return out
}

func drawCluster(t *rapid.T, a agent.ID) placement.Cluster {
	c := placement.Cluster{Agent: a, Name: string(a), Status: rapid.SampledFrom([]agent.Status{agent.Active, agent.Inactive}).Draw(t, "status"),
		Labels: drawSet(t, "label ", "x", "y"), Annotations: map[string]string{}, Generators: drawSet(t, "consent ", tenancy.GeneratorID("g"), "h"),
		Targets: drawSet(t, "target ", stack.ID("s0"), "s3"), Load: rapid.IntRange(0, 2).Draw(t, "load"), Assumed: cluster.Resources{CPU: rapid.Int64Range(0, 1).Draw(t, "assumed")}}
	if rapid.Bool().Draw(t, "annotated") {
		c.Annotations["k"] = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "annotation")
	}
	since := triggersNow.Add(-time.Minute)
	if rapid.IntRange(0, 3).Draw(t, "told") > 0 {
		c.ReportedAt = &since
		c.Reported = cluster.Status{Nodes: rapid.Int32Range(0, 2).Draw(t, "nodes"), Allocatable: cluster.Resources{CPU: rapid.Int64Range(0, 2).Draw(t, "cpu") * 1000}, Facts: map[string]cluster.Fact{}}
		if rapid.Bool().Draw(t, "fact") {
			until := triggersNow.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "until")) * time.Minute)
			c.Reported.Facts["f"] = cluster.Fact{Text: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "of"), Until: &until}
		}
		if rapid.IntRange(0, 3).Draw(t, "blind") == 0 {
			c.Reported.Unknown = map[cluster.Part]string{rapid.SampledFrom([]cluster.Part{cluster.PartFacts, cluster.PartNodes}).Draw(t, "part"): "away"}
		}
	}
	switch rapid.IntRange(0, 8).Draw(t, "mark") {
	case 0:
		c.Cordon = &cluster.Cordon{Since: since}
	case 1, 2:
		c.Drain = &cluster.Drain{Since: since, Budget: rapid.IntRange(0, 1).Draw(t, "budget"), Released: map[stack.ID]time.Time{}}
		for s := range drawSet(t, "released ", stack.ID("s1"), "s2") {
			c.Drain.Released[s] = since
		}
	case 3:
		c.UnreachableSince = &since
	case 4:
		c.Taints = []cluster.Taint{{Key: "t", Effect: cluster.NoPlace, Since: since}}
	}
	return c
}

// Which stacks a change of clusters concerns is found by what policies read; it is what a question to every stack comes to.
func TestConcernedIsWhatEveryStackSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := empty()
		deps := placement.Deps{CEL: func(string) (placement.Expr, error) { return loadExpr{}, nil }}
		for i := range 6 {
			id := stack.ID(fmt.Sprint("s", i))
			s := placement.Subject{Stack: id, Name: string(id), Generator: tenancy.GeneratorID(rapid.SampledFrom([]string{"g", "h"}).Draw(t, "generator")),
				Newest: &stack.Object{ID: "o"}, Labels: drawSet(t, "stack label ", "x", "z"), Annotations: map[string]string{"k": "1"}, Deleted: rapid.IntRange(0, 9).Draw(t, "deleted") == 0}
			if n := rapid.IntRange(0, 2).Draw(t, "policy"); n > 0 {
				s.Policy = &policy.Ref{ID: policy.ID(fmt.Sprint(s.Generator, n)), Revision: rapid.IntRange(1, 2).Draw(t, "revision")} // a policy has one generator
			}
			e.world.subjects[id] = s
			e.world.index.add(s)
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "compiled") {
			c, err := placement.Compile(drawDocument(t), deps)
			if err != nil {
				t.Fatal(err)
			}
			id := policy.ID(rapid.SampledFrom([]string{"g1", "g2", "h1", "h2"}).Draw(t, "which"))
			e.prepared(id, ready{revision: 1 + i%2, compiled: c})
		}
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			ids, old := []agent.ID{"a", "b", "c"}, map[agent.ID]placement.Cluster{}
			for _, a := range ids {
				if rapid.IntRange(0, 5).Draw(t, "was") > 0 {
					old[a] = drawCluster(t, a)
				}
				delete(e.world.clusters, a)
				switch was, had := old[a]; {
				case had && rapid.Bool().Draw(t, "a little"):
					was.Labels = drawSet(t, "label ", "x", "y")
					e.world.clusters[a] = was
				case rapid.IntRange(0, 5).Draw(t, "is") > 0:
					e.world.clusters[a] = drawCluster(t, a)
				}
			}
			e.world.priors["s0"] = placement.Prior{"a": {State: rapid.SampledFrom([]delivery.State{delivery.Assigned, delivery.Removing}).Draw(t, "prior"), Object: "o"}}
			want, got := plainly(e, ids, old, triggersNow), e.concerned(ids, old, triggersNow)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Fatalf("found are %v, where every stack asked says %v", got, want)
			}
		}
	})
}

// manyPolicies is a snapshot of 10,000 policies with a stack each, every one with keys of its own, over 1,000 clusters.
func manyPolicies(b *testing.B) (*Engine, []agent.ID) {
	b.Helper()
	e := empty()
	var ids []agent.ID
	for i := range 1000 {
		at := triggersNow
		c := placement.Cluster{Agent: agent.ID(fmt.Sprintf("c%04d", i)), Status: agent.Active, Generators: map[tenancy.GeneratorID]bool{"g": true}, ReportedAt: &at,
			Labels: map[string]bool{"prod": true}, Annotations: map[string]string{"region": fmt.Sprint(i % 5)}, Reported: cluster.Status{Nodes: 3, Facts: map[string]cluster.Fact{}}}
		for f := range 10 {
			n := float64(i)
			c.Reported.Facts[fmt.Sprint("f", f)] = cluster.Fact{Number: &n}
		}
		e.world.clusters[c.Agent] = c
		ids = append(ids, c.Agent)
	}
	for i := range 10_000 {
		id := policy.ID(fmt.Sprint("p", i))
		c, err := placement.Compile(policy.Document{Name: string(id), Clusters: &policy.Selector{Labels: []string{"prod"},
			Expressions: []policy.Expression{{Key: "nodes.total", Operator: policy.AtLeast, Values: []string{"2"}}}},
			Prefer: []policy.Preference{{Property: fmt.Sprint("facts.f", i), Range: &[2]float64{0, 10}}}}, placement.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		s := placement.Subject{Stack: stack.ID(fmt.Sprint("s", i)), Generator: "g", Newest: &stack.Object{ID: "o"}, Policy: &policy.Ref{ID: id, Revision: 1}}
		e.world.subjects[s.Stack] = s
		e.world.index.add(s)
		e.prepared(id, ready{revision: 1, compiled: c})
	}
	return e, ids
}

// BenchmarkConcerned says what it costs to find which of 10,000 stacks, each with a policy of its own, changes of clusters concern:
// by what the policies read, and by a question to every stack.
func BenchmarkConcerned(b *testing.B) {
	e, ids := manyPolicies(b)
	const plain = "each stack asked"
	for name, ask := range map[string]func(*Engine, []agent.ID, map[agent.ID]placement.Cluster, time.Time) []stack.ID{
		"by what policies read": (*Engine).concerned, plain: plainly,
	} {
		for what, tc := range map[string]struct {
			changed int
			fact    string // that changes
			want    int
		}{
			"one cluster, what one policy reads":        {1, "f7", 1},
			"one cluster, what no policy reads":         {1, "unread", 0},
			"all 1,000 clusters, what no policy reads":  {1000, "unread", 0},
			"all 1,000 clusters, what one policy reads": {1000, "f7", 1},
		} {
			if tc.changed > 1 && name == plain {
				continue // it takes minutes
			}
			b.Run(name+"/"+what, func(b *testing.B) {
				old := map[agent.ID]placement.Cluster{}
				for _, a := range ids[:tc.changed] {
					was := e.world.clusters[a]
					was.Reported.Facts = map[string]cluster.Fact{}
					for k, v := range e.world.clusters[a].Reported.Facts {
						was.Reported.Facts[k] = v
					}
					was.Reported.Facts[tc.fact] = cluster.Fact{Text: "another"}
					old[a] = was
				}
				b.ReportAllocs()
				for b.Loop() {
					if got := ask(e, ids[:tc.changed], old, triggersNow); len(got) != tc.want {
						b.Fatalf("%d stacks are concerned, want %d", len(got), tc.want)
					}
				}
			})
		}
	}
}
