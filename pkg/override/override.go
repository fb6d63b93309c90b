// Package override applies what placement policies change of manifests in single clusters: JSON patches (RFC 6902) and
// strategic merge patches. It exists so that the scheduler, which renders, and the api, which checks a policy before it is
// stored, come to the same result. It is pure: the same bundle and patches give the same bytes.
package override

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// Step is one patch with its place in the policy's document (overrides[0].patches[1]).
type Step struct {
	Path  string
	Patch policy.Patch
}

// Problem is something about a step: why it cannot be applied, or that it does nothing.
type Problem struct {
	Path    string
	Message string
	Warning bool // the result stands all the same
}

// Steps returns the patches of those overrides of d that pick passes, by their number, in order.
func Steps(d policy.Document, pick func(int) bool) []Step {
	var out []Step
	for i, o := range d.Overrides {
		if !pick(i) {
			continue
		}
		for j, p := range o.Patches {
			out = append(out, Step{Path: fmt.Sprintf("overrides[%d].patches[%d]", i, j), Patch: p})
		}
	}
	return out
}

// maxCopied bounds what the copy operations of one JSON patch may add, in bytes: each can double what is there.
const maxCopied = 1 << 20

// Render returns a bundle with the patches applied, one after the other, and what is to be said about them. Patches never
// reach Secrets: what is secret belongs into the bundle, which is sealed where it is kept, not into a policy. A patch whose target
// is not in the bundle is a warning; one that cannot be applied, or that would make another object of its target, is an error,
// and then there is no result. Without any patch that changes something the bundle comes back as it is. No message
// repeats a value of the bundle.
func Render(content []byte, steps []Step) ([]byte, []Problem) {
	objects, err := bundle.ParseStored(content)
	if err != nil {
		return nil, []Problem{{Message: "the stored content cannot be read as a bundle"}}
	}
	r := rendering{objects: objects}
	for _, s := range steps {
		r.apply(s)
	}
	if slices.ContainsFunc(r.problems, func(p Problem) bool { return !p.Warning }) {
		return nil, r.problems
	}
	if !r.changed {
		return content, r.problems
	}
	out, err := written(r.objects)
	if err != nil {
		return nil, append(r.problems, Problem{Message: "the patched objects cannot be written as YAML"})
	}
	if most := bundle.DefaultLimits().Bytes; int64(len(out)) > most && len(out) > len(content) {
		return nil, append(r.problems, Problem{Message: fmt.Sprintf("the patched bundle has %d bytes; at most %d are accepted", len(out), most)})
	}
	return out, r.problems
}

type rendering struct {
	objects  []bundle.Object
	changed  bool
	problems []Problem
}

func (r *rendering) apply(s Step) {
	hit := false
	for i, o := range r.objects {
		if !aims(s.Patch.Target, o) {
			continue
		}
		hit = true
		after, changed, err := patched(o.Unstructured, s.Patch)
		if err != nil {
			r.problems = append(r.problems, Problem{Path: s.Path, Message: fmt.Sprintf("%s: %s", o.Key(), err)})
			continue
		}
		r.objects[i].Unstructured, r.changed = after, r.changed || changed
	}
	if !hit {
		r.problems = append(r.problems, Problem{Path: s.Path, Message: "no object of the bundle fits the target", Warning: true})
	}
}

// aims reports whether the target selects the object. No target selects a Secret.
func aims(t policy.PatchTarget, o bundle.Object) bool {
	gvk := o.GroupVersionKind()
	fits := func(want, is string) bool { return want == "" || want == is }
	if gvk.Group == "" && gvk.Kind == "Secret" {
		return false
	}
	return fits(t.Group, gvk.Group) && fits(t.Version, gvk.Version) && fits(t.Kind, gvk.Kind) && fits(t.Namespace, o.GetNamespace()) && fits(t.Name, o.GetName())
}

func patched(o *unstructured.Unstructured, p policy.Patch) (*unstructured.Unstructured, bool, error) {
	before, err := json.Marshal(o.Object)
	if err != nil {
		return nil, false, fmt.Errorf("it cannot be written as JSON")
	}
	var after []byte
	switch {
	case len(p.JSON6902) > 0 && len(p.Merge) > 0:
		return nil, false, fmt.Errorf("patch and merge are both given; one of them is wanted")
	case len(p.JSON6902) > 0:
		after, err = operations(before, p.JSON6902)
	case len(p.Merge) > 0:
		after, err = merged(before, p.Merge, o.GroupVersionKind())
	default:
		return nil, false, fmt.Errorf("neither patch nor merge is given")
	}
	if err != nil {
		return nil, false, err
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(after); err != nil {
		return nil, false, fmt.Errorf("the patch leaves no object")
	}
	if out.GroupVersionKind() != o.GroupVersionKind() || out.GetName() != o.GetName() || out.GetNamespace() != o.GetNamespace() {
		return nil, false, fmt.Errorf("the patch changes apiVersion, kind, name or namespace, which would make another object of it")
	}
	if out.IsList() {
		return nil, false, fmt.Errorf("the patch makes a list of it")
	}
	text, err := json.Marshal(out.Object)
	return out, err == nil && !bytes.Equal(text, before), err
}

// operations applies a JSON patch. What the library says names paths and kinds of values, but may also quote a value that
// test found, which is left out.
func operations(doc, patch []byte) ([]byte, error) {
	ops, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("the patch is no list of JSON Patch operations")
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopied
	for i, op := range ops {
		if doc, err = (jsonpatch.Patch{op}).ApplyWithOptions(doc, options); err != nil {
			path, perr := op.Path()
			if perr != nil {
				path = "?"
			}
			why := "it cannot be applied"
			switch {
			case strings.Contains(err.Error(), "missing") || strings.Contains(err.Error(), "doesn't exist") || strings.Contains(err.Error(), "does not exist") || strings.Contains(err.Error(), "unable to access"):
				why = "nothing is there"
			case op.Kind() == "test":
				why = "something else is there"
			}
			return nil, fmt.Errorf("operation %d (%s %s): %s", i+1, op.Kind(), path, why)
		}
	}
	return doc, nil
}

// merged applies a strategic merge patch where the kind is known, so that lists are merged by their keys, and a JSON merge patch (RFC
// 7386) where it is not, as kubectl does.
func merged(doc, patch []byte, gvk schema.GroupVersionKind) ([]byte, error) {
	var object map[string]any
	if json.Unmarshal(patch, &object) != nil || object == nil {
		return nil, fmt.Errorf("the merge patch is no object")
	}
	if shape := known(gvk); shape != nil {
		out, err := strategicpatch.StrategicMergePatch(doc, patch, shape)
		if err != nil {
			return nil, fmt.Errorf("the strategic merge patch does not fit a %s", gvk.Kind)
		}
		return out, nil
	}
	out, err := jsonpatch.MergePatch(doc, patch)
	if err != nil {
		return nil, fmt.Errorf("the merge patch cannot be applied")
	}
	return out, nil
}

func written(objects []bundle.Object) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}
