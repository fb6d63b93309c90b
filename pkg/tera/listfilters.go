package tera

import (
	"slices"
	"strings"
)

func listFilter(r *run, c call, a args, v any) (any, error) {
	in, ok := v.([]any)
	if !ok {
		return nil, r.failed("the filter %s wants a list, not %s", c.name, typeName(v))
	}
	switch c.name {
	case "first", "last", "nth":
		return element(r, c, a, in)
	case "concat":
		return concat(r, a, in)
	case "join":
		return joined(r, c, a, in)
	case "slice":
		return sliced(r, c, a, in)
	}
	if err := r.make(len(in) * slot); err != nil {
		return nil, err
	}
	if err := r.step(len(in)); err != nil {
		return nil, err
	}
	attr, err := a.text(r, c, "attribute", "")
	if err != nil {
		return nil, err
	}
	if err := r.step(len(in) * strings.Count(attr, ".")); err != nil {
		return nil, err
	}
	switch c.name {
	case "reverse":
		out := slices.Clone(in)
		slices.Reverse(out)
		return out, nil
	case "sort":
		return sorted(r, attr, in)
	case "unique":
		return unique(r, c, a, attr, in)
	case "group_by":
		return grouped(r, attr, in)
	case "map":
		out := make([]any, 0, len(in))
		for _, item := range in {
			if part, ok := deep(item, attr); ok {
				out = append(out, part)
			}
		}
		return out, nil
	default: // filter
		return selected(r, a, attr, in)
	}
}

// element is the first, last or nth element; an empty string without one, as Tera has it.
func element(r *run, c call, a args, in []any) (any, error) {
	i := int64(0)
	switch c.name {
	case "last":
		i = int64(len(in)) - 1
	case "nth":
		var err error
		if i, err = a.whole(r, c, "n", 0); err != nil {
			return nil, err
		}
	}
	if i < 0 || i >= int64(len(in)) {
		return "", nil
	}
	return in[i], nil
}

func concat(r *run, a args, in []any) (any, error) {
	with, ok := a["with"].([]any)
	if !ok {
		with = []any{a["with"]}
	}
	if err := r.make((len(in) + len(with)) * slot); err != nil {
		return nil, err
	}
	return slices.Concat(in, with), nil
}

func joined(r *run, c call, a args, in []any) (any, error) {
	sep, err := a.text(r, c, "sep", "")
	if err != nil {
		return nil, err
	}
	o := &output{run: r}
	for i, item := range in {
		if i > 0 {
			if err := o.write(sep); err != nil {
				return nil, err
			}
		}
		if err := o.value(item, 0); err != nil {
			return nil, err
		}
	}
	return o.text.String(), nil
}

func sliced(r *run, c call, a args, in []any) (any, error) {
	bound := func(name string, otherwise int) (int, error) {
		n, err := a.whole(r, c, name, int64(otherwise))
		if n < 0 {
			n += int64(len(in))
		}
		return int(min(max(n, 0), int64(len(in)))), err
	}
	start, err := bound("start", 0)
	if err != nil {
		return nil, err
	}
	end, err := bound("end", len(in))
	if err != nil {
		return nil, err
	}
	if start >= end {
		return []any{}, nil
	}
	return in[start:end:end], nil
}

// deep returns the part of a value at a path such as spec.name; all of it for no path.
func deep(v any, path string) (any, bool) {
	if path == "" {
		return v, true
	}
	for key := range strings.SplitSeq(path, ".") {
		var ok bool
		if v, ok = attribute(v, key); !ok {
			return nil, false
		}
	}
	return v, true
}

func sorted(r *run, attr string, in []any) (any, error) {
	type pair struct{ key, item any }
	pairs := make([]pair, 0, len(in))
	for _, item := range in {
		key, ok := deep(item, attr)
		if !ok {
			return nil, r.failed("the filter sort finds no %s in an element", attr)
		}
		pairs = append(pairs, pair{key, item})
	}
	var failure error
	slices.SortStableFunc(pairs, func(x, y pair) int {
		if failure != nil {
			return 0
		}
		if failure = r.step(1); failure != nil {
			return 0
		}
		c, err := r.compare(x.key, y.key)
		failure = err
		return c
	})
	out := make([]any, 0, len(in))
	for _, p := range pairs {
		out = append(out, p.item)
	}
	return out, failure
}

// keyOf returns what makes a scalar different from others of its type.
func (r *run) keyOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return "s" + v, r.make(len(v))
	case int64, float64:
		return "n" + number(v), nil
	case bool:
		if v {
			return "true", nil
		}
		return "false", nil
	case nil:
		return "null", nil
	default:
		return "", r.failed("%s is no key: strings, numbers and truth values are", typeName(v))
	}
}

func unique(r *run, c call, a args, attr string, in []any) (any, error) {
	exact, err := a.truth(r, c, "case_sensitive", false)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(in))
	out := make([]any, 0, len(in))
	for _, item := range in {
		part, ok := deep(item, attr)
		if !ok {
			continue
		}
		key, err := r.keyOf(part)
		if err != nil {
			return nil, err
		}
		if !exact {
			key = strings.ToLower(key)
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, item)
		}
	}
	return out, nil
}

func grouped(r *run, attr string, in []any) (any, error) {
	out := map[string]any{}
	for _, item := range in {
		part, ok := deep(item, attr)
		if !ok || part == nil {
			continue
		}
		if _, err := r.keyOf(part); err != nil {
			return nil, err
		}
		key, err := r.text(part)
		if err != nil {
			return nil, err
		}
		group, _ := out[key].([]any)
		out[key] = append(group, item)
	}
	return out, nil
}

func selected(r *run, a args, attr string, in []any) (any, error) {
	want, given := a["value"]
	out := make([]any, 0, len(in))
	for _, item := range in {
		part, ok := deep(item, attr)
		if !ok || !given && part == nil {
			continue
		}
		if given {
			same, err := r.equal(part, want, 0)
			if err != nil {
				return nil, err
			}
			if !same {
				continue
			}
		}
		out = append(out, item)
	}
	return out, nil
}
