package drain_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/drain"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func wanted(a agent.ID, s stack.ID, state delivery.State, since time.Time, st *delivery.Status) delivery.Wanted {
	return delivery.Wanted{Assignment: delivery.Assignment{Agent: a, Stack: s, Object: "o", State: state, Since: since, Placed: since}, Status: st}
}

func status(p delivery.Phase, h delivery.Health, o stack.ObjectID) *delivery.Status {
	return &delivery.Status{Object: o, Phase: p, Health: h}
}

func TestNextWaitsUntilWhatMovedIsWell(t *testing.T) {
	t.Parallel()
	healthy := status(delivery.PhaseApplied, delivery.HealthHealthy, "o")
	after, before := began.Add(time.Second), began.Add(-time.Hour)
	updated := wanted("other", "a", delivery.Assigned, before, status(delivery.PhaseApplied, delivery.HealthFailing, "o"))
	updated.Since = after
	for name, tc := range map[string]struct {
		here        delivery.State // of a, which was released; empty: it has left
		elsewhere   []delivery.Wanted
		unknown     bool
		unreachable bool
		settled     bool
	}{
		"not decided yet":              {here: delivery.Assigned},
		"nowhere to go":                {settled: true},
		"leaving, and nowhere to go":   {here: delivery.Removing, settled: true},
		"not read":                     {unknown: true},
		"new elsewhere, not applied":   {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, after, nil)}},
		"applied, not healthy":         {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, after, status(delivery.PhaseApplied, delivery.HealthProgressing, "o"))}},
		"healthy with another object":  {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, after, status(delivery.PhaseApplied, delivery.HealthHealthy, "old"))}},
		"healthy elsewhere":            {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, after, healthy)}, settled: true},
		"sick where it was before":     {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, before, status(delivery.PhaseFailed, delivery.HealthFailing, "o"))}, settled: true},
		"and has another object there": {elsewhere: []delivery.Wanted{updated}, settled: true},
		"the other is unreachable":     {elsewhere: []delivery.Wanted{wanted("other", "a", delivery.Assigned, after, nil)}, unreachable: true, settled: true},
	} {
		in := drain.Input{
			Agent: "me", Drain: cluster.Drain{Budget: 1, Released: map[stack.ID]time.Time{"a": began}}, Elsewhere: map[stack.ID][]delivery.Wanted{"a": tc.elsewhere},
			Here: []delivery.Wanted{wanted("me", "b", delivery.Assigned, before, healthy), wanted("me", "c", delivery.Assigned, before, healthy)}, Unreachable: map[agent.ID]bool{"other": tc.unreachable},
		}
		if tc.here != "" {
			in.Here = append(in.Here, wanted("me", "a", tc.here, after, healthy))
		}
		if tc.unknown {
			in.Elsewhere = nil
		}
		got := drain.Next(in)
		want := []stack.ID{}
		if tc.settled {
			want = []stack.ID{"b"}
		}
		if diff := cmp.Diff(want, append([]stack.ID{}, got.Release...)); diff != "" {
			t.Errorf("%s: released (-want +got):\n%s", name, diff)
		}
		if tc.settled == (len(got.Moving) > 0) || (len(got.Moving) > 0 && got.Moving[0].On == "") || got.Waiting != 2-len(want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestWithoutABudgetNothingIsReleased(t *testing.T) {
	t.Parallel()
	got := drain.Next(drain.Input{Agent: "me", Here: []delivery.Wanted{wanted("me", "a", delivery.Assigned, began, nil)}})
	if len(got.Release) != 0 {
		t.Errorf("got %+v, want nothing released: all go anyhow", got)
	}
}

// Never more than the budget on their way, whatever comes; and with room, as many as there are.
func TestNeverMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := drain.Input{Agent: "me", Drain: cluster.Drain{Budget: rapid.IntRange(1, 5).Draw(t, "budget"), Released: map[stack.ID]time.Time{}}, Elsewhere: map[stack.ID][]delivery.Wanted{}}
		waiting := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "stacks") {
			s := stack.ID(fmt.Sprintf("s%02d", i))
			st := rapid.SampledFrom([]delivery.State{delivery.Assigned, delivery.Removing, ""}).Draw(t, "here")
			if st != "" {
				in.Here = append(in.Here, wanted("me", s, st, began, nil))
			}
			if len(in.Drain.Released) < in.Drain.Budget && rapid.Bool().Draw(t, "released") {
				in.Drain.Released[s] = began
				if rapid.Bool().Draw(t, "known") {
					in.Elsewhere[s] = []delivery.Wanted{wanted("other", s, delivery.Assigned, began, status(delivery.PhaseApplied, rapid.SampledFrom([]delivery.Health{delivery.HealthHealthy, delivery.HealthFailing}).Draw(t, "health"), "o"))}
				}
			} else if st == delivery.Assigned {
				waiting++
			}
		}
		got := drain.Next(in)
		if len(got.Moving)+len(got.Release) > in.Drain.Budget {
			t.Fatalf("%d on their way, budget %d", len(got.Moving)+len(got.Release), in.Drain.Budget)
		}
		if want := min(in.Drain.Budget-len(got.Moving), waiting); len(got.Release) != want || got.Waiting != waiting-want {
			t.Fatalf("released %d of %d with %d moving and a budget of %d", len(got.Release), waiting, len(got.Moving), in.Drain.Budget)
		}
		for _, s := range got.Release {
			if _, again := in.Drain.Released[s]; again {
				t.Fatalf("%s is released twice", s)
			}
		}
		slices.Reverse(in.Here)
		if diff := cmp.Diff(got, drain.Next(in)); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
	})
}
