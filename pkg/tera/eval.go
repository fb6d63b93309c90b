package tera

import (
	"math"
	"strconv"
)

// place is an expression that may lead to nothing.
type place interface {
	expr
	// find returns the value and whether there is one.
	find(r *run) (any, bool, error)
	path() string
}

func (x literal) eval(*run) (any, error) { return x.v, nil }

func (x nameRef) path() string { return x.name }

func (x nameRef) find(r *run) (any, bool, error) {
	if err := r.step(1); err != nil {
		return nil, false, err
	}
	for i := len(r.frames) - 1; i >= 0; i-- {
		if v, ok := r.frames[i][x.name]; ok {
			return v, true, nil
		}
	}
	v, ok := r.params[x.name]
	return v, ok, nil
}

func (x attrRef) path() string { return pathOf(x.x) + "." + x.key }

func pathOf(x expr) string {
	if p, ok := x.(place); ok {
		return p.path()
	}
	return "(...)"
}

func (x attrRef) find(r *run) (any, bool, error) {
	of, ok, err := locate(r, x.x)
	if err != nil || !ok {
		return nil, false, err
	}
	v, ok := attribute(of, x.key)
	return v, ok, nil
}

// locate evaluates what a path begins with, which may be nothing.
func locate(r *run, x expr) (any, bool, error) {
	if p, ok := x.(place); ok {
		return p.find(r)
	}
	v, err := x.eval(r)
	return v, err == nil, err
}

// attribute returns a value's part with this name or index.
func attribute(of any, key string) (any, bool) {
	switch of := of.(type) {
	case map[string]any:
		v, ok := of[key]
		return v, ok
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(of) {
			return nil, false
		}
		return of[i], true
	case turn:
		return of.field(key)
	default:
		return nil, false
	}
}

func (x indexRef) path() string { return pathOf(x.x) + "[...]" }

func (x indexRef) find(r *run) (any, bool, error) {
	of, ok, err := locate(r, x.x)
	if err != nil || !ok {
		return nil, false, err
	}
	i, err := x.i.eval(r)
	if err != nil {
		return nil, false, err
	}
	switch i := i.(type) {
	case string:
		v, ok := attribute(of, i)
		return v, ok, nil
	case int64:
		if l, isList := of.([]any); isList && i >= 0 && i < int64(len(l)) {
			return l[i], true, nil
		}
		return nil, false, nil
	default:
		return nil, false, r.failed("%s is indexed by %s, not by a name or a number", pathOf(x.x), typeName(i))
	}
}

// must evaluates a place that has to be there.
func must(r *run, p place, line int) (any, error) {
	v, ok, err := p.find(r)
	if err != nil {
		return nil, err
	}
	r.line = line
	if !ok {
		return nil, r.failed("%s is not there: no parameter and no variable has this name", p.path())
	}
	if _, loop := v.(turn); loop {
		return nil, r.failed("loop is used with one of its fields: loop.index, loop.index0, loop.first, loop.last")
	}
	return v, nil
}

func (x nameRef) eval(r *run) (any, error)  { return must(r, x, x.line) }
func (x attrRef) eval(r *run) (any, error)  { return must(r, x, x.line) }
func (x indexRef) eval(r *run) (any, error) { return must(r, x, x.line) }

func (x negation) eval(r *run) (any, error) {
	v, err := x.x.eval(r)
	if err != nil {
		return nil, err
	}
	r.line = x.line
	n, ok := negated(v)
	if !ok {
		return nil, r.failed("%s has no negative", typeName(v))
	}
	return n, nil
}

func (x notExpr) eval(r *run) (any, error) {
	ok, err := r.holds(x.x)
	return !ok, err
}

func (x logic) eval(r *run) (any, error) {
	ok, err := r.holds(x.l)
	if err != nil || ok != x.and {
		return ok, err
	}
	return r.holds(x.r)
}

func (x list) eval(r *run) (any, error) {
	if err := r.make(len(x.items) * slot); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(x.items))
	for _, item := range x.items {
		v, err := item.eval(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (x binary) eval(r *run) (any, error) {
	a, err := x.l.eval(r)
	if err != nil {
		return nil, err
	}
	b, err := x.r.eval(r)
	if err != nil {
		return nil, err
	}
	r.line = x.line
	if err := r.step(1); err != nil {
		return nil, err
	}
	switch x.op {
	case "==":
		return r.equal(a, b, 0)
	case "!=":
		same, err := r.equal(a, b, 0)
		return !same, err
	case "in":
		return r.contains(b, a)
	case "<", ">", "<=", ">=":
		c, err := r.compare(a, b)
		return x.op == "<" && c < 0 || x.op == ">" && c > 0 || x.op == "<=" && c <= 0 || x.op == ">=" && c >= 0, err
	case "~":
		return r.join(a, b)
	default:
		return r.calculate(x.op, a, b)
	}
}

func (r *run) join(a, b any) (any, error) {
	x, err := r.text(a)
	if err != nil {
		return nil, err
	}
	y, err := r.text(b)
	if err != nil {
		return nil, err
	}
	if err := r.make(len(x) + len(y)); err != nil {
		return nil, err
	}
	return x + y, nil
}

func (r *run) calculate(op string, a, b any) (any, error) {
	f, ok := float(a)
	g, also := float(b)
	if !ok || !also {
		hint := ""
		if op == "+" {
			hint = " (strings are joined by ~)"
		}
		return nil, r.failed("%s %s %s: only numbers are calculated with%s", typeName(a), op, typeName(b), hint)
	}
	if g == 0 && (op == "/" || op == "%") {
		return nil, r.failed("a division by zero")
	}
	x, whole := a.(int64)
	y, too := b.(int64)
	if whole && too && op != "/" {
		n, ok := integers(op, x, y)
		if !ok {
			return nil, r.failed("the result is larger than a number can be")
		}
		return n, nil
	}
	var out float64
	switch op {
	case "+":
		out = f + g
	case "-":
		out = f - g
	case "*":
		out = f * g
	case "/":
		out = f / g
		if out == math.Trunc(out) && math.Abs(out) < 1<<53 {
			return int64(out), nil
		}
	default:
		out = math.Mod(f, g)
	}
	if math.IsInf(out, 0) || math.IsNaN(out) {
		return nil, r.failed("the result is larger than a number can be")
	}
	return out, nil
}

// integers calculates with whole numbers; false if the result is none that fits.
func integers(op string, x, y int64) (int64, bool) {
	switch op {
	case "+":
		return x + y, (x+y > x) == (y > 0)
	case "-":
		return x - y, (x-y < x) == (y > 0)
	case "*":
		if x == 0 || y == 0 {
			return 0, true
		}
		p := x * y
		return p, p/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	default:
		if y == -1 {
			return 0, true
		}
		return x % y, true
	}
}
