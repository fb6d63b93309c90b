package tera

import (
	"math"
	"strconv"
	"strings"
)

// filterSignature returns what a filter takes; false for one that there is not.
func filterSignature(name string) (signature, bool) {
	switch name {
	case "upper", "lower", "capitalize", "title", "trim", "trim_start", "trim_end", "wordcount", "addslashes", "slugify",
		"urlencode", "urlencode_strict", "striptags", "spaceless", "linebreaksbr", "escape", "escape_xml", "safe",
		"first", "last", "length", "reverse", "abs", "as_str":
		return signature{}, true
	case "trim_start_matches", "trim_end_matches", "split":
		return signature{must: []string{"pat"}}, true
	case "replace":
		return signature{must: []string{"from", "to"}}, true
	case "truncate":
		return signature{may: []string{"length", "end"}}, true
	case "indent":
		return signature{may: []string{"prefix", "first", "blank"}}, true
	case "int":
		return signature{may: []string{"default", "base"}}, true
	case "float":
		return signature{may: []string{"default"}}, true
	case "round":
		return signature{may: []string{"method", "precision"}}, true
	case "pluralize":
		return signature{may: []string{"singular", "plural"}}, true
	case "nth":
		return signature{must: []string{"n"}}, true
	case "join":
		return signature{may: []string{"sep"}}, true
	case "sort":
		return signature{may: []string{"attribute"}}, true
	case "unique":
		return signature{may: []string{"attribute", "case_sensitive"}}, true
	case "slice":
		return signature{may: []string{"start", "end"}}, true
	case "group_by", "map":
		return signature{must: []string{"attribute"}}, true
	case "filter":
		return signature{must: []string{"attribute"}, may: []string{"value"}}, true
	case "concat":
		return signature{must: []string{"with"}}, true
	case "get":
		return signature{must: []string{"key"}, may: []string{"default"}}, true
	case "json_encode":
		return signature{may: []string{"pretty"}}, true
	case "default":
		return signature{must: []string{"value"}}, true
	default:
		return signature{}, false
	}
}

func checkFilter(c call) error {
	s, ok := filterSignature(c.name)
	if !ok {
		if c.name == "date" || c.name == "filesizeformat" {
			return syntax(c.line, "the filter %q of Tera is not available", c.name)
		}
		return syntax(c.line, "there is no filter %q", c.name)
	}
	return s.check("the filter "+c.name, c)
}

// applyFilter runs a filter on a value that is there.
func applyFilter(r *run, c call, v any) (any, error) {
	a, err := r.args(c)
	if err != nil {
		return nil, err
	}
	if err := r.step(1); err != nil {
		return nil, err
	}
	switch c.name {
	case "default", "safe":
		return v, nil
	case "length":
		s, _ := v.(string)
		return int64(lengthOf(v)), r.step(len(s) / 64)
	case "as_str":
		return r.text(v)
	case "json_encode":
		return r.encode(c, a, v)
	case "abs", "round", "int", "float", "pluralize":
		return numberFilter(r, c, a, v)
	case "get":
		return getFilter(r, a, v)
	case "reverse":
		if s, ok := v.(string); ok {
			return textFilter(r, c, a, s)
		}
		return listFilter(r, c, a, v)
	case "first", "last", "nth", "join", "sort", "unique", "slice", "group_by", "map", "filter", "concat":
		return listFilter(r, c, a, v)
	}
	switch s := v.(type) {
	case string:
		return textFilter(r, c, a, s)
	case int64, float64:
		return textFilter(r, c, a, number(s))
	default:
		return nil, r.failed("the filter %s wants a string, not %s", c.name, typeName(v))
	}
}

func getFilter(r *run, a args, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, r.failed("the filter get wants an object, not %s", typeName(v))
	}
	key, ok := a["key"].(string)
	if !ok {
		return nil, r.failed("the filter get wants a string for key, and it is %s", typeName(a["key"]))
	}
	if out, ok := m[key]; ok {
		return out, nil
	}
	out, ok := a["default"]
	if !ok {
		return nil, r.failed("the filter get finds no such key, and there is no default")
	}
	return out, nil
}

func numberFilter(r *run, c call, a args, v any) (any, error) {
	switch c.name {
	case "int":
		return toInt(r, c, a, v)
	case "float":
		return toFloat(r, a, v)
	}
	f, ok := float(v)
	if !ok {
		return nil, r.failed("the filter %s wants a number, not %s", c.name, typeName(v))
	}
	switch c.name {
	case "abs":
		if n, whole := v.(int64); whole && n >= 0 || f >= 0 {
			return v, nil
		}
		out, fits := negated(v)
		if !fits {
			return nil, r.failed("the result is larger than a number can be")
		}
		return out, nil
	case "round":
		return rounded(r, c, a, f)
	default: // pluralize
		name, otherwise := "plural", "s"
		if f == 1 || f == -1 {
			name, otherwise = "singular", ""
		}
		return a.text(r, c, name, otherwise)
	}
}

func rounded(r *run, c call, a args, f float64) (any, error) {
	method, err := a.text(r, c, "method", "common")
	if err != nil {
		return nil, err
	}
	precision, err := a.whole(r, c, "precision", 0)
	if err != nil {
		return nil, err
	}
	if precision < 0 || precision > 15 {
		return nil, r.failed("the filter round wants a precision of 0 to 15")
	}
	by := math.Pow10(int(precision))
	switch method {
	case "common":
		f = math.Round(f*by) / by
	case "ceil":
		f = math.Ceil(f*by) / by
	case "floor":
		f = math.Floor(f*by) / by
	default:
		return nil, r.failed("the filter round wants the method common, ceil or floor")
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, r.failed("the result is larger than a number can be")
	}
	return f, nil
}

func toInt(r *run, c call, a args, v any) (any, error) {
	base, err := a.whole(r, c, "base", 10)
	if err != nil {
		return nil, err
	}
	if base < 2 || base > 36 {
		return nil, r.failed("the filter int wants a base of 2 to 36")
	}
	switch v := v.(type) {
	case int64:
		return v, nil
	case float64:
		if math.Abs(v) < 1<<62 {
			return int64(v), nil
		}
	case string:
		s := strings.TrimSpace(v)
		prefix := map[int64]string{2: "0b", 8: "0o", 16: "0x"}[base]
		if n, err := strconv.ParseInt(strings.TrimPrefix(s, prefix), int(base), 64); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(s, 64); base == 10 && err == nil && math.Abs(f) < 1<<62 {
			return int64(f), nil
		}
	default:
		return nil, r.failed("the filter int wants a string or a number, not %s", typeName(v))
	}
	return a.whole(r, c, "default", 0)
}

func toFloat(r *run, a args, v any) (any, error) {
	if f, ok := float(v); ok {
		return f, nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, r.failed("the filter float wants a string or a number, not %s", typeName(v))
	}
	if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return f, nil
	}
	f, ok := float(a["default"])
	if _, given := a["default"]; given && !ok {
		return nil, r.failed("the filter float wants a number for default")
	}
	return f, nil
}
