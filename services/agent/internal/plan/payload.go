package plan

import (
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Payload returns what to apply so that the fields of ignore (JSON pointers) stay as they are in live: a field that another
// manager owns, or that is not there, is left out; one that nobody else owns is given the value that it has. An element
// of a list that is not there is applied all the same: ignore one of its fields, or the list. A new object gets
// everything, and the agent's stamps cannot be ignored. adopted, see Desired.Adopts, is stamped, too: a lost inventory must not
// make what was there before the stack the stack's own.
func Payload(o Object, live *unstructured.Unstructured, ignore []string, adopted bool) *unstructured.Unstructured {
	if live == nil || (len(ignore) == 0 && !adopted) {
		return o.Manifest
	}
	out := o.Manifest.DeepCopy()
	there := root(live)
	for _, path := range ignore {
		leave(out.Object, there, segments(path))
	}
	restamp(out, o.Manifest)
	if adopted {
		annotations := out.GetAnnotations()
		annotations[cluster.AnnotationAdopted] = "true"
		out.SetAnnotations(annotations)
	}
	return out
}

// leave changes what a path leads to in v, a mapping or list of a manifest, to what is there.
func leave(v any, there spot, at []string) {
	switch x := v.(type) {
	case map[string]any:
		want, ok := x[at[0]]
		switch next := there.field(at[0]); {
		case !ok:
		case len(at) > 1:
			leave(want, next, at[1:])
		default:
			if is, stays := left(want, next); stays {
				x[at[0]] = is
			} else {
				delete(x, at[0])
			}
		}
	case []any:
		i, err := strconv.Atoi(at[0])
		if err != nil || i < 0 || i >= len(x) {
			return
		}
		switch next := there.alike(x[i], i); {
		case !next.there:
		case len(at) > 1:
			leave(x[i], next, at[1:])
		default:
			x[i] = runtime.DeepCopyJSONValue(next.value)
		}
	}
}

// placed reports whether a path of the object that is there leads to the same in v, a mapping or list of its manifest: elements of lists
// are told apart by their places in paths.
func placed(v any, there spot, at []string) bool {
	switch x := v.(type) {
	case map[string]any:
		want, ok := x[at[0]]
		return !ok || len(at) == 1 || placed(want, there.field(at[0]), at[1:])
	case []any:
		i, err := strconv.Atoi(at[0])
		list, _ := there.value.([]any)
		if err != nil || i < 0 || i >= len(x) || i >= len(list) {
			return false
		}
		next := there.alike(x[i], i)
		return next.there && reflect.DeepEqual(next.value, list[i]) && (len(at) == 1 || placed(x[i], next, at[1:]))
	default:
		return true
	}
}

// left returns what to apply of want, a value of a manifest, so that what is there stays; false if nothing.
func left(want any, there spot) (any, bool) {
	if !there.there || there.isOthers() {
		return nil, false
	}
	w, ok := want.(map[string]any)
	if _, alike := there.value.(map[string]any); !ok || !alike {
		return runtime.DeepCopyJSONValue(there.value), true
	}
	for k, v := range w {
		if is, stays := left(v, there.field(k)); stays {
			w[k] = is
		} else {
			delete(w, k)
		}
	}
	return w, true
}

// stampedAnnotations returns the keys of the annotations by which the agent knows its objects.
func stampedAnnotations() []string {
	return []string{cluster.AnnotationStack, cluster.AnnotationChecksum, cluster.AnnotationObject, cluster.AnnotationOwner, cluster.AnnotationAdopted}
}

// restamp puts the stamps of from onto u.
func restamp(u, from *unstructured.Unstructured) {
	annotations, stamps := u.GetAnnotations(), from.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	for _, k := range stampedAnnotations() {
		delete(annotations, k)
		if v, ok := stamps[k]; ok {
			annotations[k] = v
		}
	}
	u.SetAnnotations(annotations)
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[cluster.LabelStack] = from.GetLabels()[cluster.LabelStack]
	u.SetLabels(labels)
}

// unstamped returns a copy without the agent's stamps.
func unstamped(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	annotations, labels := out.GetAnnotations(), out.GetLabels()
	for _, k := range stampedAnnotations() {
		delete(annotations, k)
	}
	delete(labels, cluster.LabelStack)
	if len(annotations) == 0 {
		annotations = nil // as if there had never been one
	}
	if len(labels) == 0 {
		labels = nil
	}
	out.SetAnnotations(annotations)
	out.SetLabels(labels)
	return out
}
