package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type policyAnswer struct {
	ID          string          `json:"id"`
	GeneratorID string          `json:"generator_id"`
	Name        string          `json:"name"`
	Revision    int             `json:"revision"`
	Document    json.RawMessage `json:"document"`
	Stacks      int             `json:"stacks"`
	StackLabels []string        `json:"stack_labels"`
	Warnings    []struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	} `json:"warnings"`
}

type reachAnswer struct {
	PolicyID string  `json:"policy_id"`
	Name     string  `json:"name"`
	Revision int     `json:"revision"`
	By       string  `json:"by"`
	Label    *string `json:"stack_label"`
}

const policyYAML = `# where the web lives
name: web-eu
clusters:
  labels: [prod]
strategy: {type: count, count: {min: 1, max: 2}}
stickiness: {min_dwell: 10m}
`

func TestPolicyRevisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	rec := w.checked(asOwner, request{method: "POST", path: "/placement-policies", body: policyYAML, contentType: "application/yaml"})
	first := decode[policyAnswer](t, rec)
	if rec.Code != http.StatusCreated || first.Name != "web-eu" || first.Revision != 1 || first.GeneratorID != string(w.owner.ID) || first.Warnings == nil {
		t.Fatalf("made of YAML: got %d %s", rec.Code, rec.Body)
	}
	path := "/placement-policies/" + first.ID
	tag := etag(t, w, path)
	again := w.checked(asOwner, request{method: "PUT", path: path, body: string(first.Document), header: map[string]string{"If-Match": tag}})
	if got := decode[policyAnswer](t, again); again.Code != http.StatusOK || got.Revision != 1 {
		t.Errorf("the same document as JSON: got %d %s, want revision 1 still", again.Code, again.Body)
	}
	before := w.end()
	changed := strings.Replace(policyYAML, "max: 2", "max: 3", 1)
	rec = w.checked(asOwner, request{method: "PUT", path: path, body: changed, contentType: "application/yaml", header: map[string]string{"If-Match": tag}})
	if got := decode[policyAnswer](t, rec); rec.Code != http.StatusOK || got.Revision != 2 || !strings.Contains(string(got.Document), `"max":3`) {
		t.Errorf("a changed document: got %d %s, want revision 2", rec.Code, rec.Body)
	}
	if events := w.since(before); len(events) != 1 || events[0].Type != event.PolicyChanged || events[0].Generator != w.owner.ID || events[0].Data["policy_id"] != first.ID {
		t.Errorf("events %+v, want one of the change", events)
	}
	w.refused(asOwner, request{method: "PUT", path: path, body: policyYAML, contentType: "application/yaml", header: map[string]string{"If-Match": tag}},
		http.StatusPreconditionFailed, "precondition_failed")
	revisions := answer[[]map[string]any](w, asViewer, "GET", path+"/revisions", "")
	if len(revisions) != 2 || revisions[0]["revision"] != 2.0 || revisions[1]["revision"] != 1.0 || revisions[0]["document"] != nil {
		t.Errorf("revisions: got %v, want 2 and 1 without documents", revisions)
	}
	one := answer[policyAnswer](w, asOwner, "GET", path+"/revisions/1", "")
	if string(one.Document) != string(first.Document) {
		t.Errorf("revision 1: got %s, want %s", one.Document, first.Document)
	}
	w.refused(asOwner, request{method: "GET", path: path + "/revisions/3"}, http.StatusNotFound, "placement_policy_revision_not_found")
	if rec := w.do(asOwner, request{method: "GET", path: path + "/revisions/x"}); rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_revision" {
		t.Errorf("revision x: got %d %s, want 400 invalid_revision", rec.Code, rec.Body)
	}
	w.refused(asOwner, request{method: "POST", path: "/placement-policies", body: `{"name":"web-eu"}`}, http.StatusConflict, "unique_violation")
	w.refused(asOther, request{method: "POST", path: "/placement-policies?generator_id=" + string(w.owner.ID), body: `{"name":"x"}`},
		http.StatusForbidden, "placement_policy_generator_mismatch")
}

func TestInvalidPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for reason, tc := range map[string]struct{ body, contentType, path string }{
		"a field that is not known":          {`{"name":"x","nope":1}`, "", ""},
		"a field that is not known, in YAML": {"name: x\nnope: 1\n", "application/yaml", ""},
		"a key twice":                        {"name: x\nname: y\n", "application/yaml", ""},
		"no name":                            {`{}`, "", "name"},
		"a wrong type":                       {`{"name":"x","rollout":{"waves":"all"}}`, "", "rollout.waves"},
		"no document":                        {``, "application/json", ""},
		"two documents":                      {`{"name":"x"} {}`, "", ""},
		"not YAML":                           {"name: [x", "application/yaml", ""},
		"a list that contradicts another": {`{"name":"x","clusters":{"expressions":[{"key":"annotation.r","operator":"In","values":["a"]},{"key":"annotation.r","operator":"NotIn","values":["a","b"]}]}}`,
			"", "clusters.expressions[1]"},
		"ranges that do not meet": {`{"name":"x","clusters":{"expressions":[{"key":"nodes.ready","operator":">","values":["5"]},{"key":"nodes.ready","operator":"<","values":["3"]}]}}`,
			"", "clusters.expressions[1]"},
		"with a stack and apart from it": {`{"name":"x","affinity":{"with_stacks":["web"],"apart_from_stacks":["held","web"]}}`, "", "affinity.apart_from_stacks[1]"},
		"a minute that is none":          {`{"name":"x","rollout":{"windows":[{"cron":"61 22 * * *","duration":"1h"}]}}`, "", "rollout.windows[0].cron"},
		"a day that never comes":         {`{"name":"x","rollout":{"windows":[{"cron":"0 22 30 2 *","duration":"1h"}]}}`, "", "rollout.windows[0].cron"},
		"a time zone that is none":       {`{"name":"x","rollout":{"windows":[{"cron":"0 22 * * *","duration":"1h","timezone":"Europe/Nowhere"}]}}`, "", "rollout.windows[0].timezone"},
		"a duration that is none":        {`{"name":"x","stickiness":{"min_dwell":"soon"}}`, "", ""},
		"too large":                      {"name: x\n" + strings.Repeat("# much\n", 1<<16), "application/yaml", ""},
	} {
		rec := w.do(asOwner, request{method: "POST", path: "/placement-policies", body: tc.body, contentType: tc.contentType})
		var got struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Details struct {
				Problems []struct{ Path, Message string } `json:"problems"`
			} `json:"details"`
		}
		must(t, json.Unmarshal(rec.Body.Bytes(), &got))
		if rec.Code != http.StatusBadRequest || got.Code != "invalid_policy" || len(got.Details.Problems) == 0 || got.Details.Problems[0].Message == "" {
			t.Errorf("%s: got %d %s, want 400 invalid_policy with problems", reason, rec.Code, rec.Body)
			continue
		}
		if tc.path != "" && got.Details.Problems[0].Path != tc.path {
			t.Errorf("%s: path %q, want %q", reason, got.Details.Problems[0].Path, tc.path)
		}
	}
	if got := answer[[]policyAnswer](w, asOwner, "GET", "/placement-policies", ""); len(got) != 0 {
		t.Errorf("the refused calls have stored %+v", got)
	}
}

