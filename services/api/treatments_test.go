package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type treated struct {
	Treatment struct {
		Prune          string   `json:"prune"`
		PruneAdopted   bool     `json:"prune_adopted"`
		PruneProtected bool     `json:"prune_protected"`
		Adopt          string   `json:"adopt"`
		Drift          string   `json:"drift"`
		IgnorePaths    []string `json:"ignore_paths"`
		ServiceAccount string   `json:"service_account"`
		HealthRules    []string `json:"health_rules"`
	} `json:"treatment"`
}

func (t treated) treatment() stack.Treatment {
	x := t.Treatment
	return stack.Treatment{Prune: x.Prune, PruneAdopted: x.PruneAdopted, PruneProtected: x.PruneProtected, Adopt: x.Adopt, Drift: x.Drift,
		IgnorePaths: x.IgnorePaths, ServiceAccount: x.ServiceAccount, HealthRules: x.HealthRules}
}

func TestTreatmentOfAStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID)
	see := func() stack.Treatment {
		return decode[treated](t, w.ok(asOwner, request{method: "GET", path: path})).treatment()
	}
	defaults := stack.Treatment{Prune: "delete", Adopt: "always", Drift: "correct", IgnorePaths: []string{}, HealthRules: []string{}}
	if diff := cmp.Diff(defaults, see()); diff != "" {
		t.Errorf("by default (-want +got):\n%s", diff)
	}
	before := w.end()
	const all = `{"prune":"orphan","prune_adopted":true,"prune_protected":true,"adopt":"never","drift":"report","ignore_paths":["/spec/replicas"],"service_account":"shop/deployer","health_rules":["Gadget.example.com=object.status.ok ? 'healthy' : 'failing: no'"]}`
	w.ok(asOwner, request{method: "PUT", path: path, body: `{"treatment":` + all + `}`})
	want := stack.Treatment{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
		IgnorePaths: []string{"/spec/replicas"}, ServiceAccount: "shop/deployer",
		HealthRules: []string{"Gadget.example.com=object.status.ok ? 'healthy' : 'failing: no'"}}
	if diff := cmp.Diff(want, see()); diff != "" {
		t.Errorf("as it was set (-want +got):\n%s", diff)
	}
	if events := w.since(before); len(events) != 1 || events[0].Type != event.StackChanged || events[0].Stack != w.stack.ID {
		t.Errorf("events %+v, want one that the scheduler hears", events)
	}
	stored, err := w.store.Stacks().Get(t.Context(), tenancy.Everything(), w.stack.ID)
	must(t, err)
	if stored.Version == w.stack.Version || !stored.Treatment.Equal(want) {
		t.Errorf("stored: %+v, want a new version with the treatment", stored)
	}
	w.ok(asOwner, request{method: "PUT", path: path, body: `{"description":"of published clients, which know no treatment"}`})
	if diff := cmp.Diff(want, see()); diff != "" {
		t.Errorf("after a PUT that says nothing of it (-want +got):\n%s", diff)
	}
	w.ok(asOwner, request{method: "PUT", path: path, body: `{"treatment":{"drift":"ignore"}}`})
	if diff := cmp.Diff(stack.Treatment{Prune: "delete", Adopt: "always", Drift: "ignore", IgnorePaths: []string{}, HealthRules: []string{}}, see()); diff != "" {
		t.Errorf("it is replaced as a whole (-want +got):\n%s", diff)
	}
	w.ok(asOwner, request{method: "PUT", path: path, body: `{"treatment":null}`})
	if diff := cmp.Diff(defaults, see()); diff != "" {
		t.Errorf("after null (-want +got):\n%s", diff)
	}
	made := decode[treated](t, w.ok(asOwner, request{method: "POST", path: "/stacks", body: `{"name":"treated","treatment":` + all + `}`}))
	if diff := cmp.Diff(want, made.treatment()); diff != "" {
		t.Errorf("of a new stack (-want +got):\n%s", diff)
	}
}

