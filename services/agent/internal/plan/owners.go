package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// spot is a place in a live object: what is there, and what each field manager owns of it.
type spot struct {
	value any
	there bool
	sets  []set
}

// set is what one manager owns at a spot and below, as in metadata.managedFields; an empty one is all of it.
type set struct {
	manager string
	fields  map[string]any
}

// root returns the spot of a whole object. Subresources count: an autoscaler owns replicas by way of scale.
func root(live *unstructured.Unstructured) spot {
	s := spot{value: live.Object, there: true}
	for _, m := range live.GetManagedFields() {
		var fields map[string]any
		if m.FieldsV1 != nil && json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) == nil && len(fields) > 0 {
			s.sets = append(s.sets, set{m.Manager, fields})
		}
	}
	return s
}

// field returns the spot of a field of the mapping at s.
func (s spot) field(name string) spot {
	m, _ := s.value.(map[string]any)
	v, ok := m[name]
	return s.below(v, ok, func(fields map[string]any) any { return fields["f:"+name] })
}

// item returns the spot of an element of the list at s.
func (s spot) item(i int) spot {
	list, _ := s.value.([]any)
	if i < 0 || i >= len(list) {
		return spot{}
	}
	return s.below(list[i], true, func(fields map[string]any) any { return element(fields, list[i], i) })
}

func (s spot) below(value any, there bool, child func(map[string]any) any) spot {
	next := spot{value: value, there: there}
	for _, o := range s.sets {
		if len(o.fields) == 0 {
			next.sets = append(next.sets, o)
		} else if fields, ok := child(o.fields).(map[string]any); ok {
			next.sets = append(next.sets, set{o.manager, fields})
		}
	}
	return next
}

// at returns the spot that a JSON pointer leads to.
func (s spot) at(path string) spot {
	for _, name := range segments(path) {
		if _, isList := s.value.([]any); !isList {
			s = s.field(name)
		} else if i, err := strconv.Atoi(name); err == nil {
			s = s.item(i)
		} else {
			return spot{}
		}
	}
	return s
}

// alike returns the spot of the element, of the list at s, that a manifest means by its i-th element: that with the same
// keys, because other elements may have come in between. Without keys the position decides.
func (s spot) alike(want any, i int) spot {
	m, isMapping := want.(map[string]any)
	keys := s.keys()
	if len(keys) == 0 && isMapping && m["name"] != nil {
		keys = []string{"name"}
	}
	if !isMapping || len(keys) == 0 {
		return s.item(i)
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return m[k] == nil }) // it has a default
	list, _ := s.value.([]any)
	return s.item(slices.IndexFunc(list, func(v any) bool {
		is, ok := v.(map[string]any)
		return ok && len(keys) > 0 && !slices.ContainsFunc(keys, func(k string) bool { return !equality.Semantic.DeepEqual(m[k], is[k]) })
	}))
}

// keys returns by which fields the elements of the list at s are told apart, as far as managers say so.
func (s spot) keys() []string {
	for _, o := range s.sets {
		for f := range o.fields {
			var keys map[string]any
			if text, ok := strings.CutPrefix(f, "k:"); ok && json.Unmarshal([]byte(text), &keys) == nil {
				return slices.Sorted(maps.Keys(keys))
			}
		}
	}
	return nil
}

// others returns the managers, other than the agent, that own anything at s.
func (s spot) others() []string {
	found := map[string]bool{}
	for _, o := range s.sets {
		if o.manager != cluster.FieldManager {
			found[o.manager] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// isOthers reports whether a manager other than the agent owns all that is at s.
func (s spot) isOthers() bool {
	return slices.ContainsFunc(s.sets, func(o set) bool { return len(o.fields) == 0 && o.manager != cluster.FieldManager })
}

// IsShared reports whether a field manager other than the agent owns anything of an object.
func IsShared(live *unstructured.Unstructured) bool { return len(root(live).others()) > 0 }

// managers returns the field managers, other than the agent, that own any of the paths in a live object.
func managers(live *unstructured.Unstructured, paths []string) []string {
	all := spot{}
	whole := root(live)
	for _, p := range paths {
		all.sets = append(all.sets, whole.at(p).sets...)
	}
	return all.others()
}

// element finds what is owned of the i-th element of a list, which is named by keys, by its value or by its position.
func element(fields map[string]any, item any, i int) any {
	m, isMapping := item.(map[string]any)
	for f, below := range fields {
		kind, text, _ := strings.Cut(f, ":")
		var name any
		if json.Unmarshal([]byte(text), &name) != nil {
			continue
		}
		switch keys, _ := name.(map[string]any); {
		case kind == "k" && isMapping && len(keys) > 0 && hasAll(m, keys),
			kind == "v" && !isMapping && equalJSON(item, name),
			kind == "i" && equalJSON(int64(i), name):
			return below
		}
	}
	return nil
}

func hasAll(m, keys map[string]any) bool {
	for k, want := range keys {
		if !equalJSON(m[k], want) {
			return false
		}
	}
	return true
}

// equalJSON compares plain values of which the first may have its numbers as int64.
func equalJSON(a, b any) bool {
	if i, ok := a.(int64); ok {
		a = float64(i)
	}
	switch b.(type) {
	case string, float64, bool, nil:
		return a == b
	default:
		return false
	}
}
