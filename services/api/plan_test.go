package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/services/api"
)

type planAnswer struct {
	ID     string `json:"id"`
	Stacks []struct {
		StackName string `json:"stack_name"`
		Gains     []struct {
			AgentName string `json:"agent_name"`
			Reason    string `json:"reason"`
		} `json:"gains"`
		Loses []struct {
			AgentName string `json:"agent_name"`
			Reason    string `json:"reason"`
		} `json:"loses"`
		Stays int `json:"stays"`
	} `json:"stacks"`
	Unchanged int `json:"unchanged"`
}

// A plan tells what a change would come to, and changes nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	label := `{"agents":[{"agent_id":"` + string(w.agent.ID) + `","add_labels":["tier/web"]}]}`
	before, entries := w.end(), len(w.entries())
	got := answer[planAnswer](w, asOwner, "POST", "/placement/plan", label)
	if len(got.Stacks) != 1 || got.Stacks[0].StackName != "held" || len(got.Stacks[0].Gains) != 1 || got.Stacks[0].Gains[0].AgentName != "a1" || got.Stacks[0].Gains[0].Reason == "" {
		t.Fatalf("a label that the stacks share: got %+v, want that held comes to a1", got)
	}
	if events := w.since(before); len(events) != 0 || len(w.entries()) != entries {
		t.Errorf("the plan wrote %+v", events)
	}
	if again := answer[planAnswer](w, asOwner, "POST", "/placement/plan", label); again.ID != got.ID {
		t.Errorf("the same plan again has the id %s, want %s", again.ID, got.ID)
	}
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/labels/tier%2Fweb"})
	if moved := answer[planAnswer](w, asOwner, "POST", "/placement/plan", label); moved.ID == got.ID || len(moved.Stacks) != 0 {
		t.Errorf("after the world moved: got %+v, want another plan, without a change", moved)
	}
	for name, body := range map[string]string{
		"nothing": `{}`, "no such effect": `{"agents":[{"agent_id":"` + string(w.agent.ID) + `","add_taints":[{"key":"k","effect":"Burn"}]}]}`,
	} {
		rec := w.do(asOwner, request{method: "POST", path: "/placement/plan", body: body})
		if rec.Code != http.StatusBadRequest || (code(t, rec) != "invalid_plan" && code(t, rec) != "invalid_taint") {
			t.Errorf("%s: got %d %s", name, rec.Code, rec.Body)
		}
	}
	w.refused(asOwner, request{method: "POST", path: "/placement/plan", body: `{"agents":[{"agent_id":"` + string(w.otherAgent.ID) + `","drain":true}]}`}, http.StatusNotFound, "agent_not_found")
	w.refused(asOther, request{method: "POST", path: "/placement/plan", body: `{"attach":{"stack_id":"` + string(w.stack.ID) + `","policy_id":"` + string(w.policy().ID) + `"}}`}, http.StatusNotFound, "stack_not_found")
}

