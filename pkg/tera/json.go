package tera

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// encode writes a value as JSON with sorted keys, which is YAML too.
func (r *run) encode(c call, a args, v any) (any, error) {
	pretty, err := a.truth(r, c, "pretty", false)
	if err != nil {
		return nil, err
	}
	o := &output{run: r}
	err = o.json(v, pretty, 0)
	return o.text.String(), err
}

func (o *output) json(v any, pretty bool, depth int) error {
	if err := o.run.step(1); err != nil {
		return err
	}
	if depth > o.run.t.limits.Nesting {
		return o.run.tooMuch("a value is nested deeper than %d levels", o.run.t.limits.Nesting)
	}
	switch v := v.(type) {
	case nil:
		return o.write("null")
	case bool:
		return o.write(strconv.FormatBool(v))
	case int64:
		return o.write(strconv.FormatInt(v, 10))
	case float64:
		s := number(v)
		if v == math.Trunc(v) {
			s += ".0"
		}
		return o.write(s)
	case string:
		return o.quoted(v)
	case []any:
		return o.items(len(v), "[", "]", pretty, depth, func(i int) error { return o.json(v[i], pretty, depth+1) })
	case map[string]any:
		if err := o.run.make(len(v) * slot); err != nil {
			return err
		}
		keys := sortedKeys(v)
		return o.items(len(v), "{", "}", pretty, depth, func(i int) error {
			if err := o.quoted(keys[i]); err != nil {
				return err
			}
			colon := ":"
			if pretty {
				colon = ": "
			}
			if err := o.write(colon); err != nil {
				return err
			}
			return o.json(v[keys[i]], pretty, depth+1)
		})
	default:
		return o.run.failed("%s has no JSON", typeName(v))
	}
}

func (o *output) items(n int, open, end string, pretty bool, depth int, item func(int) error) error {
	if n == 0 {
		return o.write(open + end)
	}
	brk, last := "", ""
	if pretty {
		brk, last = "\n"+strings.Repeat("  ", depth+1), "\n"+strings.Repeat("  ", depth)
	}
	if err := o.write(open); err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			if err := o.write(","); err != nil {
				return err
			}
		}
		if err := o.write(brk); err != nil {
			return err
		}
		if err := item(i); err != nil {
			return err
		}
	}
	return o.write(last + end)
}

func (o *output) quoted(s string) error {
	if err := o.run.make(6 * len(s)); err != nil { // no character takes more
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return o.run.failed("a string has no JSON")
	}
	return o.write(strings.TrimSuffix(b.String(), "\n"))
}
