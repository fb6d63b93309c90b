package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyTemplates struct {
	in ports.Templates
	f  *faults
}

func (x faultyTemplates) Get(ctx context.Context, scope tenancy.Scope, id template.ID) (v template.Template, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyTemplates) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[template.Template], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyTemplates) Newest(ctx context.Context, owner tenancy.GeneratorID, name string) (v template.Template, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Newest(ctx, owner, name)
}

func (x faultyTemplates) DeleteOf(ctx context.Context, owner tenancy.GeneratorID, at time.Time) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.DeleteOf(ctx, owner, at)
}

func (x faultyTemplates) Insert(ctx context.Context, t template.Template) (v template.Template, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Insert(ctx, t)
}

func (x faultyTemplates) Delete(ctx context.Context, id template.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id, at)
}

func (x faultyTemplates) Labels(ctx context.Context, id template.ID) (v []template.Label, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Labels(ctx, id)
}

func (x faultyTemplates) AddLabel(ctx context.Context, l template.Label) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddLabel(ctx, l)
}

func (x faultyTemplates) RemoveLabel(ctx context.Context, id template.ID, label string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveLabel(ctx, id, label)
}

func (x faultyTemplates) Annotations(ctx context.Context, id template.ID) (v []template.Annotation, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Annotations(ctx, id)
}

func (x faultyTemplates) AddAnnotation(ctx context.Context, a template.Annotation) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddAnnotation(ctx, a)
}

func (x faultyTemplates) RemoveAnnotation(ctx context.Context, id template.ID, key string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveAnnotation(ctx, id, key)
}
