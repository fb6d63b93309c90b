package tera

import (
	"slices"
	"strings"
)

// signature says which arguments something takes by name; of those before optional none may be missing.
type signature struct {
	must, may []string
}

func (s signature) check(what string, c call) error {
	for _, a := range c.args {
		if a.name == "" {
			return syntax(c.line, "%s takes its arguments by name: %s", what, strings.Join(append(slices.Clone(s.must), s.may...), ", "))
		}
		if !slices.Contains(s.must, a.name) && !slices.Contains(s.may, a.name) {
			return syntax(c.line, "%s has no argument %q", what, a.name)
		}
	}
	for _, name := range s.must {
		if !slices.ContainsFunc(c.args, func(a arg) bool { return a.name == name }) {
			return syntax(c.line, "%s wants the argument %q", what, name)
		}
	}
	return nil
}

// args are the evaluated arguments of a call.
type args map[string]any

func (r *run) args(c call) (args, error) {
	out := make(args, len(c.args))
	for _, a := range c.args {
		v, err := a.x.eval(r)
		if err != nil {
			return nil, err
		}
		out[a.name] = v
	}
	r.line = c.line
	return out, nil
}

func (r *run) wrong(c call, name string, v any, want string) error {
	return r.failed("%s wants %s for %s, and it is %s", c.name, want, name, typeName(v))
}

// text returns an argument that is a string, or its default.
func (a args) text(r *run, c call, name, otherwise string) (string, error) {
	v, ok := a[name]
	if !ok {
		return otherwise, nil
	}
	s, ok := v.(string)
	if !ok {
		return "", r.wrong(c, name, v, "a string")
	}
	return s, nil
}

// whole returns an argument that is a whole number, or its default.
func (a args) whole(r *run, c call, name string, otherwise int64) (int64, error) {
	v, ok := a[name]
	if !ok {
		return otherwise, nil
	}
	n, ok := v.(int64)
	if !ok {
		return 0, r.wrong(c, name, v, "a whole number")
	}
	return n, nil
}

// truth returns an argument that is true or false, or its default.
func (a args) truth(r *run, c call, name string, otherwise bool) (bool, error) {
	v, ok := a[name]
	if !ok {
		return otherwise, nil
	}
	b, ok := v.(bool)
	if !ok {
		return false, r.wrong(c, name, v, "true or false")
	}
	return b, nil
}

func checkFunction(c call) error {
	switch c.name {
	case "range":
		return signature{must: []string{"end"}, may: []string{"start", "step_by"}}.check("range", c)
	case "throw":
		return signature{must: []string{"message"}}.check("throw", c)
	case "now", "get_random", "get_env":
		return syntax(c.line, "%s is not available: a template sees its parameters alone, no clock, no chance and no environment", c.name)
	case "super":
		return syntax(c.line, "super is not available: a template reads no other templates")
	default:
		return syntax(c.line, "there is no function %q", c.name)
	}
}

func (x function) eval(r *run) (any, error) {
	a, err := r.args(x.call)
	if err != nil {
		return nil, err
	}
	if x.call.name == "throw" {
		message, err := a.text(r, x.call, "message", "")
		if err != nil {
			return nil, err
		}
		if len(message) > 500 {
			message = strings.ToValidUTF8(message[:500], "")
		}
		return nil, r.failed("%s", message)
	}
	return r.numbers(x.call, a)
}

// numbers is the function range.
func (r *run) numbers(c call, a args) (any, error) {
	start, err := a.whole(r, c, "start", 0)
	if err != nil {
		return nil, err
	}
	end, err := a.whole(r, c, "end", 0)
	if err != nil {
		return nil, err
	}
	by, err := a.whole(r, c, "step_by", 1)
	if err != nil {
		return nil, err
	}
	if by < 1 {
		return nil, r.failed("range wants a step_by of 1 or more")
	}
	if start > end {
		return nil, r.failed("range begins after its end")
	}
	if end == start {
		return []any{}, nil
	}
	n := uint64(end) - uint64(start) - 1 // as unsigned numbers, the distance always fits
	n = n/uint64(by) + 1
	if n > uint64(r.t.limits.Steps) {
		return nil, r.tooMuch("the template takes more than %d steps", r.t.limits.Steps)
	}
	if err := r.make(int(n) * slot); err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		out[i] = start + int64(i)*by
	}
	return out, nil
}

func (x macroCall) eval(r *run) (any, error) {
	m := r.t.macros[x.call.name]
	a, err := r.args(x.call)
	if err != nil {
		return nil, err
	}
	frame := make(map[string]any, len(m.params))
	for _, p := range m.params {
		v, given := a[p.name]
		if !given && p.must {
			return nil, r.failed("macro %s wants its parameter %s", m.name, p.name)
		}
		if !given {
			v = p.value
		}
		frame[p.name] = v
	}
	if r.calls++; r.calls > r.t.limits.Calls {
		return nil, r.tooMuch("macros call each other deeper than %d times", r.t.limits.Calls)
	}
	frames := r.frames
	r.frames = []map[string]any{frame}
	text, _, err := r.capture(m.body)
	r.frames = frames
	r.calls--
	r.line = x.call.line
	return text, err
}

func (x filtered) eval(r *run) (any, error) {
	if x.call.name == "default" {
		v, found, err := locate(r, x.x)
		if err != nil {
			return nil, err
		}
		if found {
			return v, nil
		}
		a, err := r.args(x.call)
		return a["value"], err
	}
	v, err := x.x.eval(r)
	if err != nil {
		return nil, err
	}
	return applyFilter(r, x.call, v)
}