// What a plan lacks tells a generator nothing of clusters that it may not see, not even how many there are.
func TestAPlanDoesNotCountHiddenClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/placement/plan"
	policy := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"many","strategy":{"count":{"min":3,"max":3}}}`)
	ask := func() string {
		rec := w.ok(asOwner, request{method: "POST", path: path, body: `{"attach":{"stack_id":"` + string(w.stack.ID) + `","policy_id":"` + policy.ID + `"}}`})
		if !strings.Contains(rec.Body.String(), `"wanted":3`) {
			t.Fatalf("got %s, want it to say that clusters are lacking", rec.Body)
		}
		return rec.Body.String()
	}
	before := ask()
	for i := range 5 {
		w.newAgentOf("hidden-"+string(rune('a'+i)), "hidden agent", w.other)
	}
	if after := ask(); after != before {
		t.Errorf("five clusters of others change what the owner is told:\n%s\n%s", before, after)
	}
}

// A policy is stored under a plan only as long as it comes to what the plan says.
func TestPolicyUnderAPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/placement-policies/" + string(w.policy().ID)
	document := `{"name":"eu","clusters":{"labels":["prod"]}}`
	plan := answer[planAnswer](w, asOwner, "POST", "/placement/plan", `{"policy":{"policy_id":"`+string(w.policyID)+`","document":`+document+`}}`)
	w.refused(asOwner, request{method: "PUT", path: path + "?plan=" + plan.ID, body: `{"name":"eu","clusters":{"labels":["other"]}}`}, http.StatusConflict, "plan_outdated")
	typed := request{method: "PUT", path: path + "?plan=" + plan.ID, body: "# the same\nclusters: {labels: [prod]}\nname: eu\n", contentType: "application/yaml"}
	if got := decode[policyAnswer](t, w.ok(asOwner, typed)); got.Revision != 2 {
		t.Errorf("under its plan: revision %d, want 2", got.Revision)
	}
	next := `{"name":"eu","clusters":{"labels":["nobody-has-it"]}}`
	moved := answer[planAnswer](w, asOwner, "POST", "/placement/plan", `{"policy":{"policy_id":"`+string(w.policyID)+`","document":`+next+`}}`)
	if len(moved.Stacks) == 0 || moved.Stacks[0].StackName != "held" || len(moved.Stacks[0].Loses) != 1 || moved.Stacks[0].Loses[0].AgentName != "a1" || !strings.Contains(moved.Stacks[0].Loses[0].Reason, "nobody-has-it") {
		t.Errorf("a policy that no cluster fits: got %+v, want that held leaves a1 because of the label", moved)
	}
	w.ok(asAdmin, request{method: "POST", path: "/agents/" + string(w.agent.ID) + "/labels", body: `{"agent_id":"` + string(w.agent.ID) + `","label":"nobody-has-it"}`})
	w.refused(asOwner, request{method: "PUT", path: path + "?plan=" + moved.ID, body: next}, http.StatusConflict, "plan_outdated")
	if got := answer[policyAnswer](w, asOwner, "GET", path, ""); got.Revision != 2 {
		t.Errorf("after the world has moved the plan is applied: revision %d, want 2", got.Revision)
	}
	fresh := answer[planAnswer](w, asOwner, "POST", "/placement/plan", `{"policy":{"policy_id":"`+string(w.policyID)+`","document":`+next+`}}`)
	w.ok(asOwner, request{method: "PUT", path: path + "?plan=" + fresh.ID, body: next})
}

// A plan tells of each change that a cluster can see, and of what takes its place where something does.
func TestPlanOfClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	policy := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"p","clusters":{"labels":["prod"],"annotations":{"region":"eu"}},"strategy":{"count":{"min":1,"max":1}},"failover":{"enabled":true,"unreachable_after":"1m"}}`)
	w.ok(asOwner, request{method: "PUT", path: "/stacks/" + string(w.stack.ID) + "/placement-policy", body: `{"policy_id":"` + policy.ID + `"}`})
	w.ok(asAdmin, request{method: "DELETE", path: "/agents/" + string(w.agent.ID) + "/targets/" + string(w.stack.ID)})
	spare := w.newAgentOf("spare", "spare agent", w.owner)
	w.ok(asAdmin, request{method: "PUT", path: "/agents/" + string(spare.ID), body: `{"status":"ACTIVE"}`})
	id := `"agent_id":"` + string(w.agent.ID) + `"`
	for _, free := range []bool{false, true} { // whether the spare one may be used
		act := "/cordon"
		if free {
			act = "/uncordon"
		}
		w.ok(asAdmin, request{method: "POST", path: "/agents/" + string(spare.ID) + act})
		for change, tc := range map[string]struct {
			agents string
			leaves string // why it leaves a1 in any case
			moves  string // why it leaves a1 where another cluster takes it
		}{
			"label":          {`{` + id + `,"remove_labels":["prod"]}`, `no label "prod"`, ""},
			"annotation":     {`{` + id + `,"set_annotations":{"region":"us"}}`, "region=eu", ""},
			"no annotation":  {`{` + id + `,"remove_annotations":["region"]}`, "region=eu", ""},
			"evicting taint": {`{` + id + `,"add_taints":[{"key":"disks","value":"old","effect":"Evict"}]}`, "disks=old", ""},
			"drain":          {`{` + id + `,"drain":true}`, "drained", ""},
			"loss":           {`{` + id + `,"lost":true}`, "", "leaves for another cluster"},
			"a taint":        {`{` + id + `,"add_taints":[{"key":"disks","effect":"NoPlace"}]}`, "", ""},
			"a cordon":       {`{` + id + `,"cordon":true}`, "", ""},
		} {
			loses, gains := tc.leaves, ""
			if free && loses == "" {
				loses = tc.moves
			}
			if free && loses != "" {
				gains = "spare"
			}
			got := answer[planAnswer](w, asOperator, "POST", "/placement/plan", `{"agents":[`+tc.agents+`]}`)
			reason, gained := "", ""
			for _, s := range got.Stacks {
				for _, c := range s.Loses {
					if s.StackName == "web" && c.AgentName == "a1" {
						reason = c.Reason
					}
				}
				for _, c := range s.Gains {
					gained += c.AgentName
				}
			}
			if (reason == "") != (loses == "") || !strings.Contains(reason, loses) || gained != gains {
				t.Errorf("%s, the spare one free: %t: leaves a1 because of %q, gains %q; want %q and %q", change, free, reason, gained, loses, gains)
			}
		}
	}
}

// A plan foretells holds by the scheduler's own brake.
func TestPlanKnowsTheBrake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	type held struct {
		Stacks []struct {
			StackName string `json:"stack_name"`
			Hold      *struct {
				Reason string `json:"reason"`
			} `json:"hold"`
		} `json:"stacks"`
	}
	drain := `{"agents":[{"agent_id":"` + string(w.agent.ID) + `","drain":true}]}`
	of := func() string {
		for _, s := range answer[held](w, asOwner, "POST", "/placement/plan", drain).Stacks {
			if s.StackName == "web" && s.Hold != nil {
				return s.Hold.Reason
			}
		}
		return ""
	}
	if got := of(); got != "" {
		t.Errorf("with the usual brake one removal is held: %s", got)
	}
	store, ok := w.store.(*memory.Store)
	if !ok {
		t.Fatalf("the world's store is a %T", w.store)
	}
	w.handler = w.handlerOf(store, func(d *api.Deps) { d.Brake = api.BrakeOf(0.5, 1, 10, time.Minute) })
	if got := of(); !strings.Contains(got, "more than 50 %") {
		t.Errorf("with a brake at one removal: held by %q, want by a share of 50 %%", got)
	}
}
