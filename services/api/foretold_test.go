package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/api"
)

type heldAnswer struct {
	Cause   string     `json:"cause"`
	Reason  string     `json:"reason"`
	Removes []agent.ID `json:"removes"`
	Until   *time.Time `json:"until"`
}

type foretoldAnswer struct {
	ID     string `json:"id"`
	Stacks []struct {
		StackName string      `json:"stack_name"`
		Hold      *heldAnswer `json:"hold"`
		Unmet     *struct {
			Wanted int `json:"wanted"`
			Picked int `json:"picked"`
		} `json:"unmet"`
		Gains []struct {
			AgentName string `json:"agent_name"`
		} `json:"gains"`
		Loses []struct {
			AgentName string `json:"agent_name"`
		} `json:"loses"`
	} `json:"stacks"`
}

// with replaces the api by one of a scheduler with this brake.
func (w *world) with(b placement.Brake) {
	w.t.Helper()
	store, ok := w.store.(*memory.Store)
	if !ok {
		w.t.Fatalf("the world's store is a %T", w.store)
	}
	w.handler = w.handlerOf(store, func(d *api.Deps) { d.Brake = b })
}

// pin makes a stack of the owner, publishes to it and puts it on the agents.
func (w *world) pin(name string, to ...agent.Agent) stack.Stack {
	w.t.Helper()
	s := w.newStack(name)
	for _, v := range to {
		must(w.t, w.store.Agents().AddTarget(w.t.Context(), agent.Target{ID: agent.TargetID(uuid.NewString()), Agent: v.ID, Stack: s.ID}))
	}
	w.publish(s)
	w.decide(s, nil, to...)
	return s
}

// A plan foretells what the window of the whole fleet would hold: what it has lost already counts, also to other generators, and what
// the plan itself takes away; each hold says of how many clusters it is and when there is room.
func TestPlanKnowsTheFleetsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for i := range 3 {
		w.pin(fmt.Sprint("s", i), w.agent)
	}
	w.with(api.BrakeOf(0.01, 5, 3, 10*time.Minute))
	before := time.Now().Add(-4 * time.Minute).UTC().Truncate(time.Microsecond)
	must(t, w.store.Removals().Add(t.Context(), before.Add(-time.Hour), 10, placement.Removal{Stack: w.unpinned.ID, Count: 1, At: before},
		placement.Removal{Stack: w.unpinned.ID, Count: 5, At: before.Add(-time.Hour)})) // which is over
	drain := `{"agents":[{"agent_id":"` + string(w.agent.ID) + `","drain":true}]}`
	plan := func(as string) (passed, held int, got foretoldAnswer) {
		got = answer[foretoldAnswer](w, as, "POST", "/placement/plan", drain)
		for _, s := range got.Stacks {
			switch {
			case s.StackName == "held": // waits for an approval, whatever the window has
			case s.Hold == nil:
				passed++
			default:
				held++
				if s.Hold.Cause != "fleet_window" || len(s.Hold.Removes) != 1 || s.Hold.Removes[0] != w.agent.ID || !strings.Contains(s.Hold.Reason, "would remove 1 assignments where the fleet's window admits 0 more") {
					t.Errorf("%s is held: %+v, want for the one cluster by the fleet's window, which admits no more", s.StackName, s.Hold)
				}
				if s.Hold.Until == nil || s.Hold.Until.Before(before.Add(10*time.Minute)) || s.Hold.Until.After(before.Add(10*time.Minute+11*time.Second)) {
					t.Errorf("%s is held until %v, want when what was lost at %s is over", s.StackName, s.Hold.Until, before)
				}
			}
		}
		return passed, held, got
	}
	// web and the three are on the cluster; one of three removals is used up.
	passed, held, first := plan(asOwner)
	if passed != 2 || held != 2 {
		t.Errorf("%d stacks leave and %d are held, want 2 and 2: the window admits 3 and has lost 1 (%+v)", passed, held, first.Stacks)
	}
	must(t, w.store.Removals().Add(t.Context(), before, 10, placement.Removal{Stack: w.unpinned.ID, Count: 1, At: before.Add(time.Second)}))
	passed, held, second := plan(asOperator)
	if passed != 1 || held != 3 || second.ID == first.ID {
		t.Errorf("after one more was lost %d leave and %d are held, plan %s after %s; want 1 and 3, and another plan", passed, held, second.ID, first.ID)
	}
}

