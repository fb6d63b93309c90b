package memory

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type templates struct{ s session }

func noTemplate(id any) error { return notFound("template_not_found", "template", id) }

func ownerOf(t template.Template) string {
	if t.Generator == nil {
		return ""
	}
	return string(*t.Generator)
}

// liveTemplate returns the template unless it is unknown or deleted.
func (s *state) liveTemplate(id template.ID) (template.Template, bool) {
	t, ok := s.templates.get(one(id))
	return t, ok && t.DeletedAt == nil
}

func (r templates) Get(ctx context.Context, scope tenancy.Scope, id template.ID) (template.Template, error) {
	return read(ctx, r.s, func(s *state) (template.Template, error) {
		t, ok := s.liveTemplate(id)
		if !ok || !t.VisibleTo(scope) {
			return template.Template{}, noTemplate(id)
		}
		return copyTemplate(t), nil
	})
}

func (r templates) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[template.Template], error) {
	return pageOf(ctx, r.s, template.List(), q, func(s *state, keep func(template.Template)) {
		s.templates.each(func(_ one, t template.Template) bool {
			if t.DeletedAt == nil && t.VisibleTo(scope) && hasAll(s.templateLabels, string(t.ID), q.Labels) &&
				annotated(s.templateAnnotations, string(t.ID), q.Annotations, func(a template.Annotation) string { return a.Value }) {
				keep(copyTemplate(t))
			}
			return true
		})
	})
}

func (r templates) Newest(ctx context.Context, owner tenancy.GeneratorID, name string) (template.Template, error) {
	return read(ctx, r.s, func(s *state) (template.Template, error) {
		var found template.Template
		s.templates.each(func(_ one, t template.Template) bool {
			if t.DeletedAt == nil && t.Name == name && ownerOf(t) == string(owner) && t.Version > found.Version {
				found = copyTemplate(t)
			}
			return true
		})
		if found.Version == 0 {
			return template.Template{}, noTemplate(name)
		}
		return found, nil
	})
}

func (r templates) Insert(ctx context.Context, t template.Template) (template.Template, error) {
	return write(ctx, r.s, func(c *change) (template.Template, error) {
		if t.Generator != nil {
			if _, ok := c.liveGenerator(*t.Generator); !ok {
				return template.Template{}, noGenerator(*t.Generator)
			}
		}
		if c.templates.has(one(t.ID)) {
			return template.Template{}, duplicate("templates_pkey", "template", t.ID)
		}
		t = copyTemplate(t)
		name := two{ownerOf(t), t.Name}
		last, _ := c.templateVersions.get(name)
		t.Version, t.DeletedAt = last+1, nil
		c.templateVersions.put(name, t.Version)
		c.templates.put(one(t.ID), t)
		return copyTemplate(t), nil
	})
}

func (r templates) Delete(ctx context.Context, id template.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		t, ok := c.liveTemplate(id)
		if !ok {
			return noTemplate(id)
		}
		c.deleteTemplate(t, micro(at))
		return nil
	})
}

func (c *change) deleteTemplate(t template.Template, at time.Time) {
	id := string(t.ID)
	t.DeletedAt, t.UpdatedAt = &at, at
	c.templates.put(one(id), t)
	for _, label := range keysOf(c.templateLabels, id) {
		c.templateLabels.drop(two{id, label})
	}
	for _, key := range keysOf(c.templateAnnotations, id) {
		c.templateAnnotations.drop(two{id, key})
	}
}

func (r templates) DeleteOf(ctx context.Context, owner tenancy.GeneratorID, at time.Time) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var owned []template.Template
		c.templates.each(func(_ one, t template.Template) bool {
			if t.DeletedAt == nil && t.Generator != nil && *t.Generator == owner {
				owned = append(owned, t)
			}
			return true
		})
		for _, t := range owned {
			c.deleteTemplate(t, micro(at))
		}
		return len(owned), nil
	})
}

func (r templates) Labels(ctx context.Context, id template.ID) ([]template.Label, error) {
	return read(ctx, r.s, func(s *state) ([]template.Label, error) { return valuesOf(s.templateLabels, string(id)), nil })
}

func (r templates) AddLabel(ctx context.Context, l template.Label) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveTemplate(l.Template); !ok {
			return noTemplate(l.Template)
		}
		k := two{string(l.Template), l.Label}
		if c.templateLabels.has(k) {
			return duplicate("template_labels_label", "label", l.Label)
		}
		l.CreatedAt = micro(l.CreatedAt)
		c.templateLabels.put(k, l)
		return nil
	})
}

func (r templates) RemoveLabel(ctx context.Context, id template.ID, label string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.templateLabels.drop(two{string(id), label}) {
			return notFound("template_label_not_found", "label", label)
		}
		return nil
	})
}

func (r templates) Annotations(ctx context.Context, id template.ID) ([]template.Annotation, error) {
	return read(ctx, r.s, func(s *state) ([]template.Annotation, error) {
		return valuesOf(s.templateAnnotations, string(id)), nil
	})
}

func (r templates) AddAnnotation(ctx context.Context, a template.Annotation) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveTemplate(a.Template); !ok {
			return noTemplate(a.Template)
		}
		k := two{string(a.Template), a.Key}
		if c.templateAnnotations.has(k) {
			return duplicate("template_annotations_key", "annotation", a.Key)
		}
		a.CreatedAt = micro(a.CreatedAt)
		c.templateAnnotations.put(k, a)
		return nil
	})
}

func (r templates) RemoveAnnotation(ctx context.Context, id template.ID, key string) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.templateAnnotations.drop(two{string(id), key}) {
			return notFound("template_annotation_not_found", "annotation", key)
		}
		return nil
	})
}
