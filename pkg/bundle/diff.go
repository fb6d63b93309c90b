package bundle

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxPaths bounds the bytes of all paths in one comparison, so that two small bundles with long keys cannot become gigabytes of
// paths. Fields beyond it are counted like those beyond the caller's bound.
const maxPaths = 4 << 20

// ChangeKind is what happens to a manifest.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is what happens to one manifest between two bundles.
type Change struct {
	Kind   ChangeKind
	Key    Key
	Object Object  // as it is after the change, or was before it if it is removed; shared with the input
	Fields []Field // of a Changed one, by path; lists are compared index by index
	More   int     // changed fields that are not in Fields
	secret [2]*unstructured.Unstructured
}

// Field is a value that differs. It is the outermost one: what was added with it has no Field of its own.
type Field struct {
	Path string // JSON pointer (RFC 6901) into the manifest
	From *any   // nil: there was nothing; a pointer to nil is null. Shared with the input
	To   *any   // nil: there is nothing any more
}

// Difference is what makes one bundle of another.
type Difference struct {
	Changes   []Change // those of the later bundle in its order, then what is removed, by key
	Unchanged int      // manifests that both have alike
}

// Diff compares two bundles manifest by manifest, whatever order they are in. Of each manifest it names at most so many changed
// fields and counts the rest. Values of Secrets are in it; see Redact.
func Diff(before, after []Object, most int) Difference {
	was := make(map[Key]Object, len(before))
	for _, o := range before {
		was[o.Key()] = o
	}
	out := Difference{}
	d := differ{paths: maxPaths}
	for _, o := range after {
		k := o.Key()
		old, had := was[k]
		delete(was, k)
		if !had {
			out.Changes = append(out.Changes, Change{Kind: Added, Key: k, Object: o})
			continue
		}
		d.fields, d.more, d.left = nil, 0, most
		d.value(old.Object, o.Object)
		if len(d.fields) == 0 && d.more == 0 {
			out.Unchanged++
			continue
		}
		c := Change{Kind: Changed, Key: k, Object: o, Fields: d.fields, More: d.more}
		if isSecret(o.Unstructured) {
			c.secret = [2]*unstructured.Unstructured{old.Unstructured, o.Unstructured}
		}
		out.Changes = append(out.Changes, c)
	}
	gone := slices.Collect(maps.Values(was))
	slices.SortFunc(gone, func(x, y Object) int { return cmp.Compare(x.Key().String(), y.Key().String()) })
	for _, o := range gone {
		out.Changes = append(out.Changes, Change{Kind: Removed, Key: o.Key(), Object: o})
	}
	return out
}

// Redact returns d with the values of Secrets replaced in all fields: that one differs still shows, and nothing more. The objects
// of the changes stay as they are.
func (d Difference) Redact() Difference {
	d.Changes = slices.Clone(d.Changes)
	for i, c := range d.Changes {
		if c.secret[1] == nil {
			continue
		}
		from, to := c.secret[0].DeepCopy(), c.secret[1].DeepCopy()
		RedactSecret(from)
		RedactSecret(to)
		c.Fields = slices.Clone(c.Fields)
		for j, f := range c.Fields {
			c.Fields[j] = Field{Path: f.Path, From: redacted(from, f.Path, f.From), To: redacted(to, f.Path, f.To)}
		}
		c.secret = [2]*unstructured.Unstructured{}
		d.Changes[i] = c
	}
	return d
}

// redacted returns what is at path in a Secret without its values, or nil if was is. What is inside a value has no place in
// there.
func redacted(o *unstructured.Unstructured, path string, was *any) *any {
	if was == nil {
		return nil
	}
	var v any = o.Object
	for _, step := range steps(path) {
		ok := false
		switch x := v.(type) {
		case map[string]any:
			v, ok = x[step]
		case []any:
			var n int
			if n, ok = index(step, len(x)); ok {
				v = x[n]
			}
		}
		if !ok {
			v = Redacted
			break
		}
	}
	return &v
}

func index(step string, length int) (int, bool) {
	n, err := strconv.Atoi(step)
	return n, err == nil && n >= 0 && n < length
}

// steps returns the keys and indexes that a JSON pointer names.
func steps(path string) []string {
	if path == "" {
		return nil
	}
	out := strings.Split(path[1:], "/")
	for i, s := range out {
		out[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return out
}

// differ collects the fields of one manifest after the other.
type differ struct {
	at     []string // where it is
	fields []Field
	more   int
	left   int // fields of this manifest that are still named
	paths  int // bytes of paths that may still be written, over all manifests
}

func (d *differ) value(a, b any) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			d.mapping(x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			d.list(x, y)
			return
		}
	}
	if !reflect.DeepEqual(a, b) {
		from, to := a, b
		d.found(&from, &to)
	}
}

func (d *differ) mapping(a, b map[string]any) {
	keys := make([]string, 0, len(b))
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		x, was := a[k]
		y, is := b[k]
		d.at = append(d.at, k)
		switch {
		case !was:
			d.found(nil, &y)
		case !is:
			d.found(&x, nil)
		default:
			d.value(x, y)
		}
		d.at = d.at[:len(d.at)-1]
	}
}

func (d *differ) list(a, b []any) {
	for i := range max(len(a), len(b)) {
		d.at = append(d.at, strconv.Itoa(i))
		switch {
		case i >= len(a):
			d.found(nil, &b[i])
		case i >= len(b):
			d.found(&a[i], nil)
		default:
			d.value(a[i], b[i])
		}
		d.at = d.at[:len(d.at)-1]
	}
}

func (d *differ) found(from, to *any) {
	size := 0
	for _, s := range d.at {
		size += 1 + len(s)
	}
	if d.left <= 0 || size > d.paths {
		d.more++
		return
	}
	d.left--
	d.paths -= size
	var path strings.Builder
	for _, s := range d.at {
		path.WriteByte('/')
		path.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
	}
	d.fields = append(d.fields, Field{Path: path.String(), From: from, To: to})
}
