package stacktemplate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/stacktemplate"
)

const webSchema = `{"type":"object","required":["name"],"additionalProperties":false,"properties":{
	"name":{"type":"string","pattern":"^[a-z]+$"},"replicas":{"type":"integer","minimum":1,"maximum":9},"tier":{"enum":["gold","iron"]}}}`

const webTemplate = `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ name }}}
data: {replicas: "{{ replicas | default(value=2) }}"}
`

func compiled(t *testing.T, content, schema string) *stacktemplate.Template {
	t.Helper()
	out, err := stacktemplate.Compile(content, schema)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRender(t *testing.T) {
	t.Parallel()
	tpl := compiled(t, webTemplate, webSchema)
	p, err := tpl.Parameters(json.RawMessage(`{"name":"web","replicas":3}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tpl.Render(t.Context(), p)
	want := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {replicas: \"3\"}\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// The digest is that of the parameters, not of how they were written.
func TestDigest(t *testing.T) {
	t.Parallel()
	tpl := compiled(t, "x", "true")
	digest := func(s string) string {
		p, err := tpl.Parameters(json.RawMessage(s))
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest
	}
	if a, b := digest(`{"a":1,"b":[true,null]}`), digest("{\"b\" : [true , null],\n\"a\":1}"); a != b || len(a) != 64 {
		t.Errorf("got %s and %s, want the same 64 digits", a, b)
	}
	if a, b := digest(`{"a":1}`), digest(`{"a":2}`); a == b {
		t.Error("other parameters have the same digest")
	}
	if a, b, c := digest(``), digest(`null`), digest(`{}`); a != b || b != c {
		t.Error("no parameters are an empty object")
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	wide := `{"$defs":{"z":{"type":"string"}`
	last := "z"
	for i := range 24 {
		wide += fmt.Sprintf(`,"d%d":{"allOf":[{"$ref":"#/$defs/%s"},{"$ref":"#/$defs/%s"}]}`, i, last, last)
		last = fmt.Sprintf("d%d", i)
	}
	wide += `},"$ref":"#/$defs/` + last + `"}`
	for reason, c := range map[string]struct{ content, schema, code, part string }{
		"a template that is none":           {"a\n{{ x", "{}", "invalid_template_syntax", "line 2"},
		"a template of many bytes":          {strings.Repeat("x", 1<<20), "{}", "invalid_template_syntax", "bytes"},
		"a schema that is no JSON":          {"", "{", "invalid_parameters_schema", "no JSON: it ends too early"},
		"no schema":                         {"", "", "invalid_parameters_schema", "no JSON"},
		"two schemas":                       {"", "{}{}", "invalid_parameters_schema", "behind the end"},
		"a schema that is a list":           {"", "[]", "invalid_parameters_schema", "got array, want"},
		"a type that is none":               {"", `{"type":"strnig"}`, "invalid_parameters_schema", "type"},
		"a schema of many bytes":            {"", `{"title":"` + strings.Repeat("x", 1<<17) + `"}`, "invalid_parameters_schema", "bytes"},
		"a schema that is deep":             {"", strings.Repeat(`{"not":`, 40) + "{}" + strings.Repeat("}", 40), "invalid_parameters_schema", "deeper than 32"},
		"a reference to a file":             {"", `{"$ref":"file:///etc/passwd"}`, "invalid_parameters_schema", "only references within the schema"},
		"a reference to the network":        {"", `{"$ref":"https://example.com/schema.json"}`, "invalid_parameters_schema", "only references within the schema"},
		"a relative reference":              {"", `{"$ref":"other.json"}`, "invalid_parameters_schema", "only references within the schema"},
		"another dialect":                   {"", `{"$schema":"https://example.com/dialect"}`, "invalid_parameters_schema", "only references within the schema"},
		"a reference to nothing":            {"", `{"$ref":"#/$defs/nope"}`, "invalid_parameters_schema", "nope"},
		"a schema of itself":                {"", `{"properties":{"a":{"$ref":"#"}}}`, "invalid_parameters_schema", "refers to itself"},
		"a schema that is only itself":      {"", `{"$ref":"#"}`, "invalid_parameters_schema", "refers to itself"},
		"the schema of schemas":             {"", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, "invalid_parameters_schema", ""},
		"references that double":            {"", wide, "invalid_parameters_schema", "more checks than are allowed"},
		"a regular expression that is none": {"", `{"pattern":"("}`, "invalid_parameters_schema", ""},
		"a regular expression that swells":  {"", `{"pattern":"((a{100}){100}){100}"}`, "invalid_parameters_schema", ""},
		"a number that is none":             {"", `{"minimum":1e999999999}`, "invalid_parameters_schema", "larger than a number can be"},
	} {
		_, err := stacktemplate.Compile(c.content, c.schema)
		if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.part) {
			t.Errorf("%s: got %v (%s), want %s with %q", reason, err, fault.CodeOf(err), c.code, c.part)
		}
	}
}

func TestParametersRefuses(t *testing.T) {
	t.Parallel()
	tpl := compiled(t, webTemplate, webSchema)
	for raw, want := range map[string][]string{
		`{}`:                             {"/: missing property 'name'"},
		`{"name":"Secret-1"}`:            {`/name: does not match the pattern "^[a-z]+$"`},
		`{"name":"a","replicas":99}`:     {"/replicas: maximum: want 9"},
		`{"name":"a","replicas":"many"}`: {"/replicas: got string, want integer"},
		`{"name":"a","tier":"secret"}`:   {"/tier: value must be one of 'gold', 'iron'"},
		`{"name":"a","other":1}`:         {"/: additional properties 'other' not allowed"},
		`{"replicas":0,"tier":1}`:        {"/: missing property 'name'", "/replicas: minimum: want 1", "/tier: value must be one of 'gold', 'iron'"},
		`[1]`:                            {"they are no object: {\"name\": value, ...} is expected"},
		`"secret"`:                       {"they are no object: {\"name\": value, ...} is expected"},
		`{"name":`:                       {"they are no JSON: it ends too early"},
		`{"name":1e400}`:                 {"/name: the number is larger than a number can be"},
		`{"name":99999999999999999999}`:  {"/name: the number is larger than a number can be"},
	} {
		_, err := tpl.Parameters(json.RawMessage(raw))
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Code != "invalid_parameters" {
			t.Errorf("%s: got %v, want invalid_parameters", raw, err)
			continue
		}
		if got, _ := f.Details["validation_errors"].([]string); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
		if strings.Contains(strings.ToLower(fmt.Sprint(err, f.Details)), "secret") {
			t.Errorf("%s: a value is shown: %v", raw, err)
		}
	}
}

// Parameters that fit no bounds end soon, whatever the schema.
func TestParametersAreBounded(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	many := `{"l":[` + strings.TrimSuffix(strings.Repeat("1,", 100_000), ",") + `]}`
	long := `{"s":"` + strings.Repeat("x", 250_000) + `"}`
	heavy := `{"properties":{"l":{"items":{"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"enum":[2,3,4,5,6,7,8,9]},`, 300), ",") + `]}}}}`
	regex := `{"properties":{"s":{"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"pattern":"(x+x+){100}y$"},`, 100), ",") + `]}}}`
	unique := `{"properties":{"l":{"uniqueItems":true}}}`
	for reason, c := range map[string]struct{ schema, raw string }{
		"deep parameters":               {"{}", deep},
		"parameters of many bytes":      {"{}", `{"s":"` + strings.Repeat("x", 300_000) + `"}`},
		"many elements, a heavy schema": {heavy, many},
		"regular expressions on a text": {regex, long},
		"many elements that are unique": {unique, many},
	} {
		start := time.Now()
		_, err := compiled(t, "x", c.schema).Parameters(json.RawMessage(c.raw))
		if fault.CodeOf(err) != "invalid_parameters" {
			t.Errorf("%s: got %v, want invalid_parameters", reason, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: it took %s", reason, took)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for content, line := range map[string]int{"a\n{{ nope }}": 2, "{% for i in range(end=1000000000) %}{% endfor %}": 1} {
		tpl := compiled(t, content, "{}")
		p, err := tpl.Parameters(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpl.Render(t.Context(), p)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Code != "template_render_failed" || f.Details["line"] != line {
			t.Errorf("%s: got %v, want template_render_failed in line %d", content, err, line)
		}
	}
}
