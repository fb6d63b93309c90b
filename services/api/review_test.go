package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/api"
)

// warnedAnswer is what answers with warnings have in common.
type warnedAnswer struct {
	ID       string `json:"id"`
	Warnings []struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	} `json:"warnings"`
}

// warned returns the warnings of an answer as "path: message".
func warned(p warnedAnswer) []string {
	var out []string
	for _, w := range p.Warnings {
		out = append(out, w.Path+": "+w.Message)
	}
	return out
}

// What a policy asks for and the fleet does not have is told when it is written, and by a plan. What belongs to others is
// told apart from what is not there by nobody, not even for staff.
func TestPoliciesAreReviewedAgainstTheFleet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	_, err := w.store.Clusters().Report(t.Context(), w.agent.ID, cluster.Status{KubernetesVersion: "v1.30.0", Nodes: 1, ReadyNodes: 1,
		Allocatable: cluster.Resources{CPU: 4000, Memory: 8 << 30, Pods: 110}}, time.Now().UTC())
	must(t, err)
	_, err = api.CreateStack(t.Context(), w.store, time.Now, api.NewStack{Name: "of-another", Generator: "other"})
	must(t, err)
	unknown := uuid.NewString()
	for reason, tc := range map[string]struct {
		document string
		want     []string
	}{
		"nothing is missing": {`{"name":"p","clusters":{"labels":["prod"],"annotations":{"region":"eu"}},"requires":{"cpu":"4"},"depends_on":[{"stack":"web"}],"strategy":{"fixed":["` + string(w.agent.ID) + `"]}}`, nil},
		"a label":            {`{"name":"p","clusters":{"labels":["prod","gpu"]}}`, []string{`clusters.labels[1]: none of the 1 clusters that the generator may use has the label "gpu"`}},
		"a version":          {`{"name":"p","clusters":{"expressions":[{"key":"kubernetes.version","operator":">","values":["1.31"]}]}}`, []string{"clusters.expressions[0]: kubernetes.version > 1.31 holds in none of the 1 clusters that the generator may use"}},
		"capacity":           {`{"name":"p","requires":{"cpu":"8","memory":"4Gi"}}`, []string{"requires.cpu: 8 is more than any cluster that fits can allocate (4 at most)"}},
		"more clusters":      {`{"name":"p","strategy":{"count":{"min":2,"max":3}}}`, []string{"strategy.count.min: 2 are asked for, and only 1 of the 1 clusters that the generator may use fit"}},
		"agents that are not there, and those of others": {`{"name":"p","strategy":{"fixed":["` + unknown + `","` + string(w.otherAgent.ID) + `"]}}`,
			[]string{"strategy.fixed[0]: no agent with this id has an approved registration with the generator", "strategy.fixed[1]: no agent with this id has an approved registration with the generator"}},
		"stacks that are not there, and those of others": {`{"name":"p","affinity":{"with_stacks":["none","web"]},"depends_on":[{"stack":"of-another"}]}`,
			[]string{`affinity.with_stacks[0]: the generator has no stack "none"`, `depends_on[0].stack: the generator has no stack "of-another"`}},
		"a cluster of others": {`{"name":"p","clusters":{"expressions":[{"key":"cluster.name","operator":"In","values":["c-a1","c-a2"]}]}}`,
			[]string{`clusters.expressions[0].values[1]: no cluster that the generator may use has the cluster.name "c-a2"`}},
	} {
		for as, query := range map[string]string{asOwner: "", asAdmin: "?generator_id=" + string(w.owner.ID)} {
			made := answer[warnedAnswer](w, as, "POST", "/placement-policies"+query, tc.document)
			if diff := cmp.Diff(tc.want, warned(made)); diff != "" {
				t.Errorf("%s, as %s (-want +got):\n%s", reason, as, diff)
			}
			again := answer[warnedAnswer](w, as, "PUT", "/placement-policies/"+made.ID, tc.document)
			plan := answer[warnedAnswer](w, as, "POST", "/placement/plan", `{"policy":{"policy_id":"`+made.ID+`","document":`+tc.document+`}}`)
			attached := answer[warnedAnswer](w, as, "PUT", "/stacks/"+string(w.held.ID)+"/placement-policy", `{"policy_id":"`+made.ID+`"}`)
			if diff := cmp.Diff([][]string{tc.want, tc.want, tc.want}, [][]string{warned(again), warned(plan), warned(attached)}); diff != "" {
				t.Errorf("%s, as %s, written again, planned and attached (-want +got):\n%s", reason, as, diff)
			}
			w.ok(as, request{method: "DELETE", path: "/placement-policies/" + made.ID + "?detach=true"})
		}
	}
	w.ok(asAdmin, request{method: "DELETE", path: "/agents/" + string(w.agent.ID)})
	got := answer[warnedAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"p","clusters":{"labels":["prod"]}}`)
	if want := []string{": no agent has an approved registration with the generator, so that no cluster fits"}; !slices.Equal(warned(got), want) {
		t.Errorf("without an agent: got %q, want %q", warned(got), want)
	}
}

// Stacks that would wait for one another for ever are refused wherever that would come to be, and nothing is written.
func TestDependencyCyclesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	depends := func(name, on string) policyAnswer {
		t.Helper()
		return answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"`+name+`","depends_on":[{"stack":"`+on+`"}]}`)
	}
	attach := func(s stack.Stack, p policyAnswer) request {
		return request{method: "PUT", path: "/stacks/" + string(s.ID) + "/placement-policy", body: `{"policy_id":"` + p.ID + `"}`}
	}
	before := w.end()
	refused := func(what string, q request, cycle ...string) {
		t.Helper()
		rec := w.checked(asOwner, q)
		var got struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Details struct {
				Cycle []string `json:"cycle"`
			} `json:"details"`
		}
		must(t, json.Unmarshal(rec.Body.Bytes(), &got))
		if rec.Code != http.StatusUnprocessableEntity || got.Code != "dependency_cycle" || !slices.Equal(got.Details.Cycle, cycle) || !strings.Contains(got.Message, strings.Join(cycle, " -> ")) {
			t.Errorf("%s: got %d %s, want 422 dependency_cycle with %v", what, rec.Code, rec.Body, cycle)
		}
		if events := w.since(before); len(events) != 0 {
			t.Errorf("%s: the refused call has written %+v", what, events)
		}
	}
	onHeld, onWeb, onUnpinned := depends("on-held", "held"), depends("on-web", "web"), depends("on-unpinned", "unpinned")
	w.ok(asOwner, attach(w.stack, onHeld)) // web -> held
	before = w.end()
	refused("of itself", attach(w.unpinned, onUnpinned), "unpinned", "unpinned")
	refused("of two", attach(w.held, onWeb), "held", "web", "held")
	refused("of two, as a plan", request{method: "POST", path: "/placement/plan", body: `{"attach":{"stack_id":"` + string(w.held.ID) + `","policy_id":"` + onWeb.ID + `"}}`}, "held", "web", "held")

	w.ok(asOwner, attach(w.held, onUnpinned)) // web -> held -> unpinned
	before = w.end()
	revise := `{"name":"on-unpinned","depends_on":[{"stack":"web"}]}`
	refused("by a revision", request{method: "PUT", path: "/placement-policies/" + onUnpinned.ID, body: revise}, "held", "web", "held")
	refused("by a planned revision", request{method: "POST", path: "/placement/plan", body: `{"policy":{"policy_id":"` + onUnpinned.ID + `","document":` + revise + `}}`}, "held", "web", "held")
	if got := answer[policyAnswer](w, asOwner, "GET", "/placement-policies/"+onUnpinned.ID, ""); got.Revision != 1 {
		t.Errorf("after a refused revision: revision %d, want 1", got.Revision)
	}

	labelPath := "/placement-policies/" + onWeb.ID + "/stack-labels/slow"
	label := request{method: "POST", path: "/stacks/" + string(w.unpinned.ID) + "/labels", body: `"slow"`}
	w.ok(asOwner, request{method: "PUT", path: labelPath})
	before = w.end()
	refused("by a stack's label", label, "unpinned", "web", "held", "unpinned")
	w.ok(asOwner, request{method: "DELETE", path: labelPath})
	w.ok(asOwner, label)
	before = w.end()
	refused("by attaching to a label", request{method: "PUT", path: labelPath}, "unpinned", "web", "held", "unpinned")

	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.unpinned.ID) + "/labels/slow"})
	with := func(name string, stacks ...string) policyAnswer {
		t.Helper()
		return answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"`+name+`","affinity":{"with_stacks":["`+strings.Join(stacks, `","`)+`"]}}`)
	}
	withWeb, withOne, withBoth := with("with-web", "web"), with("with-one", "late"), with("with-both", "late", "unpinned")
	before = w.end()
	refused("to be with one that waits", attach(w.unpinned, withWeb), "unpinned", "web", "held", "unpinned")
	late := w.newStack("late")
	w.ok(asOwner, attach(late, withOne)) // with itself, which is nothing
	w.ok(asOwner, attach(w.unpinned, withOne))
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.unpinned.ID) + "/placement-policy"})
	w.ok(asOwner, attach(late, withBoth)) // with itself and another
	before = w.end()
	refused("of two with each other", attach(w.unpinned, withOne), "unpinned", "late", "unpinned")
	refused("of two that share a policy", attach(w.unpinned, withBoth), "unpinned", "late", "unpinned")
	w.ok(asOwner, attach(late, withOne))
	w.ok(asOwner, attach(w.unpinned, withOne))
	before = w.end()
	refused("of two with each other by a revision", request{method: "PUT", path: "/placement-policies/" + withOne.ID,
		body: `{"name":"with-one","affinity":{"with_stacks":["late","unpinned"]}}`}, "unpinned", "late", "unpinned")
	refused("of two with each other by a planned revision", request{method: "POST", path: "/placement/plan",
		body: `{"policy":{"policy_id":"` + withOne.ID + `","document":{"name":"with-one","affinity":{"with_stacks":["late","unpinned"]}}}}`}, "unpinned", "late", "unpinned")
	w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.unpinned.ID) + "/placement-policy"})

	w.ok(asOwner, attach(late, onWeb))
	onGhost := depends("on-ghost", "ghost")
	w.ok(asOwner, attach(w.unpinned, onGhost)) // late -> web -> held -> unpinned -> ghost, which is not there
	before = w.end()
	rename := func(name string) request {
		return request{method: "PUT", path: "/stacks/" + string(late.ID), body: `{"name":"` + name + `"}`}
	}
	refused("by another name", rename("ghost"), "ghost", "web", "held", "unpinned", "ghost")
	w.ok(asOwner, rename("later"))

	// Names are those of one generator.
	foreign, err := api.CreateStack(t.Context(), w.store, time.Now, api.NewStack{Name: "ghost", Generator: "other"})
	must(t, err)
	theirs := answer[policyAnswer](w, asOther, "POST", "/placement-policies", `{"name":"theirs","depends_on":[{"stack":"web"}]}`)
	w.ok(asOther, attach(foreign, theirs))
}

// The load of a cluster is that of all who use it, as decisions have it, and of the generator's own clusters alone; a warning about it
// names nobody's stacks.
func TestTheLoadIsThatOfOwnClusters(t *testing.T) {
	t.Parallel()
	store := memory.New(time.Now)
	w := newWorldOf(t, loadContract(t), api.Config{}, store)
	foreign, err := api.CreateStack(t.Context(), w.store, time.Now, api.NewStack{Name: "canary", Generator: "other"})
	must(t, err)
	warnings := func(as, least string) string {
		t.Helper()
		fresh := *w
		fresh.handler = w.handlerOf(store) // a replica that has not looked yet
		made := answer[warnedAnswer](&fresh, as, "POST", "/placement-policies", `{"name":"p","clusters":{"expressions":[{"key":"load","operator":">=","values":["`+least+`"]}]}}`)
		w.ok(as, request{method: "DELETE", path: "/placement-policies/" + made.ID})
		return strings.Join(warned(made), "; ")
	}
	const none = "clusters.expressions[0]: load >= 3 holds in none of the 1 clusters that the generator may use"
	if got := warnings(asOwner, "2"); got != "" {
		t.Errorf("two of its own stacks are there: got %q, want no warning", got)
	}
	if got := warnings(asOwner, "3"); got != none {
		t.Errorf("before another's stack came: got %q, want %q", got, none)
	}
	w.publish(foreign)
	w.decide(foreign, nil, w.otherAgent)
	if got := warnings(asOwner, "3"); got != none {
		t.Errorf("another's stack on another's cluster: got %q, want %q", got, none)
	}
	w.decide(foreign, nil, w.agent)
	if got := warnings(asOwner, "3"); got != "" {
		t.Errorf("another's stack on its cluster: got %q, want no warning", got)
	}
	if got := warnings(asOwner, "4"); strings.Contains(got, "canary") || !strings.Contains(got, "load >= 4") {
		t.Errorf("beyond: got %q, want the warning, which names no stack", got)
	}
}

// An expression that does not compile, has no truth value or may cost too much is refused with its place.
func TestExpressionsOfPoliciesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	expressions, err := cel.New()
	must(t, err)
	store, ok := w.store.(*memory.Store)
	if !ok {
		t.Fatalf("the world's store is a %T", w.store)
	}
	w.handler = w.handlerOf(store, func(d *api.Deps) { d.CEL = expressions.Compile })
	stored := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"stored"}`)
	for reason, expression := range map[string]string{
		"does not compile":  "cluster.nodes.ready >=",
		"unknown field":     "cluster.weather == 'fine'",
		"no truth value":    "cluster.nodes.ready + 1",
		"may cost too much": "cluster.labels.all(a, cluster.labels.all(b, cluster.labels.all(c, cluster.labels.all(d, a + b + c + d != ''))))",
	} {
		for path, document := range map[string]string{
			"clusters.cel": `{"name":"p","clusters":{"cel":"` + expression + `"}}`, "rollout.waves[0].clusters.any[0].cel": `{"name":"p","rollout":{"waves":[{"name":"w","clusters":{"any":[{"cel":"` + expression + `"}]}}]}}`,
		} {
			for _, q := range []request{
				{method: "POST", path: "/placement-policies", body: document},
				{method: "PUT", path: "/placement-policies/" + stored.ID, body: document},
				{method: "POST", path: "/placement/plan", body: `{"policy":{"policy_id":"` + stored.ID + `","document":` + document + `}}`},
			} {
				rec := w.do(asOwner, q)
				if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_policy" || !strings.Contains(rec.Body.String(), `"path":"`+path+`"`) {
					t.Errorf("%s %s: %s at %s: got %d %s, want 400 invalid_policy with the place", q.method, q.path, reason, path, rec.Code, rec.Body)
				}
			}
		}
	}
	if got := answer[policyAnswer](w, asOwner, "GET", "/placement-policies/"+stored.ID, ""); got.Revision != 1 || got.Name != "stored" {
		t.Errorf("after refused revisions: %+v, want revision 1 still", got)
	}
	for expression, want := range map[string][]string{
		"cluster.name == 'c-a1'":  nil,
		"cluster.name == 'c-a2'":  {"clusters.cel: cluster.name == 'c-a2' holds in none of the 1 clusters that the generator may use"},
		"cluster.load > 0":        nil,
		"cluster.nodes.ready > 3": {"clusters.cel: whether cluster.nodes.ready > 3 holds is known of none of the 1 clusters that the generator may use"},
	} {
		got := answer[warnedAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"p","clusters":{"cel":"`+expression+`"}}`)
		if diff := cmp.Diff(want, warned(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expression, diff)
		}
		w.ok(asOwner, request{method: "DELETE", path: "/placement-policies/" + got.ID})
	}
}
