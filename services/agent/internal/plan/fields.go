package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// maxPaths bounds how many differences of one object are listed.
const maxPaths = 20

// Differences returns JSON pointers to where two forms of an object differ, at most 20. What the server keeps for itself
// (status, managed fields, versions) does not count.
func Differences(live, would *unstructured.Unstructured) []string {
	var paths []string
	compare("", live.Object, would.Object, &paths)
	return paths
}

func isServers(path string) bool {
	switch path {
	case "/status", "/metadata/managedFields", "/metadata/resourceVersion", "/metadata/generation", "/metadata/uid",
		"/metadata/creationTimestamp", "/metadata/selfLink", "/apiVersion":
		return true
	default:
		return false
	}
}

func compare(path string, a, b any, paths *[]string) {
	if len(*paths) >= maxPaths || isServers(path) {
		return
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := map[string]bool{}
		for k := range x {
			keys[k] = true
		}
		for k := range y {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(path+"/"+escape(k), x[k], y[k], paths)
		}
		return
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			compare(path+"/"+strconv.Itoa(i), x[i], y[i], paths)
		}
		return
	}
	if !isEmpty(a, b) && !equality.Semantic.DeepEqual(a, b) {
		*paths = append(*paths, path)
	}
}

// isEmpty: an absent list or mapping and an empty one are the same to Kubernetes.
func isEmpty(a, b any) bool {
	empty := func(v any) bool {
		switch x := v.(type) {
		case nil:
			return true
		case map[string]any:
			return len(x) == 0
		case []any:
			return len(x) == 0
		default:
			return false
		}
	}
	return empty(a) && empty(b)
}

func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

func unescape(s string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(s) }

func segments(path string) []string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return parts
}

// Payload returns what to apply so that the fields of ignore (JSON pointers) stay as they are in live: a field that another
// manager owns is left out, one that nobody else owns is given the value that it has. A new object gets everything.
func Payload(o Object, live *unstructured.Unstructured, ignore []string) *unstructured.Unstructured {
	if live == nil || len(ignore) == 0 {
		return o.Manifest
	}
	out := o.Manifest.DeepCopy()
	for _, path := range ignore {
		at := segments(path)
		if _, wanted := lookup(out.Object, at); !wanted {
			continue
		}
		value, is := lookup(live.Object, at)
		if !is || len(managers(live, []string{path})) > 0 {
			drop(out.Object, at)
			continue
		}
		put(out.Object, at, value)
	}
	return out
}

func lookup(v any, at []string) (any, bool) {
	for _, s := range at {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[s]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// put replaces a value whose parent exists.
func put(v any, at []string, value any) {
	parent, _ := lookup(v, at[:len(at)-1])
	last := at[len(at)-1]
	switch x := parent.(type) {
	case map[string]any:
		x[last] = value
	case []any:
		if i, err := strconv.Atoi(last); err == nil {
			x[i] = value
		}
	}
}

// drop removes a field of a mapping; an element of a list is left, for taking it out would move the others.
func drop(v any, at []string) {
	parent, _ := lookup(v, at[:len(at)-1])
	if m, ok := parent.(map[string]any); ok {
		delete(m, at[len(at)-1])
	}
}

// managers returns the field managers, other than the agent, that own any of the paths in a live object.
func managers(live *unstructured.Unstructured, paths []string) []string {
	found := map[string]bool{}
	for _, m := range live.GetManagedFields() {
		if m.FieldsV1 == nil || m.Subresource != "" || found[m.Manager] ||
			(m.Manager == cluster.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply) {
			continue
		}
		var fields map[string]any
		if json.Unmarshal(m.FieldsV1.Raw, &fields) != nil {
			continue
		}
		if slices.ContainsFunc(paths, func(p string) bool { return owns(fields, live.Object, segments(p)) }) {
			found[m.Manager] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// owns walks managed fields along a path of the object. A set that ends early owns all below it (an atomic value).
func owns(fields map[string]any, v any, at []string) bool {
	for _, s := range at {
		if len(fields) == 0 {
			return true
		}
		var next any
		switch x := v.(type) {
		case map[string]any:
			next, v = fields["f:"+s], x[s]
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(x) {
				return false
			}
			next, v = element(fields, x[i]), x[i]
		default:
			next = fields["f:"+s] // the value is gone
		}
		m, ok := next.(map[string]any)
		if !ok {
			return false
		}
		fields = m
	}
	return true
}

// element finds the managed fields of a list's element by its keys.
func element(fields map[string]any, item any) any {
	m, ok := item.(map[string]any)
	for k, below := range fields {
		text, isKey := strings.CutPrefix(k, "k:")
		if !isKey || !ok {
			continue
		}
		var keys map[string]any
		if json.Unmarshal([]byte(text), &keys) != nil {
			continue
		}
		same := true
		for name, want := range keys {
			same = same && equalJSON(m[name], want)
		}
		if same {
			return below
		}
	}
	return nil
}

// equalJSON compares values of which one may have its numbers as float64.
func equalJSON(a, b any) bool {
	if i, ok := a.(int64); ok {
		a = float64(i)
	}
	return a == b
}
