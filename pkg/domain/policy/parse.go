package policy

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Severity of a problem.
type Severity string

// The severities. A document with an Error is not taken.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with a document, and where.
type Problem struct {
	Path     string   `json:"path"`           // rollout.waves[1].percent; empty: the document as a whole
	Line     int      `json:"line,omitempty"` // of the text, from 1; 0: not known
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
}

// String is path and message as one line.
func (p Problem) String() string {
	where := p.Path
	if where == "" {
		where = "the policy"
	}
	if p.Line > 0 {
		where += fmt.Sprintf(" (line %d)", p.Line)
	}
	return where + ": " + p.Message
}

// Failed reports whether one of the problems is an error.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// Parse reads a document from YAML or JSON and validates it as Validate does. The document is normalised; it is of use only
// if no problem is an Error. Unknown and repeated keys, aliases and a second document are errors.
func Parse(text []byte, c Checks) (Document, []Problem) {
	tree, problems := read(text)
	if len(problems) > 0 {
		return Document{}, problems
	}
	d := decoder{lines: map[string]int{}}
	var doc Document
	if tree.kind != isMap {
		return doc, []Problem{{Line: tree.line, Severity: Error, Message: "a policy is a mapping with a name, not " + tree.kind.String()}}
	}
	d.value(tree, "", reflect.ValueOf(&doc).Elem())
	if len(d.problems) > 0 {
		return doc, d.problems
	}
	doc, problems = Validate(doc, c)
	for i, p := range problems {
		problems[i].Line = d.line(p.Path)
	}
	return doc, problems
}

// decoder fills a value by its json tags.
type decoder struct {
	problems []Problem
	lines    map[string]int // by path
}

// line returns the line of path, or of the nearest part around it.
func (d *decoder) line(path string) int {
	for path != "" {
		if l, ok := d.lines[path]; ok {
			return l
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return 0
		}
		path = path[:cut]
	}
	return 0
}

func (d *decoder) fail(n node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Path: path, Line: n.line, Severity: Error, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) value(n node, path string, v reflect.Value) {
	d.lines[path] = n.line
	if n.kind == isNull && path != "" {
		return // as if it were not there
	}
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		var out bytes.Buffer
		n.raw(&out)
		v.SetBytes(out.Bytes())
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.kind != isString && n.kind != isNumber {
			d.fail(n, path, "is %s, not a text", n.kind)
		} else if err := u.UnmarshalText([]byte(n.text)); err != nil {
			d.fail(n, path, "%q is no duration like 10m or 1h30m", n.text)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, path, p.Elem())
		v.Set(p)
	case reflect.Struct:
		d.fields(n, path, v)
	case reflect.Map:
		if !d.is(n, path, isMap) {
			return
		}
		m := reflect.MakeMapWithSize(v.Type(), len(n.items))
		for i, item := range n.items {
			e := reflect.New(v.Type().Elem()).Elem()
			d.value(item, join(path, n.keys[i]), e)
			m.SetMapIndex(reflect.ValueOf(n.keys[i]).Convert(v.Type().Key()), e)
		}
		v.Set(m)
	case reflect.Slice:
		if !d.is(n, path, isList) {
			return
		}
		s := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
		for i, item := range n.items {
			d.value(item, index(path, i), s.Index(i))
		}
		v.Set(s)
	case reflect.Array:
		if !d.is(n, path, isList) {
			return
		}
		if len(n.items) != v.Len() {
			d.fail(n, path, "has %d items, not %d", len(n.items), v.Len())
			return
		}
		for i, item := range n.items {
			d.value(item, index(path, i), v.Index(i))
		}
	default:
		d.scalar(n, path, v)
	}
}

func (d *decoder) is(n node, path string, want kind) bool {
	if n.kind != want {
		d.fail(n, path, "is %s, not %s", n.kind, want)
	}
	return n.kind == want
}

func (d *decoder) scalar(n node, path string, v reflect.Value) {
	var err error
	switch v.Kind() { //nolint:exhaustive // the kinds that a document has
	case reflect.String: // what YAML takes for a number or a truth is meant as written: 1.30 is a version
		if n.kind == isList || n.kind == isMap {
			d.fail(n, path, "is %s, not a text", n.kind)
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		if d.is(n, path, isBool) {
			v.SetBool(strings.EqualFold(n.text, "true"))
		}
	case reflect.Int, reflect.Int64:
		if d.is(n, path, isNumber) {
			var i int64
			if i, err = strconv.ParseInt(n.text, 10, 32); err != nil {
				d.fail(n, path, "%s is no whole number of a size that makes sense", n.text)
			}
			v.SetInt(i)
		}
	case reflect.Float64:
		if d.is(n, path, isNumber) {
			var f float64
			if f, err = strconv.ParseFloat(n.text, 64); err != nil || f-f != 0 {
				d.fail(n, path, "%s is no finite number", n.text)
			}
			v.SetFloat(f)
		}
	default:
		d.fail(n, path, "cannot be read")
	}
}

func (d *decoder) fields(n node, path string, v reflect.Value) {
	if !d.is(n, path, isMap) {
		return
	}
	t := v.Type()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	for i, item := range n.items {
		f := slices.Index(names, n.keys[i])
		if f < 0 {
			d.fail(item, join(path, n.keys[i]), "is not known here%s", hint(n.keys[i], names))
			continue
		}
		d.value(item, join(path, n.keys[i]), v.Field(f))
	}
}

// hint names what was perhaps meant, else what is known.
func hint(key string, names []string) string {
	best := slices.MinFunc(names, func(a, b string) int { return cmp.Compare(distance(key, a), distance(key, b)) })
	if distance(key, best) <= 2 {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	return "; known are " + strings.Join(names, ", ")
}

// distance is how many letters differ (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
