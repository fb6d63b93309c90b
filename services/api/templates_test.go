package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// templateRequests has a call for each operation of templates.
func templateRequests() map[string]func(w *world) request {
	at := func(method, path string, body ...string) request {
		return request{method: method, path: path, body: strings.Join(body, "")}
	}
	templatePath := func(w *world, rest string) string { return "/templates/" + string(w.template.ID) + rest }
	stackPath := func(w *world, rest string) string { return "/stacks/" + string(w.stack.ID) + rest }
	return map[string]func(w *world) request{
		"list_templates": func(*world) request { return at("GET", "/templates") },
		"create_template": func(*world) request {
			return at("POST", "/templates", `{"name":"db","template_content":"{{ x }}","parameters_schema":"{}"}`)
		},
		"get_template": func(w *world) request { return at("GET", templatePath(w, "")) },
		"update_template": func(w *world) request {
			return at("PUT", templatePath(w, ""), `{"template_content":"{{ y }}","parameters_schema":"{}"}`)
		},
		"delete_template":            func(w *world) request { return at("DELETE", templatePath(w, "")) },
		"templates_list_labels":      func(w *world) request { return at("GET", templatePath(w, "/labels")) },
		"templates_add_label":        func(w *world) request { return at("POST", templatePath(w, "/labels"), `"env:prod"`) },
		"templates_remove_label":     func(w *world) request { return at("DELETE", templatePath(w, "/labels/tier%2Fweb")) },
		"templates_list_annotations": func(w *world) request { return at("GET", templatePath(w, "/annotations")) },
		"templates_add_annotation": func(w *world) request {
			return at("POST", templatePath(w, "/annotations"), `{"key":"k","value":"v"}`)
		},
		"templates_remove_annotation": func(w *world) request { return at("DELETE", templatePath(w, "/annotations/team")) },
		"instantiate_template": func(w *world) request {
			return at("POST", stackPath(w, "/deployment-objects/from-template"), `{"template_id":"`, string(w.template.ID), `","parameters":{"name":"web"}}`)
		},
	}
}

