package tera

import (
	"context"
	"fmt"
)

// run is one render: its variables, its output, and what it has used of its limits.
type run struct {
	ctx    context.Context
	t      *Template
	params map[string]any
	frames []map[string]any // variables; the first are those of the template, or of the macro that runs
	out    *output
	line   int // of what runs
	steps  int
	memory int
	calls  int
	polled int
}

const pollEvery = 1024 // steps between two looks at the context

func (r *run) failed(format string, args ...any) error {
	return &Error{Kind: Failed, Line: r.line, Message: fmt.Sprintf(format, args...)}
}

func (r *run) tooMuch(format string, args ...any) error {
	return &Error{Kind: TooMuch, Line: r.line, Message: fmt.Sprintf(format, args...)}
}

// step takes n steps, or says that there are none left.
func (r *run) step(n int) error {
	r.steps += n
	if r.steps > r.t.limits.Steps || r.steps < 0 {
		return r.tooMuch("the template takes more than %d steps", r.t.limits.Steps)
	}
	if r.steps-r.polled >= pollEvery {
		r.polled = r.steps
		if err := r.ctx.Err(); err != nil {
			return fmt.Errorf("render: line %d: %w", r.line, err)
		}
	}
	return nil
}

// make takes n bytes before they are made; each 64 of them cost a step too, for the work of making them.
func (r *run) make(n int) error {
	r.memory += n
	if r.memory > r.t.limits.Memory || r.memory < 0 || n < 0 {
		return r.tooMuch("the template makes more than %d bytes of values", r.t.limits.Memory)
	}
	return r.step(n / 64)
}

const slot = 32 // bytes of a list's element or an object's entry, about

func (r *run) all(body []stmt) (signal, error) {
	for _, s := range body {
		if err := r.step(1); err != nil {
			return onwards, err
		}
		if sig, err := s.exec(r); sig != onwards || err != nil {
			return sig, err
		}
	}
	return onwards, nil
}

func (s textStmt) exec(r *run) (signal, error) { return onwards, r.out.write(s.text) }

func (s printStmt) exec(r *run) (signal, error) {
	r.line = s.line
	v, err := s.x.eval(r)
	if err != nil {
		return onwards, err
	}
	return onwards, r.out.value(v, 0)
}

func (s setStmt) exec(r *run) (signal, error) {
	v, err := s.x.eval(r)
	if err != nil {
		return onwards, err
	}
	frame := r.frames[len(r.frames)-1]
	if s.global {
		frame = r.frames[0]
	}
	if err := r.make(slot); err != nil {
		return onwards, err
	}
	frame[s.name] = v
	return onwards, nil
}

func (s ifStmt) exec(r *run) (signal, error) {
	for _, b := range s.branches {
		if b.cond != nil {
			ok, err := r.holds(b.cond)
			if err != nil {
				return onwards, err
			}
			if !ok {
				continue
			}
		}
		return r.all(b.body)
	}
	return onwards, nil
}

// holds evaluates a condition; a variable that is not there is false.
func (r *run) holds(x expr) (bool, error) {
	if p, ok := x.(place); ok {
		v, _, err := p.find(r)
		return truthy(v), err
	}
	v, err := x.eval(r)
	return truthy(v), err
}

func (s jumpStmt) exec(*run) (signal, error) { return s.to, nil }

func (s filterStmt) exec(r *run) (signal, error) {
	text, sig, err := r.capture(s.body)
	if err != nil || sig != onwards {
		return sig, err
	}
	v, err := applyFilter(r, s.call, text)
	if err != nil {
		return onwards, err
	}
	return onwards, r.out.value(v, 0)
}

// capture returns what body writes.
func (r *run) capture(body []stmt) (string, signal, error) {
	out := r.out
	r.out = &output{run: r}
	sig, err := r.all(body)
	text := r.out.text.String()
	r.out = out
	return text, sig, err
}

func (s forStmt) exec(r *run) (signal, error) {
	r.line = s.line
	in, err := s.in.eval(r)
	if err != nil {
		return onwards, err
	}
	keys, values, err := s.entries(r, in)
	if err != nil {
		return onwards, err
	}
	if len(values) == 0 {
		return r.all(s.otherwise)
	}
	depth := len(r.frames)
	r.frames = append(r.frames, nil)
	defer func() { r.frames = r.frames[:depth] }()
	for i, v := range values {
		if err := r.step(1); err != nil {
			return onwards, err
		}
		frame := map[string]any{s.value: v, "loop": turn{index: i, last: i == len(values)-1}}
		if s.key != "" {
			frame[s.key] = keys[i]
		}
		r.frames[depth] = frame
		sig, err := r.all(s.body)
		if err != nil {
			return onwards, err
		}
		if sig == broke {
			break
		}
	}
	return onwards, nil
}

// turn is the variable loop.
type turn struct {
	index int
	last  bool
}

func (t turn) field(name string) (any, bool) {
	switch name {
	case "index":
		return int64(t.index + 1), true
	case "index0":
		return int64(t.index), true
	case "first":
		return t.index == 0, true
	case "last":
		return t.last, true
	default:
		return nil, false
	}
}

// entries returns what a loop goes over: elements, characters, or keys in order with their values.
func (s forStmt) entries(r *run, in any) (keys []string, values []any, err error) {
	switch in := in.(type) {
	case []any:
		if s.key != "" {
			return nil, nil, r.failed("a list has elements alone, and the loop wants keys and values")
		}
		return nil, in, nil
	case map[string]any:
		if s.key == "" {
			return nil, nil, r.failed("an object has keys and values: {%% for key, value in ... %%}")
		}
		if err := r.make(len(in) * slot); err != nil {
			return nil, nil, err
		}
		keys = sortedKeys(in)
		for _, k := range keys {
			values = append(values, in[k])
		}
		return keys, values, nil
	case string:
		if s.key != "" {
			return nil, nil, r.failed("a string has characters alone, and the loop wants keys and values")
		}
		values, err = characters(r, in)
		return nil, values, err
	default:
		return nil, nil, r.failed("a loop goes over a list, an object or a string, not over %s", typeName(in))
	}
}

func characters(r *run, s string) ([]any, error) {
	if err := r.make(len(s) * slot); err != nil {
		return nil, err
	}
	var out []any
	for _, c := range s {
		out = append(out, string(c))
	}
	return out, nil
}
