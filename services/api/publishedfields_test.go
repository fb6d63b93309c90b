package api_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
)

// message is one field of a published shape.
type message struct {
	path, kind       string
	nullable, needed bool
}

// promises is what the published contract says of one operation's messages.
type promises struct {
	op           string
	who, query   []string
	send, answer string // shapes
}

// publishedFields reads the facts: those of operations, and the shapes that they name.
func publishedFields(t *testing.T) ([]promises, map[string][]message) {
	t.Helper()
	f, err := os.Open("testdata/published-fields.txt")
	must(t, err)
	defer f.Close() //nolint:errcheck // it was read
	var ops []promises
	shapes := map[string][]message{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if name, ok := strings.CutSuffix(words[0], ":"); ok {
			for _, w := range words[1:] {
				w, needed := strings.CutSuffix(w, "*")
				w, nullable := strings.CutSuffix(w, "|null")
				path, kind, ok := strings.Cut(w, ":")
				if !ok {
					t.Fatalf("%s: field %q has no type", name, w)
				}
				shapes[name] = append(shapes[name], message{path: path, kind: kind, nullable: nullable, needed: needed})
			}
			continue
		}
		p := promises{op: words[0]}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "who":
				p.who = strings.Split(value, ",")
			case "query":
				p.query = strings.Split(value, ",")
			case "send":
				p.send = value
			case "answer":
				p.answer = value
			default:
				t.Fatalf("%s: %q says nothing", p.op, w)
			}
		}
		ops = append(ops, p)
	}
	return ops, shapes
}

// kindOf is the type of a schema in the words of the facts.
func kindOf(s *openapi3.Schema) string {
	for _, part := range s.AllOf {
		if s.Type == nil {
			return kindOf(part.Value)
		}
	}
	switch {
	case s.Type == nil:
		return "any"
	case s.Type.Is("boolean"):
		return "bool"
	case s.Type.Is("array"):
		return "list"
	case s.Type.Is("integer") && s.Format == "":
		return "int"
	case s.Format == "uuid", s.Format == "date-time", s.Format == "int32", s.Format == "int64":
		return s.Format
	case len(s.Type.Slice()) == 1:
		return s.Type.Slice()[0]
	default:
		return strings.Join(s.Type.Slice(), "+")
	}
}

// members returns the fields of an object and those that are required, with what its parts add.
func members(s *openapi3.Schema) (map[string]*openapi3.Schema, []string) {
	fields, required := map[string]*openapi3.Schema{}, slices.Clone(s.Required)
	for name, f := range s.Properties {
		fields[name] = f.Value
	}
	for _, part := range s.AllOf {
		more, needed := members(part.Value)
		for name, f := range more {
			fields[name] = f
		}
		required = append(required, needed...)
	}
	return fields, required
}

// at returns the schema of a field such as logs[].id.
func at(s *openapi3.Schema, path string) *openapi3.Schema {
	for name := range strings.SplitSeq(path, ".") {
		plain := strings.TrimSuffix(name, "[]")
		if plain != "" {
			fields, _ := members(s)
			if s = fields[plain]; s == nil {
				return nil
			}
		}
		if plain != name {
			if s.Items == nil {
				return nil
			}
			s = s.Items.Value
		}
	}
	return s
}

// brokenAnswer says how a field of ours breaks what is promised of an answer: it is always there, of that type, and null only where
// the published one may be.
func brokenAnswer(s *openapi3.Schema, m message) string {
	ours := at(s, m.path)
	switch {
	case ours == nil:
		return "there is no " + m.path
	case m.kind != "any" && kindOf(ours) != m.kind && !wider(m.kind, kindOf(ours)):
		return m.path + " is " + kindOf(ours) + ", not " + m.kind
	case ours.Nullable && !m.nullable:
		return m.path + " may be null"
	}
	return ""
}

// wider reports whether whoever reads the one type can read the other.
func wider(theirs, ours string) bool {
	return theirs == "int" && strings.HasPrefix(ours, "int") || theirs == "string" && ours == "uuid"
}

// brokenRequest says how a field of ours refuses what may be sent.
func brokenRequest(s *openapi3.Schema, m message) string {
	ours := at(s, m.path)
	switch {
	case ours == nil:
		return m.path + " is not taken"
	case kindOf(ours) != "any" && kindOf(ours) != m.kind && m.kind != "uuid":
		return m.path + " is " + kindOf(ours) + ", not " + m.kind
	case m.nullable && !ours.Nullable:
		return m.path + " may not be null"
	}
	return ""
}

// demanded are the fields that ours requires and the published one does not.
func demanded(s *openapi3.Schema, shape []message) []string {
	_, required := members(s)
	var out []string
	for _, name := range required {
		if !slices.ContainsFunc(shape, func(m message) bool { return m.path == name && m.needed }) {
			out = append(out, name)
		}
	}
	return out
}