// What is attached to a stack itself comes before what reaches it by a label; an attached policy is not deleted by chance.
func TestPolicyReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	stackPath := "/stacks/" + string(w.stack.ID) + "/placement-policy"
	w.refused(asOwner, request{method: "GET", path: stackPath}, http.StatusNotFound, "placement_policy_not_attached")
	w.refused(asOwner, request{method: "DELETE", path: stackPath}, http.StatusNotFound, "placement_policy_not_attached")
	byLabel := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"by-label"}`)
	byID := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"by-id"}`)
	foreign := answer[policyAnswer](w, asOther, "POST", "/placement-policies", `{"name":"foreign"}`)

	labelPath := "/placement-policies/" + byLabel.ID + "/stack-labels/tier%2Fweb"
	if got := answer[policyAnswer](w, asOwner, "PUT", labelPath, ""); !slices.Equal(got.StackLabels, []string{"tier/web"}) {
		t.Errorf("attached to a label: got %+v", got)
	}
	before := w.end()
	answer[policyAnswer](w, asOwner, "PUT", labelPath, "")
	if events := w.since(before); len(events) != 0 {
		t.Errorf("a second time wrote %+v", events)
	}
	if got := answer[reachAnswer](w, asOwner, "GET", stackPath, ""); got.Name != "by-label" || got.By != "label" || got.Label == nil || *got.Label != "tier/web" {
		t.Errorf("by label: got %+v", got)
	}
	before = w.end()
	answer[reachAnswer](w, asOwner, "PUT", stackPath, `{"policy_id":"`+byID.ID+`"}`)
	if events := w.since(before); len(events) != 1 || events[0].Type != event.PolicyAttached || events[0].Stack != w.stack.ID {
		t.Errorf("events %+v, want one of the attachment to the stack", events)
	}
	if got := answer[reachAnswer](w, asOwner, "GET", stackPath, ""); got.PolicyID != byID.ID || got.By != "stack" || got.Label != nil {
		t.Errorf("by id: got %+v", got)
	}
	for _, id := range []string{foreign.ID, uuid.NewString()} {
		w.refused(asOwner, request{method: "PUT", path: stackPath, body: `{"policy_id":"` + id + `"}`}, http.StatusNotFound, "placement_policy_not_found")
		w.refused(asAdmin, request{method: "PUT", path: stackPath, body: `{"policy_id":"` + id + `"}`}, http.StatusNotFound, "placement_policy_not_found")
	}
	for _, id := range []string{byID.ID, byLabel.ID} {
		w.refused(asOwner, request{method: "DELETE", path: "/placement-policies/" + id}, http.StatusUnprocessableEntity, "placement_policy_attached")
	}
	w.ok(asOwner, request{method: "DELETE", path: stackPath})
	w.ok(asOwner, request{method: "DELETE", path: "/placement-policies/" + byID.ID})
	w.ok(asOwner, request{method: "DELETE", path: "/placement-policies/" + byLabel.ID + "?detach=true"})
	w.refused(asOwner, request{method: "GET", path: stackPath}, http.StatusNotFound, "placement_policy_not_attached")
	w.refused(asOwner, request{method: "DELETE", path: labelPath}, http.StatusNotFound, "placement_policy_not_found")
}

func TestPolicyLabelsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	p := w.policy()
	path := "/placement-policies/" + string(p.ID) + "/stack-labels/"
	for i := range policy.MaxLabels - 1 {
		answer[policyAnswer](w, asOwner, "PUT", path+"l"+strings.Repeat("x", i), "")
	}
	w.refused(asOwner, request{method: "PUT", path: path + "one-more"}, http.StatusUnprocessableEntity, "too_many_labels")
	w.refused(asOwner, request{method: "PUT", path: path + "%20"}, http.StatusBadRequest, "invalid_label")
}

// A viewer sees a policy, but not what it writes into manifests.
func TestViewersSeeNoPatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	p := "/placement-policies/" + string(w.policy().ID)
	for _, path := range []string{p, p + "/revisions/1", "/placement-policies"} {
		for as, want := range map[string]bool{asOwner: true, asOperator: true, asViewer: false} {
			rec := w.ok(as, request{method: "GET", path: path})
			if got := strings.Contains(rec.Body.String(), "canary-value"); got != want {
				t.Errorf("%s as %s: shows the patch: %v, want %v", path, as, got, want)
			}
			if !strings.Contains(rec.Body.String(), "ConfigMap") {
				t.Errorf("%s as %s: does not show what is patched: %s", path, as, rec.Body)
			}
		}
	}
}

func TestDeletedGeneratorLeavesNoPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.policy()
	w.ok(asAdmin, request{method: "DELETE", path: "/generators/" + string(w.owner.ID)})
	all, err := w.store.Policies().Page(t.Context(), tenancy.Everything(), policy.List().All(10))
	must(t, err)
	if len(all.Items) != 0 {
		t.Errorf("left %+v", all.Items)
	}
}

