// Package healthrule evaluates rules in CEL that say how an object of Kubernetes is. Api and agent read them alike: what the one
// accepts the other can run.
package healthrule

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/ext"

	"github.com/colliery-io/brokkr/pkg/adapters/cel/bounded"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// Compiler compiles rules, each once for as long as it is remembered: many stacks have the same. Its environment is made by the
// first of them: who has none has no memory of it. It is safe for concurrent use.
type Compiler struct {
	env  func() (*cel.Env, error)
	done *bounded.Kept[*Rule]
}

const (
	kept    = 256 // rules that are remembered; what is forgotten is compiled again
	maxText = 500 // bytes of what a rule says that are told
)

// New returns a compiler.
func New() *Compiler {
	return &Compiler{done: bounded.Keep[*Rule](kept), env: sync.OnceValues(func() (*cel.Env, error) {
		env, err := cel.NewEnv(
			cel.Variable("object", cel.MapType(cel.StringType, cel.DynType)),
			cel.CrossTypeNumericComparisons(true),
			cel.OptionalTypes(),
			ext.Strings(),
		)
		if err != nil {
			return nil, fmt.Errorf("make the environment of health rules: %w", err)
		}
		return env, nil
	})}
}

// Check says what is wrong with an expression.
func (c *Compiler) Check(expression string) error {
	_, err := c.Compile(expression)
	return err
}

// Compile returns a rule. An error says what is wrong and where: no CEL, no text, a text that is written out and names no health,
// or costs that may be beyond bounded.CostLimit.
func (c *Compiler) Compile(expression string) (*Rule, error) {
	return c.done.Get(expression, c.compile)
}

func (c *Compiler) compile(expression string) (*Rule, error) {
	env, err := c.env()
	if err != nil {
		return nil, err
	}
	checked, _, err := bounded.Check(env, expression, bounded.Kind{Type: cel.StringType, Not: "not a text such as 'healthy'", Of: "one object"})
	if err != nil {
		return nil, err
	}
	native := checked.NativeRep()
	for _, text := range outcomes(native.Expr()) {
		if _, _, err := read(text.value); err != nil {
			at := native.SourceInfo().GetStartLocation(text.id)
			return nil, fmt.Errorf("%d:%d: %w", at.Line(), at.Column()+1, err)
		}
	}
	p, err := bounded.Counted(env, checked)
	if err != nil {
		return nil, err
	}
	return &Rule{p}, nil
}

// literal is a text that an expression gives as it is written.
type literal struct {
	id    int64
	value string
}

// outcomes returns the texts that stand where an expression ends: by itself, or behind conditions.
func outcomes(e ast.Expr) []literal {
	switch {
	case e.Kind() == ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			return []literal{{e.ID(), s}}
		}
	case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional:
		args := e.AsCall().Args()
		return slices.Concat(outcomes(args[1]), outcomes(args[2]))
	}
	return nil
}

// Rule says how an object is.
type Rule struct{ program cel.Program }

// Health returns how an object is, and why, if the rule says that. An error is a rule that cannot say it of this object: a field
// that is not there, a text that names no health, too much work. What the rule reads of the object is not changed.
func (r *Rule) Health(object map[string]any) (h delivery.Health, why string, err error) {
	out, _, err := r.program.Eval(map[string]any{"object": object})
	if err != nil {
		return delivery.HealthUnknown, "", err
	}
	text, ok := out.Value().(string)
	if !ok {
		return delivery.HealthUnknown, "", fmt.Errorf("it gives a value of type %s, not a text such as 'healthy'", out.Type().TypeName())
	}
	return read(text)
}

// read takes "degraded: the backup is late" apart.
func read(text string) (delivery.Health, string, error) {
	word, why, _ := strings.Cut(text, ":")
	h, err := delivery.ParseHealth(strings.TrimSpace(word))
	if err != nil {
		return delivery.HealthUnknown, "", fmt.Errorf("it gives %q, which does not begin with healthy, progressing, degraded, failing or unknown", short(text))
	}
	return h, short(strings.TrimSpace(why)), nil
}

// short cuts a text that is too long to be told, at a rune's end.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}
