// Package template holds stack templates: named texts in versions, from which deployment objects are made.
package template

import (
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Ids of a template's version and of what belongs to it.
type (
	ID           = stack.TemplateID // a deployment object names its template
	LabelID      string
	AnnotationID string
)

// Template is one version of a stack template; it never changes. Name and owner are shared by its versions.
type Template struct {
	ID          ID
	Generator   *tenancy.GeneratorID // nil: the platform's own, for all to use
	Name        string
	Description *string
	Version     int // from 1 for a name and owner; the number of a deleted version is not used again
	Content     string
	Schema      string         // JSON Schema of the parameters
	Checksum    stack.Checksum // of Content
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   *time.Time
}

// Label is one that a stack must have to be made of the template.
type Label struct {
	ID        LabelID
	Template  ID
	Label     string
	CreatedAt time.Time
}

// Annotation is one that a stack must have, with this value, to be made of the template.
type Annotation struct {
	ID         AnnotationID
	Template   ID
	Key, Value string
	CreatedAt  time.Time
}

// VisibleTo reports whether who reads in scope sees the template: its owner, every generator if it is the platform's, an admin.
func (t Template) VisibleTo(s tenancy.Scope) bool {
	return s.All || s.Generator != "" && (t.Generator == nil || *t.Generator == s.Generator)
}

// OwnedBy reports whether who acts in scope may change the template: its owner, or an admin.
func (t Template) OwnedBy(s tenancy.Scope) bool {
	return s.All || t.Generator != nil && s.Owns(*t.Generator)
}

// Fits reports whether a stack of this generator may be made of the template, whoever asks: no tenant's template reaches
// another tenant's stack.
func (t Template) Fits(g tenancy.GeneratorID) bool { return t.Generator == nil || *t.Generator == g }

// KeyValue is an annotation that a stack lacks.
type KeyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Match refuses a stack that lacks labels or annotations of the template: Refused, template_stack_mismatch, with
// missing_labels and missing_annotations in the details. A template without any fits every stack.
func Match(labels []Label, annotations []Annotation, has []stack.Label, hasToo []stack.Annotation) error {
	missing, missingToo := []string{}, []KeyValue{}
	for _, l := range labels {
		if !slices.ContainsFunc(has, func(s stack.Label) bool { return s.Label == l.Label }) {
			missing = append(missing, l.Label)
		}
	}
	for _, a := range annotations {
		if !slices.ContainsFunc(hasToo, func(s stack.Annotation) bool { return s.Key == a.Key && s.Value == a.Value }) {
			missingToo = append(missingToo, KeyValue{a.Key, a.Value})
		}
	}
	if len(missing) == 0 && len(missingToo) == 0 {
		return nil
	}
	return fault.Newf(fault.Refused, "template_stack_mismatch",
		"the template is for stacks with labels and annotations of which this one lacks %d: %s", len(missing)+len(missingToo), listed(missing, missingToo)).
		With("missing_labels", missing).With("missing_annotations", missingToo)
}

// listed names the first few.
func listed(labels []string, annotations []KeyValue) string {
	const most = 5
	all := slices.Clone(labels)
	for _, a := range annotations {
		all = append(all, a.Key+"="+a.Value)
	}
	out := ""
	for i, s := range all {
		switch {
		case i == most:
			return out + ", ..."
		case i > 0:
			out += ", "
		}
		out += s
	}
	return out
}
