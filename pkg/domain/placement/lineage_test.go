package placement_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	domain "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// language is a small one in place of CEL: "even load" and "cheap", of which the latter is an error where no price is known.
func language(expression string) (placement.Expr, error) {
	switch expression {
	case "even load", "cheap":
		return words(expression), nil
	default:
		return nil, fmt.Errorf("not known: %s", expression)
	}
}

type words string

func (words) Cost() uint64 { return 1 }

func (w words) Eval(c *placement.Cluster) (bool, error) {
	if w == "even load" {
		return c.Load%2 == 0, nil
	}
	f, ok := c.Reported.Facts["price"]
	if !ok {
		return false, errors.New("no price is known")
	}
	return *f.Number < 3, nil
}

// factual draws a cluster with facts, some of which expire within the next minutes.
func factual(t *rapid.T, i int, now time.Time) placement.Cluster {
	c := drawCluster(t, i)
	if c.ReportedAt == nil || rapid.IntRange(0, 4).Draw(t, "facts") == 0 {
		return c
	}
	c.Reported.Facts = map[string]domain.Fact{}
	until := func() *time.Time {
		if rapid.Bool().Draw(t, "for ever") {
			return nil
		}
		at := now.Add(time.Duration(rapid.IntRange(-2, 9).Draw(t, "until")) * time.Minute)
		return &at
	}
	price := float64(rapid.IntRange(0, 5).Draw(t, "price"))
	c.Reported.Facts["price"] = domain.Fact{Number: &price, Until: until()}
	if rapid.Bool().Draw(t, "zone told") {
		c.Reported.Facts["zone"] = domain.Fact{Text: rapid.SampledFrom([]string{"a", "b", "unknown"}).Draw(t, "zone"), Until: until()}
	}
	return c
}

// thorough draws a policy that may ask for everything that is remembered.
func thorough(t *rapid.T) policy.Document {
	d := drawPolicy(t)
	chance := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 0 }
	if chance("by fact") {
		d.Clusters.Expressions = append(d.Clusters.Expressions, policy.Expression{Key: "facts.price", Operator: policy.Less, Values: []string{"4"}})
	}
	if chance("by zone") {
		d.Clusters.Expressions = append(d.Clusters.Expressions, policy.Expression{Key: "facts.zone", Operator: policy.NotIn, Values: []string{"b"}})
	}
	if chance("by expression") {
		d.Clusters.CEL = rapid.SampledFrom([]string{"even load", "cheap"}).Draw(t, "expression")
	}
	if chance("by alternatives") {
		d.Clusters.Any = []policy.Selector{{CEL: "cheap"}, {Labels: []string{"b"}}, {Annotations: map[string]string{"region": "eu"}, Any: []policy.Selector{{Labels: []string{"prod"}}}}}
	}
	if chance("spread by fact") {
		d.Spread = []policy.Spread{{By: "facts.zone", MaxSkew: rapid.IntRange(1, 2).Draw(t, "skew"), MinDomains: rapid.IntRange(0, 2).Draw(t, "domains"),
			WhenUnsatisfiable: rapid.SampledFrom([]policy.WhenUnsatisfiable{policy.Refuse, policy.Prefer}).Draw(t, "unsatisfiable")}}
	}
	if c := d.Strategy.Count; c != nil && len(d.Spread) > 0 {
		d.Spread[0].MinDomains = min(d.Spread[0].MinDomains, c.Max)
	}
	if chance("prefer by fact") {
		d.Prefer = append(d.Prefer, policy.Preference{Property: "facts.price", Range: &[2]float64{0, 5}, Order: rapid.SampledFrom([]string{"", "low"}).Draw(t, "order")})
	}
	if chance("fixed") {
		d.Strategy = policy.Strategy{Fixed: []agent.ID{"c01", "c02", "c30"}}
		d.Failover, d.Spread, d.Groups, d.Stickiness, d.Prefer = nil, nil, nil, nil, nil
	}
	if chance("affinity") {
		d.Affinity = &policy.Affinity{WithStacks: []string{"db"}}
	} else if chance("apart") {
		d.Affinity = &policy.Affinity{ApartFromStacks: []string{"noisy"}}
	}
	if chance("tolerates") {
		seconds := int64(rapid.IntRange(1, 600).Draw(t, "seconds"))
		d.Tolerations = []policy.Toleration{{Key: "t", Seconds: &seconds}}
	}
	return d
}