type templateAnswer struct {
	ID          string  `json:"id"`
	GeneratorID *string `json:"generator_id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Version     int     `json:"version"`
	Checksum    string  `json:"checksum"`
}

// answer makes a call that must succeed and reads the answer.
func answer[T any](w *world, as, method, path, body string) T {
	w.t.Helper()
	var out T
	rec := w.checked(as, request{method: method, path: path, body: body})
	if rec.Code >= http.StatusBadRequest {
		w.t.Fatalf("%s %s: status %d: %s", method, path, rec.Code, rec.Body)
	}
	must(w.t, json.Unmarshal(rec.Body.Bytes(), &out))
	return out
}

func textOf(content, more string) string {
	b, _ := json.Marshal(content)
	return `{"template_content":` + string(b) + `,"parameters_schema":"{}"` + more + `}`
}

func TestTemplateVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	first := answer[templateAnswer](w, asOwner, "POST", "/templates", textOf("a", `,"name":"db","description":"d"`))
	if first.Version != 1 || first.GeneratorID == nil || *first.GeneratorID != string(w.owner.ID) || first.Checksum != "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" {
		t.Errorf("first version: got %+v", first)
	}
	answer[map[string]any](w, asOwner, "POST", "/templates/"+first.ID+"/labels", `"env:prod"`)
	answer[map[string]any](w, asOwner, "POST", "/templates/"+first.ID+"/annotations", `{"key":"k","value":"v"}`)
	second := answer[templateAnswer](w, asOwner, "PUT", "/templates/"+first.ID, textOf("b", ""))
	if second.Version != 2 || second.ID == first.ID || second.Name != "db" || second.Description == nil || *second.Description != "d" {
		t.Errorf("second version: got %+v", second)
	}
	third := answer[templateAnswer](w, asOwner, "POST", "/templates", textOf("c", `,"name":"db"`))
	if third.Version != 3 {
		t.Errorf("a name that exists: got %+v, want version 3", third)
	}
	for _, id := range []string{second.ID, third.ID} { // the guards are carried over
		labels := answer[[]map[string]any](w, asOwner, "GET", "/templates/"+id+"/labels", "")
		annotations := answer[[]map[string]any](w, asOwner, "GET", "/templates/"+id+"/annotations", "")
		if len(labels) != 1 || labels[0]["label"] != "env:prod" || len(annotations) != 1 || annotations[0]["value"] != "v" {
			t.Errorf("labels %v, annotations %v; want those of the version before", labels, annotations)
		}
	}
	if got := answer[templateAnswer](w, asOwner, "GET", "/templates/"+first.ID, ""); got.Version != 1 {
		t.Errorf("the first version is gone or changed: %+v", got)
	}
	w.ok(asOwner, request{method: "DELETE", path: "/templates/" + second.ID})
	if got := answer[[]templateAnswer](w, asOwner, "GET", "/templates?name=db", ""); len(got) != 2 || got[0].Version != 3 || got[1].Version != 1 {
		t.Errorf("after deleting version 2: got %+v", got)
	}
	platform := answer[templateAnswer](w, asAdmin, "POST", "/templates", textOf("p", `,"name":"db"`))
	if platform.Version != 1 || platform.GeneratorID != nil {
		t.Errorf("an admin's: got %+v, want version 1 of the platform's", platform)
	}
}

// The platform's templates are for every generator to see, and for admins alone to change.
func TestPlatformTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	p := w.newTemplate(nil, "platform", nameTemplate)
	for _, as := range []string{asOwner, asOther} {
		if got := answer[templateAnswer](w, as, "GET", "/templates/"+string(p.ID), ""); got.ID != string(p.ID) {
			t.Errorf("%s: got %+v", as, got)
		}
		for _, q := range []request{
			{method: "PUT", path: "/templates/" + string(p.ID), body: textOf("x", "")}, {method: "DELETE", path: "/templates/" + string(p.ID)},
			{method: "POST", path: "/templates/" + string(p.ID) + "/labels", body: `"x"`},
			{method: "POST", path: "/templates/" + string(p.ID) + "/annotations", body: `{"key":"k","value":"v"}`},
		} {
			w.refused(as, q, http.StatusForbidden, "template_not_owned")
		}
	}
	if got := answer[[]templateAnswer](w, asOther, "GET", "/templates", ""); len(got) != 1 || got[0].Name != "platform" {
		t.Errorf("another generator's list: got %+v, want the platform's alone", got)
	}
	w.refused(asSelf, request{method: "GET", path: "/templates"}, http.StatusForbidden, "templates_not_accessible")
	w.refused(asSelf, request{method: "GET", path: "/templates/" + string(p.ID)}, http.StatusForbidden, "template_not_accessible")
}

// refused makes a call that must fail like this, and returns the details.
func (w *world) refused(as string, q request, status int, code string) map[string]any {
	w.t.Helper()
	rec := w.checked(as, q)
	var body struct {
		Code    string         `json:"code"`
		Details map[string]any `json:"details"`
	}
	must(w.t, json.Unmarshal(rec.Body.Bytes(), &body))
	if rec.Code != status || body.Code != code {
		w.t.Errorf("%s %s as %s: status %d %s, want %d %s", q.method, q.path, as, rec.Code, rec.Body, status, code)
	}
	return body.Details
}

func (w *world) instantiate(s stack.Stack, id template.ID, parameters string) request {
	return request{method: "POST", path: "/stacks/" + string(s.ID) + "/deployment-objects/from-template",
		body: fmt.Sprintf(`{"template_id":%q,"parameters":%s}`, id, parameters)}
}

func TestInstantiate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	type object struct {
		ID       string `json:"id"`
		YAML     string `json:"yaml_content"`
		Template *struct {
			ID         string `json:"id"`
			Version    int    `json:"version"`
			Parameters string `json:"parameters_sha256"`
		} `json:"template"`
	}
	end := w.end()
	rec := w.checked(asOwner, w.instantiate(w.stack, w.template.ID, `{"name":"hunter2"}`))
	var got object
	must(t, json.Unmarshal(rec.Body.Bytes(), &got))
	if rec.Code != http.StatusCreated || got.YAML != "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hunter2\n" {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	// sha256 of {"name":"hunter2"}
	const digest = "99429fb97b2246b2e2bf749ba05cfb9674d5ece925238afe1c933de1e1057f6b"
	if got.Template == nil || got.Template.ID != string(w.template.ID) || got.Template.Version != 1 || got.Template.Parameters != digest {
		t.Errorf("origin: got %+v", got.Template)
	}
	events := w.since(end)
	if len(events) != 1 || events[0].Type != event.DeploymentCreated || strings.Contains(fmt.Sprint(events[0].Data), "hunter2") {
		t.Errorf("events: got %+v, want one publication without parameters", events)
	}
	again := answer[object](w, asOwner, "GET", "/deployment-objects/"+got.ID, "")
	if again.Template == nil || *again.Template != *got.Template {
		t.Errorf("origin, read again: got %+v, want %+v", again.Template, got.Template)
	}
	all := answer[[]object](w, asOwner, "GET", "/stacks/"+string(w.stack.ID)+"/deployment-objects", "")
	if len(all) != 2 || all[0].Template == nil || all[1].Template != nil {
		t.Errorf("list: got %+v, want an origin for the first alone", all)
	}
	// A platform's template without labels fits every stack.
	w.ok(asOwner, w.instantiate(w.unpinned, w.newTemplate(nil, "platform", nameTemplate).ID, `{"name":"x"}`))
}

func TestInstantiateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	end := w.end()
	guarded := w.newTemplate(&w.owner.ID, "guarded", nameTemplate)
	must(t, w.store.Templates().AddLabel(t.Context(), template.Label{ID: "0198c8a4-0000-7000-8000-000000000001", Template: guarded.ID, Label: "gpu"}))
	must(t, w.store.Templates().AddAnnotation(t.Context(), template.Annotation{ID: "0198c8a4-0000-7000-8000-000000000002", Template: guarded.ID, Key: "team", Value: "y"}))
	details := w.refused(asOwner, w.instantiate(w.stack, guarded.ID, `{"name":"x"}`), http.StatusUnprocessableEntity, "template_stack_mismatch")
	if got := fmt.Sprint(details); got != "map[missing_annotations:[map[key:team value:y]] missing_labels:[gpu]]" {
		t.Errorf("details: got %s", got)
	}
	foreign := w.newTemplate(&w.other.ID, "foreign", nameTemplate)
	w.refused(asOwner, w.instantiate(w.stack, foreign.ID, `{"name":"x"}`), http.StatusNotFound, "template_not_found")
	w.refused(asAdmin, w.instantiate(w.stack, foreign.ID, `{"name":"x"}`), http.StatusUnprocessableEntity, "template_stack_mismatch")
	w.refused(asOther, w.instantiate(w.stack, foreign.ID, `{"name":"x"}`), http.StatusNotFound, "stack_not_found")
	details = w.refused(asOwner, w.instantiate(w.stack, w.template.ID, `{"name":7}`), http.StatusBadRequest, "invalid_parameters")
	if got := fmt.Sprint(details); got != "map[validation_errors:[/name: got number, want string]]" {
		t.Errorf("details: got %s", got)
	}
	w.refused(asOwner, w.instantiate(w.stack, w.template.ID, `[1]`), http.StatusBadRequest, "invalid_parameters")
	w.refused(asOwner, w.instantiate(w.stack, w.template.ID, `{"name":"a: b: c"}`), http.StatusBadRequest, "invalid_deployment_object")
	w.refused(asOwner, w.instantiate(w.stack, "not-an-id", `{}`), http.StatusBadRequest, "invalid_id")
	for content, want := range map[string]string{
		"{{ nope }}": "template_render_failed", "{% for i in range(end=1000000000) %}x{% endfor %}": "template_render_failed", "": "invalid_deployment_object",
	} {
		w.refused(asOwner, w.instantiate(w.stack, w.newTemplate(&w.owner.ID, "bad", content).ID, `{"name":"x"}`), http.StatusBadRequest, want)
	}
	if events := w.since(end); len(events) != 0 {
		t.Errorf("refused publications left events: %+v", events)
	}
}

func TestTemplateTextsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	for body, code := range map[string]string{
		textOf("a\n{{ x", `,"name":"n"`):                                                              "invalid_template_syntax",
		textOf("{{ get_env(name='HOME') }}", `,"name":"n"`):                                           "invalid_template_syntax",
		textOf("x", `,"name":" "`):                                                                    "invalid_template",
		`{"name":"n","template_content":"x","parameters_schema":"{\"type\":1}"}`:                      "invalid_parameters_schema",
		`{"name":"n","template_content":"x","parameters_schema":"{\"$ref\":\"file:///etc/passwd\"}"}`: "invalid_parameters_schema",
	} {
		w.refused(asOwner, request{method: "POST", path: "/templates", body: body}, http.StatusBadRequest, code)
	}
	details := w.refused(asOwner, request{method: "PUT", path: "/templates/" + string(w.template.ID), body: textOf("a\nb\n{% if %}", "")}, http.StatusBadRequest, "invalid_template_syntax")
	if details["line"] != 3.0 {
		t.Errorf("details: got %v, want line 3", details)
	}
}

// With a generator its templates go; the platform's stay.
func TestDeletedGeneratorLeavesNoTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	p := w.newTemplate(nil, "platform", "x")
	w.ok(asAdmin, request{method: "DELETE", path: "/generators/" + string(w.owner.ID)})
	all, err := w.store.Templates().Page(t.Context(), tenancy.Everything(), template.List().All(10))
	must(t, err)
	if len(all.Items) != 1 || all.Items[0].ID != p.ID {
		t.Errorf("left: %+v, want the platform's alone", all.Items)
	}
}

// What a template makes may hold Secrets: the owner sees them, an admin who instantiates it does not.
func TestInstantiatedSecretsAreTheOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	secret := w.newTemplate(&w.owner.ID, "secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: {{ name }}}\n")
	for as, sees := range map[string]bool{asOwner: true, asAdmin: false, asOperator: false} {
		rec := w.ok(as, w.instantiate(w.stack, secret.ID, `{"name":"hunter2"}`))
		if got := strings.Contains(rec.Body.String(), "hunter2"); got != sees {
			t.Errorf("as %s: the value is shown: %v, want %v: %s", as, got, sees, rec.Body)
		}
	}
}
