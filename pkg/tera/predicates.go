package tera

import (
	"errors"
	"math"
	"regexp"
	resyntax "regexp/syntax"
	"strings"
)

// The most that a regular expression may be: bytes, and instructions of its compiled form.
const (
	maxPattern = 256
	maxProgram = 2000
)

func checkTest(c call) error {
	n := 0
	switch c.name {
	case "defined", "undefined", "odd", "even", "string", "number", "iterable", "object":
	case "divisibleby", "starting_with", "ending_with", "containing", "matching":
		n = 1
	default:
		return syntax(c.line, "there is no test %q", c.name)
	}
	if len(c.args) != n {
		return syntax(c.line, "the test %s takes %d arguments, not %d", c.name, n, len(c.args))
	}
	if n == 1 && c.name == "matching" {
		if l, ok := c.args[0].x.(literal); ok {
			if pattern, ok := l.v.(string); ok {
				if _, _, err := compile(pattern); err != "" {
					return syntax(c.line, "%s", err)
				}
			}
		}
	}
	return nil
}

// Pattern compiles a regular expression of at most 256 bytes and 2000 instructions. It returns the number of its
// instructions too: what matching a text costs, at worst, is that times the length of the text.
func Pattern(pattern string) (*regexp.Regexp, int, error) {
	re, size, wrong := compile(pattern)
	if wrong != "" {
		return nil, 0, &Error{Kind: Failed, Message: wrong}
	}
	return re, size, nil
}

// compile returns a regular expression and the size of its program, or what is wrong with it. Its engine takes linear time.
func compile(pattern string) (*regexp.Regexp, int, string) {
	if len(pattern) > maxPattern {
		return nil, 0, "the regular expression is longer than 256 bytes"
	}
	tree, err := resyntax.Parse(pattern, resyntax.Perl)
	if err != nil {
		return nil, 0, notRegular(err)
	}
	program, err := resyntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, notRegular(err)
	}
	if len(program.Inst) > maxProgram {
		return nil, 0, "the regular expression repeats too much"
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, 0, notRegular(err)
	}
	return re, len(program.Inst), ""
}

// notRegular says what is wrong with a regular expression, without showing it.
func notRegular(err error) string {
	var e *resyntax.Error
	if errors.As(err, &e) {
		return "the regular expression is not valid: " + e.Code.String()
	}
	return "the regular expression is not valid"
}

func (x testExpr) eval(r *run) (any, error) {
	v, found, err := locate(r, x.x)
	if err != nil {
		return nil, err
	}
	r.line = x.call.line
	if x.call.name == "defined" || x.call.name == "undefined" {
		return found == (x.call.name == "defined") != x.not, nil
	}
	if !found {
		return nil, r.failed("%s is not there, and its test is %s", pathOf(x.x), x.call.name)
	}
	ok, err := x.passes(r, v)
	return ok != x.not, err
}

func (x testExpr) passes(r *run, v any) (bool, error) {
	switch x.call.name {
	case "string":
		_, ok := v.(string)
		return ok, nil
	case "number":
		_, ok := float(v)
		return ok, nil
	case "object":
		_, ok := v.(map[string]any)
		return ok, nil
	case "iterable":
		_, list := v.([]any)
		_, object := v.(map[string]any)
		return list || object, nil
	case "odd", "even":
		f, ok := float(v)
		if !ok {
			return false, r.failed("the test %s wants a number, not %s", x.call.name, typeName(v))
		}
		return (math.Mod(f, 2) != 0) == (x.call.name == "odd"), nil
	}
	a, err := x.call.args[0].x.eval(r)
	if err != nil {
		return false, err
	}
	r.line = x.call.line
	if x.call.name == "containing" {
		return r.contains(v, a)
	}
	if x.call.name == "divisibleby" {
		f, ok := float(v)
		by, also := float(a)
		if !ok || !also {
			return false, r.failed("the test divisibleby wants two numbers")
		}
		return by != 0 && math.Mod(f, by) == 0, nil
	}
	return x.passesText(r, v, a)
}

func (x testExpr) passesText(r *run, v, a any) (bool, error) {
	s, ok := v.(string)
	p, also := a.(string)
	if !ok || !also {
		return false, r.failed("the test %s wants two strings", x.call.name)
	}
	if err := r.step(1 + len(p)/16); err != nil {
		return false, err
	}
	switch x.call.name {
	case "starting_with":
		return strings.HasPrefix(s, p), nil
	case "ending_with":
		return strings.HasSuffix(s, p), nil
	default: // matching
		re, size, wrong := compile(p)
		if wrong != "" {
			return false, r.failed("%s", wrong)
		}
		// Compiling, and each character against each instruction.
		if err := r.step(10*size + len(s)*size/16); err != nil {
			return false, err
		}
		return re.MatchString(s), nil
	}
}