// What waits for the fleet's window says when there is room, wherever it is told.
func TestAHoldSaysWhenTheWindowHasRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.with(api.BrakeOf(0.01, 5, 1, 10*time.Minute))
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
	must(t, w.store.Removals().Add(t.Context(), at.Add(-time.Hour), 1, placement.Removal{Stack: w.held.ID, Count: 1, At: at}))
	hold := placement.Hold{Since: at, Cause: placement.HoldFleet, Reason: "the window admits 0 more", Removes: []agent.ID{w.agent.ID}, Of: 1, Fingerprint: "f"}
	w.decide(w.stack, &hold)
	type told struct {
		Hold     *heldAnswer `json:"hold"`
		Clusters []struct {
			BlockedOn *string `json:"blocked_on"`
		} `json:"clusters"`
	}
	for _, path := range []string{"/placement", "/status"} {
		got := answer[told](w, asOwner, "GET", "/stacks/"+string(w.stack.ID)+path, "")
		if got.Hold == nil || got.Hold.Until == nil || got.Hold.Until.Before(at.Add(10*time.Minute)) || got.Hold.Until.After(at.Add(10*time.Minute+11*time.Second)) {
			t.Errorf("%s: held %+v, want until what was lost at %s is over", path, got.Hold, at)
		}
		if path == "/status" && (len(got.Clusters) != 1 || got.Clusters[0].BlockedOn == nil || !strings.Contains(*got.Clusters[0].BlockedOn, got.Hold.Until.Format(time.RFC3339))) {
			t.Errorf("the cluster is blocked on %v, want the moment %s", got.Clusters, got.Hold.Until)
		}
	}
	hold.Cause, hold.Fingerprint = placement.HoldShare, "g"
	w.decide(w.stack, &hold)
	if got := answer[told](w, asOwner, "GET", "/stacks/"+string(w.stack.ID)+"/placement", ""); got.Hold == nil || got.Hold.Until != nil {
		t.Errorf("held for its share: %+v, want until an approval", got.Hold)
	}
}

// A plan counts what was promised of a cluster and is not in its status yet, and what it promises itself: there is no room for a
// second stack, nor for two of a plan where there is room for one.
func TestPlanKnowsWhatIsPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	status := cluster.Status{Nodes: 1, ReadyNodes: 1, Allocatable: cluster.Resources{CPU: 4000}}
	says := func(at time.Time) {
		_, err := w.store.Clusters().Report(t.Context(), w.agent.ID, status, at)
		must(t, err)
	}
	says(time.Now())
	w.ok(asAdmin, request{method: "PUT", path: "/agents/" + string(w.agent.ID), body: `{"status":"ACTIVE"}`}) // to another one nothing new comes
	big := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"big","requires":{"cpu":3},"strategy":{"count":{"min":1,"max":1}}}`)
	first, second := w.newStack("first"), w.newStack("second")
	w.publish(first)
	w.publish(second)
	plan := func(s stack.Stack) foretoldAnswer {
		return answer[foretoldAnswer](w, asOwner, "POST", "/placement/plan", `{"attach":{"stack_id":"`+string(s.ID)+`","policy_id":"`+big.ID+`"}}`)
	}
	attach := func(s stack.Stack) (gains int, unmet bool) {
		got := plan(s)
		for _, x := range got.Stacks {
			if x.StackName == s.Name {
				gains, unmet = len(x.Gains), x.Unmet != nil
			}
		}
		return gains, unmet
	}
	if gains, unmet := attach(first); gains != 1 || unmet {
		t.Fatalf("three of four free cores: gains %d, unmet %t; want the cluster", gains, unmet)
	}
	w.ok(asOwner, request{method: "PUT", path: "/stacks/" + string(first.ID) + "/placement-policy", body: `{"policy_id":"` + big.ID + `"}`})
	unmet := 0
	got := plan(second)
	for _, x := range got.Stacks {
		if x.Unmet != nil {
			unmet++
		}
	}
	if unmet != 1 {
		t.Errorf("two stacks with three cores each where there are four: %+v, want one of them, whichever, without a cluster", got.Stacks)
	}
	w.decide(first, nil, w.agent)
	if gains, unmet := attach(second); gains != 0 || !unmet {
		t.Errorf("three of the four cores are promised: gains %d, unmet %t; want no room", gains, unmet)
	}
	status.KubernetesVersion = "v1.36.3"
	says(time.Now()) // something else is news, and there are no pods yet
	if gains, unmet := attach(second); gains != 0 || !unmet {
		t.Errorf("the cluster told at once: gains %d, unmet %t; want no room", gains, unmet)
	}
	status.KubernetesVersion = "v1.36.4"
	says(time.Now().Add(placement.Settling)) // it has looked since, and the first stack asks for nothing after all
	if gains, unmet := attach(second); gains != 1 || unmet {
		t.Errorf("the cluster has told since: gains %d, unmet %t; want the cluster", gains, unmet)
	}
}
