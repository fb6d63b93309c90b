// Package stack holds the stack aggregate: a named container of desired state that one generator owns,
// and its immutable revisions (deployment objects).
package stack

import (
	"strings"
	"time"
	"unicode"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Ids of a stack and of what belongs to it.
type (
	ID           string
	ObjectID     string
	LabelID      string
	AnnotationID string
	// TemplateID identifies a version of a stack template. It lives here because an object names the one it was made of;
	// package template aliases it.
	TemplateID string
)

// Checksum is the lower-case hex SHA-256 of a bundle's bytes.
type Checksum string

// UnusedFor is how long a bundle's content is kept since it was last put while nothing refers to it.
const UnusedFor = 24 * time.Hour

// RestorableFor is how long at least a deleted stack can be restored where nothing else is configured.
const RestorableFor = 7 * 24 * time.Hour

// Sequence orders deployment objects over all stacks; gaps are possible.
type Sequence int64

// Stack is a named container of desired state. Name is unique among the generator's live stacks.
type Stack struct {
	ID          ID
	Name        string
	Description *string
	Generator   tenancy.GeneratorID
	Treatment   Treatment
	Version     int64 // grows with each change that placement can see; used for compare-and-set
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   *time.Time
}

// Label is a bare string on a stack.
type Label struct {
	ID    LabelID
	Stack ID
	Label string
}

// Annotation is a key and value on a stack.
type Annotation struct {
	ID         AnnotationID
	Stack      ID
	Key, Value string
}

// Object is a deployment object: one immutable revision of a stack. The newest live one is desired.
type Object struct {
	ID          ObjectID
	Stack       ID
	Sequence    Sequence
	Checksum    Checksum
	Size        int64   // bytes of the bundle
	Traceparent string  // W3C trace context of the publishing call
	Marker      bool    // a deletion marker: the stack's objects are to be pruned
	Origin      *Origin // nil: it was published as it is
	SubmittedAt time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   *time.Time
}

// Origin is what an object was made of: a version of a template, and parameters, of which only a digest is kept.
type Origin struct {
	Template   TemplateID
	Version    int
	Parameters Checksum // of the parameters as JSON with sorted keys
}

const (
	maxLabel      = 64
	maxAnnotation = 64
)

// CheckLabel refuses labels that are empty, longer than 64 bytes, or hold white space or control characters.
func CheckLabel(l string) error {
	if l == "" {
		return fault.New(fault.Invalid, "invalid_label", "the label is empty")
	}
	if len(l) > maxLabel {
		return fault.Newf(fault.Invalid, "invalid_label", "the label is longer than %d bytes", maxLabel)
	}
	if strings.ContainsFunc(l, isSpaceOrControl) {
		return fault.New(fault.Invalid, "invalid_label", "the label contains white space or control characters")
	}
	return nil
}

// CheckAnnotation refuses keys and values that are empty, longer than 64 bytes, or hold white space or control characters.
func CheckAnnotation(key, value string) error {
	for what, s := range map[string]string{"key": key, "value": value} {
		if s == "" || len(s) > maxAnnotation || strings.ContainsFunc(s, isSpaceOrControl) {
			return fault.Newf(fault.Invalid, "invalid_annotation", "the annotation's %s must have 1 to %d bytes and no white space", what, maxAnnotation)
		}
	}
	return nil
}

func isSpaceOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
