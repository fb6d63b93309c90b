// Package tera renders templates in the language of Tera (Jinja-like), so that templates written for it keep working,
// within bounds: a render reaches nothing but its parameters (no files, network, environment, clock or randomness) and ends
// by itself, on the goroutine of its caller, when a limit or the context says so. Every evaluation, loop turn and visited element
// costs a step, every text or list that an expression makes costs its bytes before it is made. docs/templates.md lists what
// of Tera there is.
package tera

import (
	"context"
	"fmt"
)

// Limits bound a template and one render of it.
type Limits struct {
	Template int // bytes of the source
	Nesting  int // of blocks, of parentheses and lists, and of values
	Terms    int // of one expression
	Steps    int // evaluations, loop turns and visited elements of one render
	Memory   int // bytes that the expressions of one render make, in sum
	Output   int // bytes that one render writes
	Calls    int // macros that call each other
}

// DefaultLimits returns limits that let a bundle of thousands of manifests through and stop a hostile template within a second or so.
func DefaultLimits() Limits {
	return Limits{Template: 256 << 10, Nesting: 64, Terms: 1000, Steps: 1_000_000, Memory: 32 << 20, Output: 16 << 20, Calls: 32}
}

// Kind says what went wrong.
type Kind uint8

// The kinds.
const (
	Syntax  Kind = iota // the template is none, whatever the parameters
	Failed              // it cannot be rendered with these parameters
	TooMuch             // it wants more than the limits allow
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Syntax:
		return "syntax"
	case Failed:
		return "failed"
	case TooMuch:
		return "too much"
	default:
		return "unknown"
	}
}

// Error is what is wrong with a template or a render, and in which line of the template (from 1; 0: of none). Its message
// names variables, never their values.
type Error struct {
	Kind    Kind
	Line    int
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// Template is a parsed template; it never changes and may be rendered by many at once.
type Template struct {
	body   []stmt
	macros map[string]*macro
	limits Limits
}

// Parse reads a template; what is wrong with it is an *Error of kind Syntax, or TooMuch for one that is too large.
func Parse(source string, l Limits) (*Template, error) {
	if len(source) > l.Template {
		return nil, &Error{Kind: TooMuch, Message: fmt.Sprintf("the template has %d bytes, more than %d", len(source), l.Template)}
	}
	tokens, err := scan(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, limits: l, macros: map[string]*macro{}}
	body, err := p.template()
	if err != nil {
		return nil, err
	}
	return &Template{body: body, macros: p.macros, limits: l}, nil
}

// Render returns the text for these parameters, which are JSON values: nil, bool, string, int64, float64, []any and
// map[string]any. What cannot be rendered is an *Error; a context that ends is returned as it is, wrapped.
func (t *Template) Render(ctx context.Context, params map[string]any) (string, error) {
	r := &run{ctx: ctx, t: t, params: params, frames: []map[string]any{{}}}
	r.out = &output{run: r, page: true}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("render: %w", err)
	}
	if _, err := r.all(t.body); err != nil {
		return "", err
	}
	return r.out.text.String(), nil
}
