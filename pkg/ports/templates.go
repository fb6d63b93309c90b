package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Templates are the stack templates, a row a version. A generator's scope sees its own and the platform's, an agent's
// none. Whose they are to change is the caller's affair.
type Templates interface {
	// Get returns a live version.
	Get(ctx context.Context, scope tenancy.Scope, id template.ID) (template.Template, error)
	// Page returns a page of the live versions, as template.List says: a generator's scope sees its own and the platform's.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[template.Template], error)
	// Newest returns the live version of this name with the highest number, of this owner (empty: the platform); NotFound without one.
	Newest(ctx context.Context, owner tenancy.GeneratorID, name string) (template.Template, error)
	// Insert stores t as the next version of its name and owner, which it returns in the copy: 1 for a new name, else one
	// more than there ever was. Racing callers get versions of their own. The owner must be live.
	Insert(ctx context.Context, t template.Template) (template.Template, error)
	// Delete soft-deletes one version; its labels and annotations go. Deployment objects go on naming it.
	Delete(ctx context.Context, id template.ID, at time.Time) error
	// DeleteOf does that with all versions that the generator owns, and returns how many were live.
	DeleteOf(ctx context.Context, owner tenancy.GeneratorID, at time.Time) (int, error)

	// Labels returns a version's labels in order.
	Labels(ctx context.Context, id template.ID) ([]template.Label, error)
	AddLabel(ctx context.Context, l template.Label) error
	RemoveLabel(ctx context.Context, id template.ID, label string) error
	// Annotations returns a version's annotations by key.
	Annotations(ctx context.Context, id template.ID) ([]template.Annotation, error)
	AddAnnotation(ctx context.Context, a template.Annotation) error
	RemoveAnnotation(ctx context.Context, id template.ID, key string) error
}
