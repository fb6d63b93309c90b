package placement_test

import (
	"fmt"
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

// aging draws a cluster of which something may change by time alone.
func aging(t *rapid.T, i int) placement.Cluster {
	c := factual(t, i, now)
	ago := func(what string) time.Time {
		return now.Add(-time.Duration(rapid.IntRange(0, 700).Draw(t, what)) * time.Second)
	}
	for j := range c.Taints {
		c.Taints[j].Since = ago("tainted")
	}
	if c.UnreachableSince != nil {
		since := ago("away")
		c.UnreachableSince = &since
	}
	return c
}

// A decision says until when it holds if nothing happens: at each moment before WakeAt the same input makes the same decision.
// That is so for tolerations with seconds, dwell, moves an hour, failover, and facts that expire.
func TestADecisionHoldsUntilWakeAt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var clusters []placement.Cluster
		for i := range rapid.IntRange(0, 14).Draw(t, "n") {
			clusters = append(clusters, aging(t, i))
		}
		doc := thorough(t)
		if s := doc.Stickiness; s != nil {
			s.MinDwell = policy.Duration(rapid.IntRange(0, 90).Draw(t, "dwell")) * policy.Duration(time.Minute)
		}
		if f := doc.Failover; f != nil {
			f.UnreachableAfter = policy.Duration(rapid.IntRange(1, 600).Draw(t, "unreachable after")) * policy.Duration(time.Second)
		}
		in := placement.Input{Subject: subject(), Clusters: clusters, Prior: drawPrior(t, clusters), Policy: ready(t, doc)}
		for range rapid.IntRange(0, 3).Draw(t, "moves") {
			in.Subject.Moved = append(in.Subject.Moved, now.Add(-time.Duration(rapid.IntRange(0, 70).Draw(t, "moved"))*time.Minute))
		}
		d := placement.Decide(in, now)
		wait := 3 * time.Hour
		if d.WakeAt != nil {
			if wait = d.WakeAt.Sub(now); wait <= 0 {
				t.Fatalf("it is to be decided again at %s, which is not later than now, %s", d.WakeAt, now)
			}
		}
		before := now.Add(time.Duration(rapid.Int64Range(0, int64(wait)-1).Draw(t, "later")))
		again := placement.Decide(in, before)
		again.WakeAt = d.WakeAt
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("decided again after %s, where it is to hold for %s:\n%s", before.Sub(now), wait, diff)
		}
	})
}

// However dwell, points and room meet, no more clusters are left for better ones than the hour admits. A spread may ask for more.
func TestNeverMoreMovesThanTheHourAdmits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var clusters []placement.Cluster
		for i := range rapid.IntRange(0, 8).Draw(t, "n") {
			clusters = append(clusters, cluster(fmt.Sprint(i), func(c *placement.Cluster) {
				c.ReportedAt, c.Reported.Allocatable.CPU = &now, rapid.Int64Range(0, 16).Draw(t, "cores")*1000
			}))
		}
		dwell, most := rapid.IntRange(0, 90).Draw(t, "dwell"), rapid.IntRange(1, 3).Draw(t, "moves an hour")
		doc := policy.Document{Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: rapid.IntRange(1, 5).Draw(t, "max")}},
			Prefer:     []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 16}}},
			Stickiness: &policy.Stickiness{MinDwell: policy.Duration(time.Duration(dwell) * time.Minute), MaxMovesPerHour: most}}
		in := placement.Input{Subject: subject(), Clusters: clusters, Prior: drawPrior(t, clusters), Policy: ready(t, doc)}
		was := rapid.IntRange(0, 4).Draw(t, "moved")
		for range was {
			in.Subject.Moved = append(in.Subject.Moved, now.Add(-30*time.Minute))
		}
		d := placement.Decide(in, now)
		if left := max(0, most-was); d.Moves > left {
			t.Fatalf("%d moves, where the hour admits %d more: %+v", d.Moves, left, d.Changes)
		}
	})
}

