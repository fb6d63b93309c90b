package precondition_test

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		states []string
		ok     bool
	}{
		"the state": {[]string{"a"}, true}, "one of several": {[]string{"x", "a"}, true}, "any": {[]string{precondition.Any}, true},
		"another": {[]string{"b"}, false}, "none": {[]string{}, false},
	}
	for name, c := range cases {
		err := precondition.Check(precondition.With(t.Context(), c.states), "a")
		if (err == nil) != c.ok || (err != nil && (!fault.Is(err, fault.Conflict) || fault.CodeOf(err) != precondition.Code)) {
			t.Errorf("%s: got %v, want it to hold: %t", name, err, c.ok)
		}
	}
	if err := precondition.Check(t.Context(), "a"); err != nil {
		t.Errorf("without a condition: %v", err)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	text := "x"
	states := map[string]string{
		"plain": precondition.State("a", "b"), "split elsewhere": precondition.State("ab", ""), "a pointer": precondition.State("a", &text),
		"nothing": precondition.State("a", nil), "not for JSON": precondition.State(make(chan int)),
	}
	seen := map[string]string{}
	for name, s := range states {
		if other, twice := seen[s]; twice || s == "" {
			t.Errorf("%s and %s have the state %q", name, other, s)
		}
		seen[s] = name
	}
	if again := "x"; precondition.State("a", &again) != states["a pointer"] {
		t.Error("the same fields give another state")
	}
}
