package misfit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/colliery-io/brokkr/pkg/misfit"
)

func validate(t *testing.T, schema string, value any) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://brokkr.invalid/s", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://brokkr.invalid/s")
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

func TestListTellsEachProblemWithItsPlaceAndWithoutTheValue(t *testing.T) {
	t.Parallel()
	const schema = `{"type":"object","required":["name"],"properties":{"pin":{"pattern":"^[0-9]+$"},"at":{"format":"ipv4"},"n":{"maximum":7},"in":{"properties":{"x":{"type":"string"}}}}}`
	err := validate(t, schema, map[string]any{"pin": "secret-1", "at": "secret-2", "n": 1234567, "in": map[string]any{"x": true}})
	got, ok := misfit.List(err, func(path []string) string { return "<" + strings.Join(path, "|") + ">" })
	want := []string{
		"<>: missing property 'name'", "<at>: is no valid ipv4", "<in|x>: got boolean, want string", "<n>: maximum: want 7", `<pin>: does not match the pattern "^[0-9]+$"`,
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("list: %t (-want +got)\n%s", ok, diff)
	}
}

func TestListIsBounded(t *testing.T) {
	t.Parallel()
	many := map[string]any{}
	for i := range 50 {
		many[fmt.Sprintf("k%02d", i)] = 1
	}
	got, ok := misfit.List(validate(t, `{"additionalProperties":{"type":"string"}}`, many), func(path []string) string { return strings.Join(path, ".") })
	if !ok || len(got) != misfit.Most+1 || got[0] != "k00: got number, want string" || got[misfit.Most] != "and 30 more" {
		t.Errorf("got %t, %q; want %d problems and how many more", ok, got, misfit.Most)
	}
	if got, ok := misfit.List(errors.New("something else"), nil); ok || got != nil {
		t.Errorf("an error that is none of a value: got %v, %t", got, ok)
	}
}
