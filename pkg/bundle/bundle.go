// Package bundle reads bundles of Kubernetes manifests: the content of a deployment object. It exists so that the
// api (at publish), the command line (before publish) and the agent (before apply) see the same objects and refuse
// the same mistakes with the same words.
package bundle

import (
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Code is the stable code of every error that this package returns.
const Code = "invalid_deployment_object"

// Limits bound what Parse accepts. A zero field means its default.
type Limits struct {
	Bytes     int64 // of the whole bundle
	Documents int   // documents and, separately, objects after lists were expanded
	Depth     int   // nesting of mappings and sequences in one document
}

// DefaultLimits returns 16 MiB, 10,000 documents and a depth of 128.
func DefaultLimits() Limits {
	return Limits{Bytes: 16 << 20, Documents: 10_000, Depth: 128}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.Bytes > 0 {
		d.Bytes = l.Bytes
	}
	if l.Documents > 0 {
		d.Documents = l.Documents
	}
	if l.Depth > 0 {
		d.Depth = l.Depth
	}
	return d
}

// Object is one manifest of a bundle.
type Object struct {
	Document int // 1-based; items of a list share their document's number
	Line     int // 1-based, in the whole bundle: where the object begins
	*unstructured.Unstructured
}

// APIVersion returns the object's apiVersion.
func (o Object) APIVersion() string { return o.GetAPIVersion() }

// Kind returns the object's kind.
func (o Object) Kind() string { return o.GetKind() }

// Namespace returns the object's namespace as written, empty if the manifest names none.
func (o Object) Namespace() string { return o.GetNamespace() }

// Name returns the object's name.
func (o Object) Name() string { return o.GetName() }

// Key returns what identifies the object within its bundle.
func (o Object) Key() Key {
	gvk := o.GroupVersionKind()
	return Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Key identifies an object whatever version of its API it is written in.
type Key struct {
	Group, Kind, Namespace, Name string
}

// GroupKind returns the key's kind with its group.
func (k Key) GroupKind() schema.GroupKind { return schema.GroupKind{Group: k.Group, Kind: k.Kind} }

// String returns `Kind.group namespace/name`, without the parts that are empty.
func (k Key) String() string {
	s := k.GroupKind().String() + " "
	if k.Namespace != "" {
		s += k.Namespace + "/"
	}
	return s + k.Name
}

// Parse reads every object of content, YAML or JSON, in order. Empty documents are skipped, lists are expanded; a
// bundle without objects is not an error here. Plain scalars mean what they mean to kubectl. Errors are
// fault.Invalid with Code; the message and the details `document` and `line` say where. No error repeats a value
// of the bundle, which may be secret. The returned objects share nothing with content or each other.
func Parse(content []byte, l Limits) ([]Object, error) {
	l = l.orDefault()
	if int64(len(content)) > l.Bytes {
		return nil, fault.Newf(fault.Invalid, Code, "the bundle has %d bytes; at most %d are accepted", len(content), l.Bytes)
	}
	if !utf8.Valid(content) {
		return nil, fault.New(fault.Invalid, Code, "the bundle is not UTF-8 text")
	}
	p := parser{limits: l, seen: map[Key]Object{}, aliasBudget: maxAliasCost}
	for _, s := range split(content) {
		if err := p.section(s); err != nil {
			return nil, err
		}
	}
	return p.objects, nil
}

// place is where something stands in the bundle.
type place struct{ document, line int }

func (p place) errorf(format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	return fault.Newf(fault.Invalid, Code, "document %d, line %d: %s", p.document, p.line, msg).
		With("document", p.document).With("line", p.line)
}