// Each rule that time changes says when: a moment later the decision is another one.
func TestWakeAtIsWhenTheDecisionChanges(t *testing.T) {
	t.Parallel()
	seconds := int64(600)
	five := policy.Duration(5 * time.Minute)
	one := policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}
	cores := []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 16}}}
	sized := func(id string, cpu int64) placement.Cluster {
		return cluster(id, func(c *placement.Cluster) { c.ReportedAt, c.Reported.Allocatable.CPU = &now, cpu*1000 })
	}
	price, until := 1.0, now.Add(7*time.Minute)
	tests := map[string]struct {
		doc      policy.Document
		clusters []placement.Cluster
		subject  func(*placement.Subject)
		newly    string // the stack is there too, since now
		after    time.Duration
	}{
		"toleration": {
			doc: policy.Document{Tolerations: []policy.Toleration{{Key: "t", Seconds: &seconds}}},
			clusters: []placement.Cluster{cluster("here", func(c *placement.Cluster) {
				c.Taints = []domain.Taint{{Key: "t", Effect: domain.Evict, Since: now.Add(-4 * time.Minute)}}
			}), cluster("other")},
			after: 6 * time.Minute,
		},
		"dwell": {
			doc: policy.Document{Strategy: one, Prefer: cores, Stickiness: &policy.Stickiness{MinDwell: policy.Duration(time.Hour)}}, after: 15 * time.Minute,
			clusters: []placement.Cluster{sized("here", 2), sized("other", 16)},
		},
		"dwell where the best of too many is picked": {
			doc: policy.Document{Strategy: one, Prefer: cores, Stickiness: &policy.Stickiness{MinDwell: policy.Duration(time.Hour)}}, after: 15 * time.Minute,
			clusters: []placement.Cluster{sized("here", 16), sized("also", 2)}, newly: "also",
		},
		"moves an hour": {
			doc: policy.Document{Strategy: one, Prefer: cores, Stickiness: &policy.Stickiness{MaxMovesPerHour: 1}}, after: 50 * time.Minute,
			clusters: []placement.Cluster{sized("here", 2), sized("other", 16)},
			subject:  func(s *placement.Subject) { s.Moved = []time.Time{now.Add(-10 * time.Minute)} },
		},
		"failover": {
			doc: policy.Document{Strategy: one, Failover: &policy.Failover{Enabled: true, UnreachableAfter: five}}, after: 3 * time.Minute,
			clusters: []placement.Cluster{cluster("here", func(c *placement.Cluster) { at := now.Add(-2 * time.Minute); c.UnreachableSince = &at }), cluster("other"), cluster("third")},
		},
		"a fact in a selector": {
			doc: policy.Document{Clusters: &policy.Selector{Expressions: []policy.Expression{{Key: "facts.price", Operator: policy.Less, Values: []string{"2"}}}}}, after: 7 * time.Minute,
			clusters: []placement.Cluster{cluster("new", func(c *placement.Cluster) {
				c.ReportedAt, c.Reported.Facts = &now, map[string]domain.Fact{"price": {Number: &price, Until: &until}}
			})},
		},
		"a fact that is preferred": {
			doc: policy.Document{Strategy: one, Prefer: []policy.Preference{{Property: "facts.price", Range: &[2]float64{0, 1}}}}, after: 7 * time.Minute,
			clusters: []placement.Cluster{cluster("here", func(c *placement.Cluster) {
				half := 0.5
				c.ReportedAt, c.Reported.Facts = &now, map[string]domain.Fact{"price": {Number: &half}}
			}), cluster("other", func(c *placement.Cluster) {
				c.ReportedAt, c.Reported.Facts = &now, map[string]domain.Fact{"price": {Number: &price, Until: &until}}
			})},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := placement.Input{Subject: subject(), Clusters: tc.clusters, Policy: compiled(t, tc.doc), Prior: prior("o2", "here")}
			p := in.Prior["here"]
			p.Placed = now.Add(-45 * time.Minute)
			in.Prior["here"] = p
			if tc.newly != "" {
				also := prior("o2", tc.newly)[agent.ID(tc.newly)]
				also.Placed = now
				in.Prior[also.Agent] = also
			}
			if tc.clusters[0].Agent != "here" {
				in.Prior = nil
			}
			if tc.subject != nil {
				tc.subject(&in.Subject)
			}
			d := placement.Decide(in, now)
			if d.WakeAt == nil || d.WakeAt.Sub(now) != tc.after {
				t.Fatalf("to be decided again at %v, want after %s", d.WakeAt, tc.after)
			}
			just, then := placement.Decide(in, d.WakeAt.Add(-1)), placement.Decide(in, *d.WakeAt)
			if diff := cmp.Diff(picked(d), picked(just)); diff != "" {
				t.Errorf("just before it is decided otherwise:\n%s", diff)
			}
			if fmt.Sprint(picked(d)) == fmt.Sprint(picked(then)) {
				t.Errorf("then it is decided as before: %v", picked(then))
			}
		})
	}
}

// What a brake holds has not moved: it takes none of the moves of the hour, which it needs when it is approved.
func TestAHeldMoveIsNoMove(t *testing.T) {
	t.Parallel()
	sized := func(id string, cpu int64) placement.Cluster {
		return cluster(id, func(c *placement.Cluster) { c.ReportedAt, c.Reported.Allocatable.CPU = &now, cpu*1000 })
	}
	in := placement.Input{
		Subject: subject(), Clusters: []placement.Cluster{sized("here", 2), sized("other", 16)}, Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: admitting(0)},
		Prior: placement.Prior{"here": {Agent: "here", Stack: subject().Stack, Object: subject().Newest.ID, State: delivery.Assigned, Placed: now.Add(-time.Hour)}},
		Policy: ready(t, policy.Document{Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}, Stickiness: &policy.Stickiness{MaxMovesPerHour: 1},
			Prefer: []policy.Preference{{Property: "allocatable.cpu", Range: &[2]float64{0, 16}}}}),
	}
	held := placement.Decide(in, now)
	if held.Hold == nil || held.Moves != 0 {
		t.Fatalf("where the window admits nothing: hold %+v, %d moves, want a hold and none", held.Hold, held.Moves)
	}
	in.Subject.Hold, in.Subject.Moved = held.Hold, placement.Recent(in.Subject.Moved, now, held.Moves)
	in.Subject.Generation++
	later := now.Add(time.Minute)
	if d := placement.Decide(in, later); d.News(in.Subject) {
		t.Errorf("a minute later: %+v, want the same hold", d)
	}
	in.Subject.Approved = in.Subject.Generation
	if d := placement.Decide(in, later); d.Hold != nil || d.Moves != 1 || len(d.Changes) != 2 {
		t.Errorf("when it is approved: hold %+v, %d moves, changes %+v, want the move", d.Hold, d.Moves, d.Changes)
	}
}
