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
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Whoever goes on from decision to decision and whoever comes later and makes everything of the assignments alone come to the
// same load and the same promises: a scheduler after a restart, another replica, and a plan.
func TestPromisesFollowFromAssignments(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clusters, stacks := map[agent.ID]placement.Cluster{}, map[stack.ID]placement.Subject{}
		for i := range rapid.IntRange(1, 4).Draw(t, "clusters") {
			c := placement.Cluster{Agent: agent.ID(fmt.Sprint("c", i))}
			if rapid.Bool().Draw(t, "told") {
				at := now.Add(time.Duration(rapid.IntRange(-14, 5).Draw(t, "told at")) * time.Minute)
				c.ReportedAt = &at
			}
			clusters[c.Agent] = c
		}
		needs := map[stack.ID]domain.Resources{}
		for i := range rapid.IntRange(1, 4).Draw(t, "stacks") {
			id := stack.ID(fmt.Sprint("s", i))
			stacks[id] = placement.Subject{Stack: id, Newest: &stack.Object{ID: "o"}}
			needs[id] = domain.Resources{CPU: rapid.Int64Range(0, 3).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 1).Draw(t, "memory")}
		}
		going, priors := placement.Promises{}, map[stack.ID]placement.Prior{}
		at := now.Add(-15 * time.Minute)
		for range rapid.IntRange(0, 12).Draw(t, "decisions") {
			id := stack.ID(fmt.Sprint("s", rapid.IntRange(0, len(stacks)-1).Draw(t, "stack")))
			at = at.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "minutes later")) * time.Minute)
			d := placement.Decision{Stack: id}
			for a := range clusters {
				if state := rapid.SampledFrom([]delivery.State{"", delivery.Assigned, delivery.Removing}).Draw(t, "state of "+string(a)); state != "" {
					d.Changes = append(d.Changes, placement.Change{Agent: a, State: state, Object: "o"})
				}
			}
			before := make(map[agent.ID]placement.Cluster, len(clusters))
			for a, c := range clusters {
				before[a] = c
			}
			was := going.Settle(d, needs[id], priors[id], clusters, at)
			for a, c := range clusters {
				if old, told := was[a]; (told && cmp.Diff(old, before[a]) != "") || (!told && cmp.Diff(c, before[a]) != "") {
					t.Fatalf("%s: told as %+v (%t), was %+v, is %+v", a, old, told, before[a], c)
				}
			}
			priors[id] = priors[id].After(d, at)
		}
		end := at.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "asked later")) * time.Minute)
		going.Sum(clusters, end) // promises end with time alone too
		anew, fresh, loads := placement.Promises{}, map[agent.ID]placement.Cluster{}, placement.Loads(priors)
		for a, c := range clusters {
			fresh[a] = placement.Cluster{Agent: a, ReportedAt: c.ReportedAt, Load: loads[a]}
		}
		for id, s := range stacks {
			anew.Make(s, needs[id], priors[id], fresh, end)
		}
		anew.Sum(fresh, end)
		if diff := cmp.Diff(fresh, clusters); diff != "" {
			t.Fatalf("(-made anew +went on)\n%s", diff)
		}
	})
}

// What is copied, released or told anew leaves what it was made of as it is.
func TestPromisesAreReleasedAlone(t *testing.T) {
	t.Parallel()
	clusters := map[agent.ID]placement.Cluster{"c": {Agent: "c"}}
	p := placement.Promises{}
	for i, s := range []stack.ID{"x", "y"} {
		prior := placement.Prior{"c": {State: delivery.Assigned, Placed: now}, "gone": {State: delivery.Assigned, Placed: now}}
		p.Make(placement.Subject{Stack: s, Newest: &stack.Object{}}, domain.Resources{CPU: int64(i + 1)}, prior, clusters, now)
	}
	p.Make(placement.Subject{Stack: "deleted", Deleted: true}, domain.Resources{CPU: 8}, placement.Prior{"c": {State: delivery.Assigned, Placed: now}}, clusters, now)
	if was := p.Sum(clusters, now); len(was) != 1 || clusters["c"].Assumed.CPU != 3 {
		t.Fatalf("promised %+v, changed %v; want three cores of the one cluster", clusters["c"].Assumed, was)
	}
	other := map[agent.ID]placement.Cluster{"c": clusters["c"]}
	q := p.Clone()
	q.Release("x")
	was := q.Sum(other, now)
	if other["c"].Assumed.CPU != 2 || len(placement.Freed(was, other)) != 1 || len(placement.Freed(other, was)) != 0 {
		t.Errorf("after a release: %+v, freed %v; want two cores, and the cluster freed", other["c"].Assumed, placement.Freed(was, other))
	}
	if p.Sum(clusters, now); clusters["c"].Assumed.CPU != 3 {
		t.Errorf("what was copied has changed too: %+v", clusters["c"].Assumed)
	}
}

// What is promised stays promised while it may be missing in what the cluster has told: a status that comes soon after the decision
// has no pods of it yet. One that comes later has them, as have had it those that were followed by none.
func TestPromisesOutliveAStatusThatCameTooSoon(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		told  *time.Duration // after the decision; nil: never
		after time.Duration  // the decision it is asked
		want  bool
	}{
		"nothing was told":                {nil, time.Hour, true},
		"told before":                     {new(-time.Second), time.Hour, true},
		"told at the same moment":         {new(time.Duration(0)), time.Minute, true},
		"told at once":                    {new(time.Second), time.Minute, true},
		"told at once, and not for long":  {new(time.Second), placement.Lapse - time.Second, true},
		"told at once, and never since":   {new(time.Second), placement.Lapse, false},
		"told just before it has settled": {new(placement.Settling - time.Second), placement.Settling, true},
		"told when it has settled":        {new(placement.Settling), placement.Settling, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := now.Add(x.after)
			c := placement.Cluster{Agent: "c"}
			if x.told != nil {
				told := now.Add(*x.told)
				c.ReportedAt = &told
			}
			clusters, made := map[agent.ID]placement.Cluster{"c": c}, placement.Promises{}
			made.Make(placement.Subject{Stack: "s", Newest: &stack.Object{}}, domain.Resources{CPU: 3},
				placement.Prior{"c": {State: delivery.Assigned, Placed: now}}, clusters, at)
			kept := placement.Promises{"c": {{Stack: "s", Needs: domain.Resources{CPU: 3}, At: now}}}
			if got := kept.Assumed(c, at); (got.CPU == 3) != x.want || (len(kept) == 1) != x.want || len(made) != len(kept) {
				t.Errorf("promised %+v, kept %v, made anew %v; want it promised: %t", got, kept, made, x.want)
			}
		})
	}
}
