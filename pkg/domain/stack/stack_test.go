package stack_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func TestCheckLabel(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		label string
		ok    bool
	}{
		"a word":                {"prod", true},
		"a colon":               {"env:prod", true},
		"a character":           {"x", true},
		"64 bytes":              {strings.Repeat("x", 64), true},
		"letters of the world":  {"größe-東京", true},
		"nothing":               {"", false},
		"65 bytes":              {strings.Repeat("x", 65), false},
		"33 letters of 2 bytes": {strings.Repeat("é", 33), false},
		"a space":               {"two words", false},
		"a space at the end":    {"prod ", false},
		"a tab":                 {"a\tb", false},
		"a line break":          {"a\nb", false},
		"a zero byte":           {"a\x00b", false},
		"a delete character":    {"a\x7fb", false},
		"a no-break space":      {"a\u00a0b", false},
		"a line separator":      {"a\u2028b", false},
		"a C1 control":          {"a\u0085b", false},
		"an ideographic space":  {"a\u3000b", false},
	} {
		err := stack.CheckLabel(c.label)
		if c.ok && err != nil {
			t.Errorf("%s: %v", reason, err)
		}
		if !c.ok && (!fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_label") {
			t.Errorf("%s: got %v, want Invalid invalid_label", reason, err)
		}
	}
}

// fits says by the rule's words what may be a label, a key or a value.
func fits(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// text draws what people and fuzzers write.
func text() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringN(0, 70, 80), rapid.StringMatching(`[a-z:./=_-]{0,70}`), rapid.StringOfN(rapid.RuneFrom([]rune("a \t\n\u00a0\u0085é")), 0, 8, -1))
}

func TestCheckLabelByItsWords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := text().Draw(t, "label")
		if err := stack.CheckLabel(s); (err == nil) != fits(s) {
			t.Fatalf("label %q: got %v, want accepted %v", s, err, fits(s))
		}
	})
}

func TestCheckAnnotation(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		key, value string
		ok         bool
	}{
		"key and value":   {"region", "eu-west", true},
		"longest":         {strings.Repeat("k", 64), strings.Repeat("v", 64), true},
		"no key":          {"", "v", false},
		"no value":        {"k", "", false},
		"key too long":    {strings.Repeat("k", 65), "v", false},
		"value too long":  {"k", strings.Repeat("v", 65), false},
		"space in key":    {"a b", "v", false},
		"space in value":  {"k", "a b", false},
		"a line in value": {"k", "a\nb", false},
	} {
		err := stack.CheckAnnotation(c.key, c.value)
		if c.ok && err != nil {
			t.Errorf("%s: %v", reason, err)
		}
		if !c.ok && (!fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_annotation") {
			t.Errorf("%s: got %v, want Invalid invalid_annotation", reason, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		k, v := text().Draw(t, "key"), text().Draw(t, "value")
		if err := stack.CheckAnnotation(k, v); (err == nil) != (fits(k) && fits(v)) {
			t.Fatalf("annotation %q=%q: got %v, want accepted %v", k, v, err, fits(k) && fits(v))
		}
	})
}