func ready(t interface{ Fatalf(string, ...any) }, d policy.Document) *placement.Compiled {
	d.Name = "p"
	d, problems := policy.Validate(d, policy.Checks{})
	if policy.Failed(problems) {
		t.Fatalf("the test's policy is wrong: %v", problems)
	}
	c, err := placement.Compile(d, placement.Deps{CEL: language})
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return c
}

// What is remembered changes nothing: whatever happens to the clusters, however time passes, whoever else asks about the same
// clusters or about what they would be, a decision is what it is from scratch, and so are the verdicts.
func TestRememberedIsAsFromScratch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		docs := []policy.Document{thorough(t), thorough(t)}
		policies := []*placement.Compiled{ready(t, docs[0]), ready(t, docs[1])}
		now := now
		known := map[int]placement.Cluster{}
		f := placement.NewFleet(nil)
		priors := []placement.Prior{{}, {}}
		var telling placement.Telling
		var packer placement.Packer
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			old, before := f, slices.Collect(maps.Values(known))
			var changed []placement.Cluster
			var gone []agent.ID
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				i := rapid.IntRange(0, 140).Draw(t, "which")
				c, ok := known[i]
				if slices.ContainsFunc(changed, func(x placement.Cluster) bool { return ok && x.Agent == c.Agent }) {
					continue
				}
				if ok && rapid.Bool().Draw(t, "gone") {
					delete(known, i)
					delete(priors[0], c.Agent)
					gone = append(gone, c.Agent)
					continue
				}
				if slices.Contains(gone, agent.ID(fmt.Sprintf("c%02d", i))) {
					continue
				}
				known[i] = factual(t, i, now)
				changed = append(changed, known[i])
			}
			f = f.With(changed, gone)
			now = now.Add(time.Duration(rapid.IntRange(-30, 240).Draw(t, "seconds")) * time.Second)
			which := rapid.IntRange(0, 1).Draw(t, "policy")
			if rapid.IntRange(0, 4).Draw(t, "forked") == 0 {
				fork := old.With([]placement.Cluster{factual(t, 99, now)}, nil)
				for _, x := range []*placement.Fleet{fork, old, fork.With(nil, []agent.ID{"c01"})} {
					placement.Decide(placement.Input{Subject: subject(), Fleet: x, Policy: policies[which]}, now)
				}
			}
			decide := placement.Decide
			if rapid.Bool().Draw(t, "explained") {
				decide = placement.Explain
			}
			in := placement.Input{Subject: subject(), Prior: priors[which], Peers: map[string]placement.Prior{"noisy": prior("o1", "c03", "c04"), "db": prior("o1", "c01", "c02")}}
			if rapid.IntRange(0, 3).Draw(t, "no peers") == 0 {
				in.Peers = nil
			}
			in.Fleet, in.Policy = f, policies[which]
			step := decide(in, now)
			if len(step.Verdicts) > 0 {
				told := telling.Explain(in, now)
				if diff := cmp.Diff(step, told); diff != "" {
					t.Fatalf("-in memory of its own +in memory that is used again:\n%s", diff)
				}
				if diff := cmp.Diff(placement.Thorough().Explain(in, now), told); diff != "" {
					t.Fatalf("-by all rules +in short:\n%s", diff)
				}
				if kept, err := packer.Pack(told); err != nil {
					t.Fatal(err)
				} else if read, err := placement.Unpack(kept.Bytes()); err != nil {
					t.Fatal(err)
				} else if diff := cmp.Diff(step.Verdicts, read.Verdicts); diff != "" {
					t.Fatalf("-told +kept:\n%s", diff)
				}
			}
			in.Fleet, in.Policy, in.Clusters = nil, ready(t, docs[which]), slices.Collect(maps.Values(known))
			if diff := cmp.Diff(decide(in, now), step); diff != "" {
				t.Fatalf("-from scratch +remembered:\n%s", diff)
			}
			in.Clusters, in.Prior = before, nil
			scratch := decide(in, now)
			in.Fleet, in.Policy = old, policies[which]
			if diff := cmp.Diff(scratch, decide(in, now)); diff != "" {
				t.Fatalf("an older snapshot, -from scratch +asked again:\n%s", diff)
			}
			priors[which] = after(priors[which], step)
		}
	})
}
