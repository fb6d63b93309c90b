// Package misfit says what of a value does not fit a JSON schema. It exists so that the parameters of templates and the values of
// charts are complained about in the same words, and never with the value itself: it may be a secret.
package misfit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Most is how many problems List tells; how many more there are is told in one line behind them.
const Most = 20

// List returns what err, which a schema's Validate gave, complains about: a line a problem, "place: what is wrong", sorted and each
// once. Place spells where in the value a problem is. It is false for an error that is not about the value.
func List(err error, place func(path []string) string) ([]string, bool) {
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return nil, false
	}
	var out []string
	collect(e, place, message.NewPrinter(language.English), &out)
	slices.Sort(out)
	out = slices.Compact(out)
	if more := len(out) - Most; more > 0 {
		out = append(out[:Most], fmt.Sprintf("and %d more", more))
	}
	return out, true
}

// collect lists the leaves of a validation error.
func collect(e *jsonschema.ValidationError, place func([]string) string, p *message.Printer, out *[]string) {
	if len(e.Causes) == 0 {
		*out = append(*out, place(e.InstanceLocation)+": "+problem(e.ErrorKind, p))
		return
	}
	for _, cause := range e.Causes {
		collect(cause, place, p, out)
	}
}

// problem says what is wrong without the value that is.
func problem(k jsonschema.ErrorKind, p *message.Printer) string {
	switch k := k.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", k.Want)
	case *kind.Format:
		return fmt.Sprintf("is no valid %s", k.Want)
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum, *kind.MultipleOf:
		_, want, _ := strings.Cut(k.LocalizedString(p), "want ")
		return fmt.Sprintf("%s: want %s", strings.Join(k.KeywordPath(), "/"), want)
	default:
		return k.LocalizedString(p)
	}
}