// Whoever was admitted is admitted, every published parameter is read, everything that may be sent is taken, and every published
// field is answered, with its type. That answers are as the document says is checked wherever one is given in these tests.
func TestPublishedMessagesAreKept(t *testing.T) {
	t.Parallel()
	doc := loadContract(t).doc
	ops := map[string]*openapi3.Operation{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			ops[op.OperationID] = op
		}
	}
	access := accesstest.Operations(doc)
	// They take whole objects, of which they let alone what cannot be changed.
	whole := map[string]bool{"update_generator": true, "update_stack": true}
	all, shapes := publishedFields(t)
	fields := 0
	for _, p := range all {
		op := ops[p.op]
		if op == nil {
			t.Errorf("%s is not there", p.op)
			continue
		}
		for _, role := range []tenancy.Role{tenancy.RoleAdmin, tenancy.RoleGenerator, tenancy.RoleAgent} {
			if got, want := identity.Admit(access[p.op].Access, role) == nil, slices.Contains(p.who, string(role)); got != want {
				t.Errorf("%s admits %s: %t, want %t (x-brokkr-access is %q)", p.op, role, got, want, access[p.op].Access)
			}
		}
		for _, name := range p.query {
			if q := op.Parameters.GetByInAndName("query", name); q == nil || q.Required {
				t.Errorf("%s: the query's %s is not there, or must be", p.op, name)
			}
		}
		if p.send != "" {
			body := op.RequestBody.Value.Content.Get("application/json").Schema.Value
			if kind, bare := strings.CutPrefix(p.send, ":"); bare {
				if kindOf(body) != kind {
					t.Errorf("%s takes %s, not %s", p.op, kindOf(body), kind)
				}
			} else {
				for _, m := range shapes[p.send] {
					fields++
					if wrong := brokenRequest(body, m); wrong != "" && (!whole[p.op] || !strings.HasSuffix(wrong, "not taken")) {
						t.Errorf("%s, sent: %s", p.op, wrong)
					}
				}
				if more := demanded(body, shapes[p.send]); len(more) > 0 {
					t.Errorf("%s demands %v", p.op, more)
				}
			}
		}
		if p.answer != "" {
			fields += answered(t, p, op, shapes)
		}
	}
	if len(all) < 90 || fields < 700 {
		t.Errorf("%d operations with %d fields, want the whole contract", len(all), fields)
	}
	t.Logf("contract: %d operations, %d shapes, %d fields", len(all), len(shapes), fields)
}

func answered(t *testing.T, p promises, op *openapi3.Operation, shapes map[string][]message) int {
	t.Helper()
	var body *openapi3.Schema
	for _, status := range []string{"201", "200"} {
		if r := op.Responses.Value(status); body == nil && r != nil && r.Value.Content.Get("application/json") != nil {
			body = r.Value.Content.Get("application/json").Schema.Value
		}
	}
	shape, list := strings.CutPrefix(p.answer, "[]")
	if body == nil || list != (kindOf(body) == "list") {
		t.Errorf("%s does not answer %s", p.op, p.answer)
		return 0
	}
	if list {
		body = body.Items.Value
	}
	if kind, bare := strings.CutPrefix(shape, ":"); bare {
		if kindOf(body) != kind {
			t.Errorf("%s answers %s, not %s", p.op, kindOf(body), kind)
		}
		return 0
	}
	if shapes[shape] == nil {
		t.Errorf("%s: there is no shape %s", p.op, shape)
	}
	for _, m := range shapes[shape] {
		if wrong := brokenAnswer(body, m); wrong != "" {
			t.Errorf("%s, answered: %s", p.op, wrong)
		}
	}
	return len(shapes[shape])
}

// A break is found: the test above is not blind.
func TestBrokenMessagesAreFound(t *testing.T) {
	t.Parallel()
	text := openapi3.NewStringSchema()
	maybe := openapi3.NewUUIDSchema().WithNullable()
	s := openapi3.NewObjectSchema().WithProperty("name", text).WithProperty("id", maybe).WithProperty("list", openapi3.NewArraySchema().WithItems(
		openapi3.NewObjectSchema().WithProperty("n", openapi3.NewInt32Schema())))
	s.Required = []string{"name"}
	for want, m := range map[string]message{
		"": {path: "list[].n", kind: "int32"}, "there is no other": {path: "other", kind: "string"}, "name is string, not uuid": {path: "name", kind: "uuid"},
		"id may be null": {path: "id", kind: "uuid"}, "list[].n is int32, not int64": {path: "list[].n", kind: "int64"},
	} {
		if got := brokenAnswer(s, m); got != want {
			t.Errorf("answer %+v: got %q, want %q", m, got, want)
		}
	}
	for want, m := range map[string]message{
		"": {path: "id", kind: "uuid", nullable: true}, "other is not taken": {path: "other", kind: "string"}, "name is string, not bool": {path: "name", kind: "bool"},
		"name may not be null": {path: "name", kind: "string", nullable: true},
	} {
		if got := brokenRequest(s, m); got != want {
			t.Errorf("request %+v: got %q, want %q", m, got, want)
		}
	}
	if got := demanded(s, []message{{path: "name"}}); !slices.Equal(got, []string{"name"}) {
		t.Errorf("demanded: got %v, want name", got)
	}
}
