package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// ID identifies a stored policy.
type ID string

// KeepRevisions is how many revisions of a policy are kept, the newest ones.
const KeepRevisions = 100

// MaxLabels is how many stack labels one policy can be attached by.
const MaxLabels = 20

// Policy is a document that a generator has stored, in its newest revision, with what it is attached to.
type Policy struct {
	ID        ID
	Generator tenancy.GeneratorID
	Name      string // the document's; once a generator
	Revision  int    // from 1
	Document  Document
	Stacks    int      // how many live stacks it is attached to by id
	Labels    []string // stacks of its generator with one of these labels have it too; in order
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
}

// Attached reports whether it is attached to anything, also to a label that no stack has.
func (p Policy) Attached() bool { return p.Stacks > 0 || len(p.Labels) > 0 }

// Revision is one state of a policy's document. It never changes.
type Revision struct {
	Policy    ID
	Number    int
	Document  Document
	CreatedAt time.Time
}

// By says how a policy came to a stack.
type By string

// The ways.
const (
	ByStack By = "stack" // it was attached to the stack itself
	ByLabel By = "label" // it was attached to a label that the stack has
)

// Ref names the revision of a policy that decides about a stack, and why that one.
type Ref struct {
	ID       ID     `json:"id"`
	Name     string `json:"name"`
	Revision int    `json:"revision"`
	By       By     `json:"by"`
	Label    string `json:"label,omitempty"` // of ByLabel
}

// Same reports whether two refs, nil for no policy, name the same revision of the same policy: a decision that rests on
// one rests on the other.
func Same(a, b *Ref) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Revision == b.Revision
}

// Effective returns which of the policies that reach a stack decides about it: the one that was attached to the stack
// itself, else the first by name of those that were attached to a label of its (by the first label, if by several). It
// returns nil if none reaches it.
func Effective(reach []Ref) *Ref {
	if len(reach) == 0 {
		return nil
	}
	r := slices.MinFunc(reach, func(a, b Ref) int {
		return cmp.Or(-cmp.Compare(a.By, b.By), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Label, b.Label))
	})
	return &r
}

// Encode returns d as it is stored: JSON, the parts of patches as they were written.
func (d Document) Encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("write policy %s: %w", d.Name, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Clone returns a document that shares nothing with d.
func (d Document) Clone() (Document, error) {
	text, err := d.Encode()
	if err != nil {
		return Document{}, err
	}
	var out Document
	if err := json.Unmarshal(text, &out); err != nil {
		return Document{}, fmt.Errorf("read policy %s: %w", d.Name, err)
	}
	return out, nil
}

// List says how policies are listed.
func List() page.List[Policy] {
	name := func(p Policy) string { return p.Name }
	return page.List[Policy]{
		ID: func(p Policy) string { return string(p.ID) },
		Sorts: []page.Sort[Policy]{
			{Name: "name", Key: name},
			{Name: "created_at", Kind: page.Moment, Key: func(p Policy) string { return page.Time(p.CreatedAt) }},
		},
		Filters: []page.Filter[Policy]{
			{Name: "name", Of: name},
			{Name: "generator_id", Parse: page.ID("generator_id"), Of: func(p Policy) string { return string(p.Generator) }},
		},
		Search: []func(Policy) string{name},
		Chunk:  100, InPages: true,
	}
}

// Attachment is a stack that has a policy by its own id.
type Attachment struct {
	Policy ID
	Stack  stack.ID
	At     time.Time
}

// RevisionList says how the revisions of a policy are listed: the newest first.
func RevisionList() page.List[Revision] {
	return page.List[Revision]{
		ID:         func(r Revision) string { return string(r.Policy) },
		Sorts:      []page.Sort[Revision]{{Name: "revision", Kind: page.Number, Key: func(r Revision) string { return page.Integer(int64(r.Number)) }}},
		Descending: true, InPages: true,
	}
}
