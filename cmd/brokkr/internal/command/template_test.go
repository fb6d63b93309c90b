package command_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	templateID  = "55555555-5555-4555-8555-555555555551"
	templateID2 = "55555555-5555-4555-8555-555555555552"
	templateID3 = "55555555-5555-4555-8555-555555555553"
)

func templateJSON(id, owner string, version int, content string) string {
	if owner != "null" {
		owner = `"` + owner + `"`
	}
	return fmt.Sprintf(`{"id":%q,%s,"generator_id":%s,"name":"web","description":null,"version":%d,"template_content":%q,"parameters_schema":%q,"checksum":%q}`,
		id, times, owner, version, content, `{"type":"object","required":["name"]}`, sum(content))
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/template/web.tera")
	if err != nil {
		t.Fatal(err)
	}
	first, second := templateJSON(templateID, genID, 1, "old"), templateJSON(templateID2, genID, 2, string(text))
	platform := templateJSON(templateID3, "null", 4, string(text))
	const named = "GET /templates?name=web"
	mine := routes{named: {list(second, first)}}
	made := `{"id":"` + objectID + `",` + times + `,"sequence_id":9,"stack_id":"` + stackID + `","yaml_content":"x","yaml_checksum":"` + sum("x") +
		`","submitted_at":"2026-08-02T11:00:00Z","is_deletion_marker":false,"template":{"id":"` + templateID2 + `","version":2,"parameters_sha256":"` + sum("{}") + `"}}`
	stackFound := routes{getStacksByName: {list(hello)}}
	const instantiate = "POST /stacks/" + stackID + "/deployment-objects/from-template"
	for name, tt := range map[string]struct {
		args   string
		stdin  string
		routes routes
		exit   int
	}{
		"list":                   {"template list", "", routes{"GET /templates": {list(platform, second, first)}}, 0},
		"list-wide":              {"template list web -o wide", "", mine, 0},
		"list-none":              {"template list", "", routes{"GET /templates": {list()}}, 0},
		"get":                    {"template get web", "", mine, 0},
		"get-version":            {"template get web@1", "", mine, 0},
		"get-json":               {"template get web -o json", "", mine, 0},
		"get-id":                 {"template get " + templateID + " -o name", "", routes{"GET /templates/" + templateID: {ok(first)}}, 0},
		"get-unknown":            {"template get web@7", "", mine, 1},
		"get-ambiguous":          {"template get web", "", routes{named: {list(platform, second, first)}}, 1},
		"create":                 {"template create web -f testdata/template/web.tera --schema testdata/template/schema.yaml --description hi", "", routes{"POST /templates": {created(first)}}, 0},
		"create-stdin":           {"template create web -f -", "{{ x }}", routes{"POST /templates": {created(first)}}, 0},
		"create-usage":           {"template create web", "", nil, 2},
		"create-refused":         {"template create web -f testdata/template/web.tera", "", routes{"POST /templates": {refused(400, "invalid_template_syntax", "the template: line 2: there is no filter \"x\"")}}, 1},
		"update":                 {"template update web -f testdata/template/web.tera", "", mine.with(routes{"PUT /templates/" + templateID2: {ok(second)}}), 0},
		"update-lost":            {"template update web -f testdata/template/web.tera", "", mine.with(routes{"PUT /templates/" + templateID2: {{status: 502}}}), 1},
		"update-usage":           {"template update web", "", nil, 2},
		"delete":                 {"template delete web@1 --yes", "", mine.with(routes{"DELETE /templates/" + templateID: {{status: 204}}}), 0},
		"delete-ask":             {"template delete web", "", mine, 2},
		"label":                  {"template label web gpu old-", "", mine.with(routes{"POST /templates/" + templateID2 + "/labels": {created(`{}`)}, "DELETE /templates/" + templateID2 + "/labels/old": {{status: 204}}}), 0},
		"annotate":               {"template annotate web team=x", "", mine.with(routes{"POST /templates/" + templateID2 + "/annotations": {created(`{}`)}}), 0},
		"render":                 {"template render web --param name=shop --param replicas=3", "", mine, 0},
		"render-file":            {"template render -f testdata/template/web.tera --schema testdata/template/schema.yaml --values testdata/template/values.yaml --param name=other", "", nil, 0},
		"render-parameters":      {"template render -f testdata/template/web.tera --schema testdata/template/schema.yaml --param replicas=many", "", nil, 1},
		"render-syntax":          {"template render -f -", "a\n{{ now() }}", nil, 1},
		"render-no-bundle":       {"template render -f -", "a: b", nil, 1},
		"render-usage":           {"template render", "", nil, 2},
		"render-usage-param":     {"template render web --param name", "", nil, 2},
		"render-usage-twice":     {"template render web --param a=1 --param a=2", "", nil, 2},
		"instantiate":            {"template instantiate web --stack hello --param name=shop", "", mine.with(stackFound).with(routes{instantiate: {created(made)}}), 0},
		"instantiate-json":       {"template instantiate web --stack hello --param name=shop -o json", "", mine.with(stackFound).with(routes{instantiate: {created(made)}}), 0},
		"instantiate-mismatch":   {"template instantiate web --stack hello", "", mine.with(stackFound).with(routes{instantiate: {{status: 422, body: `{"code":"template_stack_mismatch","message":"the stack lacks gpu","details":{"missing_labels":["gpu"],"missing_annotations":[]}}`}}}), 1},
		"instantiate-parameters": {"template instantiate web --stack hello", "", mine.with(stackFound).with(routes{instantiate: {{status: 400, body: `{"code":"invalid_parameters","message":"the parameters do not fit","details":{"validation_errors":["/: missing property 'name'"]}}`}}}), 1},
		"instantiate-usage":      {"template instantiate web", "", nil, 2},
		"complete":               {"__complete template get w", "", routes{"GET /templates": {list(platform, second, first)}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run{routes: tt.routes, args: strings.Split(tt.args, " "), stdin: tt.stdin}.do(t)
			if got.exit != tt.exit {
				t.Errorf("exit %d, want %d\n%s", got.exit, tt.exit, got.err)
			}
			got.requests = compact(got.requests)
			got.golden(t, t.Name())
		})
	}
}