func TestTreatmentIfMatchAndOwnership(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID)
	old := etag(t, w, path)
	put := func(as, match string) *http.Response {
		return w.checked(as, request{method: "PUT", path: path, body: `{"treatment":{"prune":"orphan"}}`, header: map[string]string{"If-Match": match}}).Result()
	}
	if got := put(asOther, old).StatusCode; got != http.StatusNotFound {
		t.Errorf("another generator: got %d, want 404", got)
	}
	if got := put(asOwner, old).StatusCode; got != http.StatusOK {
		t.Errorf("with the state that was seen: got %d, want 200", got)
	}
	if etag(t, w, path) == old {
		t.Error("the ETag does not tell treatments apart")
	}
	if got := put(asOwner, old).StatusCode; got != http.StatusPreconditionFailed {
		t.Errorf("with a former state: got %d, want 412", got)
	}
}

func TestWhatIsWrongWithATreatmentIsSaidWithItsPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	path := "/stacks/" + string(w.stack.ID)
	before := w.end()
	for body, want := range map[string]string{
		`{"prune":"keep"}`:                        `treatment.prune is \"keep\", not delete or orphan`,
		`{"drfit":"report"}`:                      "treatment.drfit is not known",
		`{"prune_adopted":"yes"}`:                 "treatment.prune_adopted must be true or false, not string",
		`{"ignore_paths":"/spec"}`:                "treatment.ignore_paths must be a list of texts, not string",
		`{"ignore_paths":["/spec",7]}`:            "treatment.ignore_paths must be a text, not number",
		`{"ignore_paths":["/a","b"]}`:             `treatment.ignore_paths[1] is \"b\", no JSON pointer`,
		`{"service_account":"x"}`:                 `treatment.service_account is \"x\", not namespace/name`,
		`{"prune":"a","adopt":"b"}`:               "(and 1 more problems)",
		`["orphan"]`:                              "treatment must be an object, not array",
		`{"ignore_paths":["/metadata/name"]}`:     "what it is",
		`{"health_rules":["Gadget.example.com"]}`: `treatment.health_rules[0] is \"Gadget.example.com\", not Kind.group=expression`,
		`{"health_rules":["A.example.com='healthy'","Deployment.apps='healthy'"]}`:                                             `treatment.health_rules[1] is about \"Deployment.apps\"`,
		`{"health_rules":["A.example.com=object.status.ok"," B.example.com=object.phase ="]}`:                                  `treatment.health_rules[1] for B.example.com cannot be used: 1:14: Syntax error`,
		`{"health_rules":["A.example.com=1 == 1"]}`:                                                                            `treatment.health_rules[0] for A.example.com cannot be used: it is of type bool, not a text`,
		`{"health_rules":["A.example.com=object.spec.on ? 'healthy' : 'Broken'"]}`:                                             `cannot be used: 1:30: it gives \"Broken\"`,
		`{"health_rules":["A.example.com=status.phase"]}`:                                                                      `undeclared reference to 'status'`,
		`{"health_rules":["A.example.com='healthy'","A.example.com='failing'"]}`:                                               `treatment.health_rules[1] is a second rule for A.example.com`,
		`{"health_rules":["A.example.com=object.a.all(x, object.b.all(y, object.c.all(z, x+y!=z))) ? 'healthy' : 'failing'"]}`: `it may cost`,
	} {
		for _, q := range []request{
			{method: "PUT", path: path, body: `{"treatment":` + body + `}`},
			{method: "POST", path: "/stacks", body: `{"name":"wrong","treatment":` + body + `}`},
		} {
			rec := w.do(asOwner, q)
			if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_treatment" || !strings.Contains(rec.Body.String(), want) || !strings.Contains(rec.Body.String(), `"path":"treatment`) {
				t.Errorf("%s %s: got %d %s, want 400 invalid_treatment with %q", q.method, body, rec.Code, rec.Body, want)
			}
		}
	}
	if events := w.since(before); len(events) != 0 {
		t.Errorf("what was refused wrote %v", events)
	}
}

// What reads no expressions refuses them: it must not keep what no agent could use.
func TestHealthRulesAreRefusedWhereNobodyReadsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	store, ok := w.store.(*memory.Store)
	if !ok {
		t.Fatalf("the world's store is a %T", w.store)
	}
	w.handler = w.handlerOf(store)
	rec := w.do(asOwner, request{method: "PUT", path: "/stacks/" + string(w.stack.ID), body: `{"treatment":{"health_rules":["A.example.com='healthy'"]}}`})
	if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_treatment" || !strings.Contains(rec.Body.String(), "are not read here") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}
