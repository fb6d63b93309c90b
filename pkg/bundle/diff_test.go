package bundle_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/colliery-io/brokkr/pkg/bundle"
)

func parsed(t *testing.T, content string) []bundle.Object {
	t.Helper()
	out, err := bundle.Parse([]byte(content), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines says a difference in one line a change and one a field.
func lines(t *testing.T, d bundle.Difference) []string {
	t.Helper()
	text := func(v *any) string {
		if v == nil {
			return "nothing"
		}
		b, err := json.Marshal(*v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	out := []string{}
	for _, c := range d.Changes {
		out = append(out, string(c.Kind)+" "+c.Key.String())
		for _, f := range c.Fields {
			out = append(out, f.Path+": "+text(f.From)+" -> "+text(f.To))
		}
		if c.More > 0 {
			out = append(out, fmt.Sprintf("and %d more", c.More))
		}
	}
	return append(out, fmt.Sprintf("%d unchanged", d.Unchanged))
}

func TestDiff(t *testing.T) {
	t.Parallel()
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
	const last = "kubectl.kubernetes.io/last-applied-configuration"
	for name, tt := range map[string]struct {
		reason, before, after string
		most                  int
		want                  []string
	}{
		"Nothing":    {"two empty bundles are alike", "", "", 9, []string{"0 unchanged"}},
		"Same":       {"comments, order and notation are no difference", config + "data: {a: x}\n---\n" + secret, secret + "---\n# new\n" + config + "data:\n  a: \"x\"\n", 9, []string{"2 unchanged"}},
		"Added":      {"what is new comes in its order", config, secret + "---\n" + config, 9, []string{"added Secret s", "1 unchanged"}},
		"Removed":    {"what is gone comes last, by key", secret + "---\n" + config, strings.Replace(config, "name: c", "name: d", 1), 9, []string{"added ConfigMap d", "removed ConfigMap c", "removed Secret s", "0 unchanged"}},
		"Namespace":  {"another namespace is another object", config, strings.Replace(config, "name: c", "name: c, namespace: ns", 1), 9, []string{"added ConfigMap ns/c", "removed ConfigMap c", "0 unchanged"}},
		"Version":    {"another version of the API is the same object", "apiVersion: x.io/v1\nkind: K\nmetadata: {name: k}\n", "apiVersion: x.io/v2\nkind: K\nmetadata: {name: k}\n", 9, []string{"changed K.x.io k", `/apiVersion: "x.io/v1" -> "x.io/v2"`, "0 unchanged"}},
		"Field":      {"the outermost value that differs", config + "data: {a: x, b: w}\n", config + "data: {b: z}\nbinaryData: {c: {d: e}}\n", 9, []string{"changed ConfigMap c", `/binaryData: nothing -> {"c":{"d":"e"}}`, `/data/a: "x" -> nothing`, `/data/b: "w" -> "z"`, "0 unchanged"}},
		"Null":       {"null is not nothing", config + "data: null\n", config, 9, []string{"changed ConfigMap c", "/data: null -> nothing", "0 unchanged"}},
		"Kind":       {"text is not a number, nor a list a mapping", config + "data: {a: 1, b: [x]}\n", config + "data: {a: '1', b: {x: w}}\n", 9, []string{"changed ConfigMap c", `/data/a: 1 -> "1"`, `/data/b: ["x"] -> {"x":"w"}`, "0 unchanged"}},
		"List":       {"lists by index", config + "l: [{n: a}, {n: b}]\nm: [1]\n", config + "l: [{n: z}]\nm: [1, 2]\n", 9, []string{"changed ConfigMap c", `/l/0/n: "a" -> "z"`, `/l/1: {"n":"b"} -> nothing`, "/m/1: nothing -> 2", "0 unchanged"}},
		"Escaped":    {"pointers are escaped", config + "data: {a/b~c: x}\n", config + "data: {a/b~c: w}\n", 9, []string{"changed ConfigMap c", `/data/a~1b~0c: "x" -> "w"`, "0 unchanged"}},
		"Bounded":    {"the rest is counted", config + "data: {a: x, b: x, c: x}\n", config + "data: {a: w, b: w, c: w}\n", 1, []string{"changed ConfigMap c", `/data/a: "x" -> "w"`, "and 2 more", "0 unchanged"}},
		"OnlyMore":   {"what is beyond the bound is a change all the same", config + "data: {a: x}\n", config + "data: {a: w}\n", 0, []string{"changed ConfigMap c", "and 1 more", "0 unchanged"}},
		"Secret":     {"values do not show", secret + "stringData: {a: canary, b: same}\n", secret + "stringData: {a: canary2, b: same, c/d: canary}\ndata: {e: canary}\n", 9, []string{"changed Secret s", `/data: nothing -> {"e":"***"}`, `/stringData/a: "***" -> "***"`, `/stringData/c~1d: nothing -> "***"`, "0 unchanged"}},
		"SecretOdd":  {"nor what the API would not take", secret + "data: canary\nstringData: {a: {b: canary}, l: [canary]}\n", secret + "data: {a: canary}\nstringData: {a: {b: canary2}, l: [canary2]}\n", 9, []string{"changed Secret s", `/data: "***" -> {"a":"***"}`, `/stringData/a/b: "***" -> "***"`, `/stringData/l/0: "***" -> "***"`, "0 unchanged"}},
		"SecretList": {"nor in a list where a mapping belongs", secret + "data: [canary]\n", secret + "data: [canary2]\n", 9, []string{"changed Secret s", `/data/0: "***" -> "***"`, "0 unchanged"}},
		"SecretCopy": {"nor in kubectl's copy", strings.Replace(secret, "name: s", "name: s, annotations: {"+last+": canary}", 1), strings.Replace(secret, "name: s", "name: s, annotations: {"+last+": canary2, x: w}", 1), 9, []string{"changed Secret s", "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration: \"***\" -> \"***\"", `/metadata/annotations/x: nothing -> "w"`, "0 unchanged"}},
		"SecretType": {"the rest of a Secret shows", secret + "type: Opaque\nimmutable: false\n", secret + "type: x\nimmutable: true\n", 9, []string{"changed Secret s", "/immutable: false -> true", `/type: "Opaque" -> "x"`, "0 unchanged"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := parsed(t, tt.before), parsed(t, tt.after)
			got := lines(t, bundle.Diff(before, after, tt.most).Redact())
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
			if strings.Contains(strings.Join(got, "\n"), "canary") {
				t.Error("the value of a Secret shows")
			}
			if !same(before, parsed(t, tt.before)) || !same(after, parsed(t, tt.after)) {
				t.Error("the objects were changed by being compared")
			}
		})
	}
}

// Long keys over many differences cost no more than the bound of all paths.
func TestDiffBoundsPaths(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 1<<20)
	list := func(v string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  ? " + long + "\n  : [" + strings.Repeat(v+", ", 100) + "]\n"
	}
	d := bundle.Diff(parsed(t, list("a")), parsed(t, list("b")), 1000)
	size := 0
	for _, f := range d.Changes[0].Fields {
		size += len(f.Path)
	}
	if c := d.Changes[0]; size > 4<<20 || size == 0 || len(c.Fields)+c.More != 100 {
		t.Errorf("%d fields with %d bytes of paths and %d more, want 100 together and at most 4 MiB", len(c.Fields), size, c.More)
	}
}

// What Diff says is all there is: done to the earlier bundle it makes the later one, and a bundle does not differ from itself.
func TestDiffIsComplete(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test that can be repeated
		a := objects(r)
		b := objects(r)
		for _, o := range a { // some of both, a little different
			if r.IntN(2) == 0 {
				c := o.DeepCopy()
				c.Object["spec"] = mutated(r, c.Object["spec"])
				b = append(slices.DeleteFunc(b, func(x bundle.Object) bool { return x.Key() == o.Key() }), bundle.Object{Unstructured: c})
			}
		}
		d := bundle.Diff(a, b, 1<<30)
		got, err := done(a, d)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !same(got, b) {
			t.Fatalf("seed %d: the changes of\n%v\nmake\n%v\nnot\n%v:\n%s", seed, a, got, b, strings.Join(lines(t, d), "\n"))
		}
		for _, c := range d.Changes {
			if c.Kind == bundle.Changed && len(c.Fields) == 0 || c.More != 0 {
				t.Fatalf("seed %d: %s is changed by %d fields and %d more", seed, c.Key, len(c.Fields), c.More)
			}
		}
		if self := bundle.Diff(a, a, 1<<30); len(self.Changes) != 0 || self.Unchanged != len(a) {
			t.Fatalf("seed %d: a bundle differs from itself:\n%s", seed, strings.Join(lines(t, self), "\n"))
		}
	}
}

// done makes the changes to objects.
func done(objects []bundle.Object, d bundle.Difference) ([]bundle.Object, error) {
	by := map[bundle.Key]bundle.Object{}
	for _, o := range objects {
		by[o.Key()] = bundle.Object{Unstructured: o.DeepCopy()}
	}
	for _, c := range d.Changes {
		switch c.Kind {
		case bundle.Added:
			by[c.Key] = c.Object
		case bundle.Removed:
			delete(by, c.Key)
		case bundle.Changed:
			var doc any = by[c.Key].Object
			for _, f := range slices.Backward(c.Fields) { // a list's last element goes first
				if f.To != nil && f.From == nil {
					continue
				}
				var err error
				if doc, err = put(doc, strings.Split(f.Path, "/")[1:], f.To); err != nil {
					return nil, err
				}
			}
			for _, f := range c.Fields { // and what a list gains comes in its order
				if f.To != nil && f.From == nil {
					var err error
					if doc, err = put(doc, strings.Split(f.Path, "/")[1:], f.To); err != nil {
						return nil, err
					}
				}
			}
			by[c.Key] = bundle.Object{Unstructured: &unstructured.Unstructured{Object: doc.(map[string]any)}} //nolint:forcetypeassert // an object's root
		}
	}
	out := make([]bundle.Object, 0, len(by))
	for _, o := range by {
		out = append(out, o)
	}
	return out, nil
}

// put sets what a JSON pointer names, or takes it away.
func put(doc any, path []string, to *any) (any, error) {
	step := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	switch x := doc.(type) {
	case map[string]any:
		if len(path) > 1 {
			v, err := put(x[step], path[1:], to)
			x[step] = v
			return x, err
		}
		if to == nil {
			delete(x, step)
		} else {
			x[step] = runtime.DeepCopyJSONValue(*to)
		}
		return x, nil
	case []any:
		i, err := strconv.Atoi(step)
		switch {
		case err != nil || i > len(x) || (len(path) > 1 || to == nil) && i == len(x):
			return nil, fmt.Errorf("there is no element %s in %v", step, x)
		case len(path) > 1:
			x[i], err = put(x[i], path[1:], to)
			return x, err
		case to == nil:
			return slices.Delete(x, i, i+1), nil
		case i == len(x):
			return append(x, runtime.DeepCopyJSONValue(*to)), nil
		}
		x[i] = runtime.DeepCopyJSONValue(*to)
		return x, nil
	default:
		return nil, fmt.Errorf("%v has no %s", doc, step)
	}
}

// same reports whether two bundles hold the same objects, in any order.
func same(a, b []bundle.Object) bool {
	bare := func(all []bundle.Object) map[bundle.Key]map[string]any {
		out := map[bundle.Key]map[string]any{}
		for _, o := range all {
			out[o.Key()] = o.Object
		}
		return out
	}
	return len(a) == len(b) && cmp.Equal(bare(a), bare(b))
}

// objects returns a few objects with different keys.
func objects(r *rand.Rand) []bundle.Object {
	out := []bundle.Object{}
	for i := range r.IntN(4) {
		out = append(out, bundle.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "x.io/v" + strconv.Itoa(1+r.IntN(2)), "kind": "K", "metadata": map[string]any{"name": strconv.Itoa(i)}, "spec": anything(r, 3),
		}}})
	}
	return out
}

func anything(r *rand.Rand, depth int) any {
	n := r.IntN(8)
	if depth == 0 {
		n %= 5
	}
	switch n {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.IntN(3))
	case 3:
		return []string{"", "a", "a/b"}[r.IntN(3)]
	case 4:
		return float64(r.IntN(3)) / 2
	case 5:
		l := []any{}
		for range r.IntN(4) {
			l = append(l, anything(r, depth-1))
		}
		return l
	default:
		m := map[string]any{}
		for range r.IntN(4) {
			m[[]string{"a", "b", "a/b", "~", "~1", ""}[r.IntN(6)]] = anything(r, depth-1)
		}
		return m
	}
}

// mutated returns v with something in it that may differ.
func mutated(r *rand.Rand, v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			if r.IntN(3) == 0 {
				x[k] = mutated(r, x[k])
			}
		}
		if r.IntN(2) == 0 {
			x["new"] = anything(r, 1)
		}
		return x
	case []any:
		for i := range x {
			if r.IntN(3) == 0 {
				x[i] = mutated(r, x[i])
			}
		}
		if r.IntN(2) == 0 {
			return append(x, anything(r, 1))
		}
		return x[:r.IntN(len(x)+1)]
	default:
		return anything(r, 2)
	}
}
