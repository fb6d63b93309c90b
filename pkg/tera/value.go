package tera

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// typeName is what messages call a value; they never show one.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth value"
	case string:
		return "a string"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "something unknown"
	}
}

// truthy says what a value means as a condition: nothing, zero and what is empty are false.
func truthy(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case int64:
		return v != 0
	case float64:
		return v != 0 && !math.IsNaN(v)
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	default:
		return false
	}
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}

func negated(v any) (any, bool) {
	switch v := v.(type) {
	case int64:
		return -v, v != math.MinInt64
	case float64:
		return -v, true
	default:
		return nil, false
	}
}

// number is how a number is written: never with an exponent, a whole one without a point.
func number(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
}

// sortedKeys returns an object's keys in order, so that a template gives the same text each time.
func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// output takes what a template writes. A page counts against the limit of output, anything else against that of memory.
type output struct {
	run  *run
	page bool
	text strings.Builder
}

func (o *output) write(s string) error {
	if o.page {
		if o.text.Len()+len(s) > o.run.t.limits.Output {
			return o.run.tooMuch("the text has more than %d bytes", o.run.t.limits.Output)
		}
	} else if err := o.run.make(len(s)); err != nil {
		return err
	}
	o.text.WriteString(s)
	return nil
}

// value writes v as {{ v }} does.
func (o *output) value(v any, depth int) error {
	if err := o.run.step(1); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return o.write(v)
	case bool:
		return o.write(strconv.FormatBool(v))
	case int64, float64:
		return o.write(number(v))
	case map[string]any:
		return o.write("[object]")
	case []any:
		if depth >= o.run.t.limits.Nesting {
			return o.run.tooMuch("a value is nested deeper than %d levels", o.run.t.limits.Nesting)
		}
		return o.list(v, depth)
	default:
		return o.run.failed("a parameter is no JSON value")
	}
}

func (o *output) list(v []any, depth int) error {
	if err := o.write("["); err != nil {
		return err
	}
	for i, item := range v {
		if i > 0 {
			if err := o.write(", "); err != nil {
				return err
			}
		}
		if err := o.value(item, depth+1); err != nil {
			return err
		}
	}
	return o.write("]")
}

// text returns v as {{ v }} writes it.
func (r *run) text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	o := &output{run: r}
	err := o.value(v, 0)
	return o.text.String(), err
}

// equal compares by value; numbers as numbers.
func (r *run) equal(a, b any, depth int) (bool, error) {
	if err := r.step(1); err != nil {
		return false, err
	}
	if depth > r.t.limits.Nesting {
		return false, r.tooMuch("a value is nested deeper than %d levels", r.t.limits.Nesting)
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return x == y, nil
		}
		y, ok := b.(float64)
		return ok && float64(x) == y, nil
	case float64:
		y, ok := float(b)
		return ok && x == y, nil
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if same, err := r.equal(x[i], y[i], depth+1); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok {
				return false, nil
			}
			if same, err := r.equal(v, w, depth+1); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case string:
		y, ok := b.(string)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return x == y, r.step(len(x) / 64)
	default:
		return a == b, nil // null and truth values
	}
}

// compare orders two numbers or two strings.
func (r *run) compare(a, b any) (int, error) {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), r.step(1 + min(len(x), len(y))/64)
		}
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return order(x, y), nil
		}
	}
	x, ok := float(a)
	y, also := float(b)
	if !ok || !also {
		return 0, r.failed("%s and %s have no order", typeName(a), typeName(b))
	}
	return order(x, y), nil
}

func order[T int64 | float64](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	default:
		return 0
	}
}

// contains reports whether v is in a list, is a part of a string or a key of an object.
func (r *run) contains(in, v any) (bool, error) {
	switch in := in.(type) {
	case []any:
		for _, item := range in {
			if same, err := r.equal(item, v, 0); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case string:
		s, ok := v.(string)
		if !ok {
			return false, r.failed("only a string can be in a string, not %s", typeName(v))
		}
		return strings.Contains(in, s), r.step(1 + len(in)/64)
	case map[string]any:
		s, ok := v.(string)
		if !ok {
			return false, r.failed("only a string can be a key of an object, not %s", typeName(v))
		}
		_, ok = in[s]
		return ok, nil
	default:
		return false, r.failed("nothing can be in %s", typeName(in))
	}
}

// lengthOf counts elements, keys or characters; 0 for anything else, as Tera has it.
func lengthOf(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	case string:
		return utf8.RuneCountInString(v)
	default:
		return 0
	}
}