// An override that cannot be applied to what is published is refused where it would come to be: with the revision of the
// policy, and where the policy comes to reach a stack.
func TestOverridesAreTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	document := func(path string) string {
		return `{"name":"patched","overrides":[{"clusters":{},"patches":[{"target":{"kind":"ConfigMap","name":"settings"},"patch":[{"op":"add","path":"` + path + `","value":"x"}]},` +
			`{"target":{"kind":"Ingress"},"merge":{"spec":{}}}]}]}`
	}
	stack := "/stacks/" + string(w.stack.ID) + "/placement-policy"
	bad := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", document("/data/none/k"))
	refused := func(method, path, body string) {
		t.Helper()
		rec := w.checked(asOwner, request{method: method, path: path, body: body})
		if rec.Code != http.StatusBadRequest || code(t, rec) != "invalid_policy" || !strings.Contains(rec.Body.String(), `"path":"overrides[0].patches[0]"`) || !strings.Contains(rec.Body.String(), "stack web") {
			t.Errorf("%s %s: got %d %s, want 400 invalid_policy with the patch's path", method, path, rec.Code, rec.Body)
		}
	}
	refused("PUT", stack, `{"policy_id":"`+bad.ID+`"}`)
	refused("PUT", "/placement-policies/"+bad.ID+"/stack-labels/tier%2Fweb", "")
	good := answer[policyAnswer](w, asOwner, "PUT", "/placement-policies/"+bad.ID, document("/data"))
	answer[reachAnswer](w, asOwner, "PUT", stack, `{"policy_id":"`+good.ID+`"}`)
	refused("PUT", "/placement-policies/"+good.ID, document("/spec/none"))
	refused("POST", "/placement/plan", `{"policy":{"policy_id":"`+good.ID+`","document":`+document("/spec/none")+`}}`)

	// Before content is published a dry run tells what the overrides would come to on it.
	foretold := func(content string) []string {
		t.Helper()
		body, err := json.Marshal(map[string]string{"yaml_content": content})
		must(t, err)
		return warned(answer[warnedAnswer](w, asOwner, "POST", "/stacks/"+string(w.stack.ID)+"/deployment-objects?dry_run=true", string(body)))
	}
	whole := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {k: v}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\n"
	if got := foretold(whole); len(got) != 0 {
		t.Errorf("content that the overrides fit: got %q", got)
	}
	w.ok(asOwner, publishing("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {k: v}\n", "")(w))
	deep := answer[policyAnswer](w, asOwner, "PUT", "/placement-policies/"+good.ID, document("/data/k"))
	if got := foretold(strings.Replace(whole, "data: {k: v}", "immutable: false", 1)); len(got) != 1 || !strings.HasPrefix(got[0], "overrides[0].patches[0]: stack web: ") || !strings.Contains(got[0], "would keep what they have") {
		t.Errorf("content that an override cannot be applied to: got %q", got)
	}
	if deep.Revision != 3 {
		t.Errorf("a deeper override: revision %d, want 3", deep.Revision)
	}
	answer[policyAnswer](w, asOwner, "PUT", "/placement-policies/"+good.ID, document("/data"))
	if got := answer[policyAnswer](w, asOwner, "GET", "/placement-policies/"+good.ID, ""); got.Revision != 4 {
		t.Errorf("after refused revisions: revision %d, want 4", got.Revision)
	}
	next := answer[policyAnswer](w, asOwner, "PUT", "/placement-policies/"+good.ID, document("/metadata/labels"))
	if len(next.Warnings) != 1 || next.Warnings[0].Path != "overrides[0].patches[1]" || !strings.Contains(next.Warnings[0].Message, "no object") {
		t.Errorf("warnings %+v, want that nothing is an Ingress", next.Warnings)
	}
}

// Overrides are tried on so many stacks; that a policy reaches more is told wherever it comes to be.
func TestOverridesAreTriedOnSoManyStacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	document := func(value string) string {
		return `{"name":"patched","overrides":[{"clusters":{},"patches":[{"target":{"kind":"ConfigMap"},"merge":{"data":{"k":"` + value + `"}}}]}]}`
	}
	for i := range 48 { // beside web and held
		w.publish(w.newStack(fmt.Sprint("s", i)))
	}
	made := answer[warnedAnswer](w, asOwner, "POST", "/placement-policies", document("a"))
	path := "/placement-policies/" + made.ID
	if got := warned(answer[warnedAnswer](w, asOwner, "PUT", path+"/stack-labels/tier%2Fweb", "")); len(got) != 0 {
		t.Errorf("on all of 50: got %q", got)
	}
	w.publish(w.unpinned)
	const want = "overrides: tried on 50 of 51 stacks; where they cannot be applied to one of the others its clusters keep what they have"
	for reason, got := range map[string]warnedAnswer{
		"planned": answer[warnedAnswer](w, asOwner, "POST", "/placement/plan", `{"policy":{"policy_id":"`+made.ID+`","document":`+document("b")+`}}`),
		"revised": answer[warnedAnswer](w, asOwner, "PUT", path, document("c")),
	} {
		if !slices.Equal(warned(got), []string{want}) {
			t.Errorf("%s: got %q, want %q", reason, warned(got), want)
		}
	}
	w.ok(asOwner, request{method: "DELETE", path: path + "/stack-labels/tier%2Fweb"})
	if got := warned(answer[warnedAnswer](w, asOwner, "PUT", path+"/stack-labels/tier%2Fweb", "")); !slices.Equal(got, []string{want}) {
		t.Errorf("attached: got %q, want %q", got, want)
	}
}
