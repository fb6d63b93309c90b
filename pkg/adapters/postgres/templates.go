package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type templates struct{ s session }

func noTemplate(id any) error { return notFound("template_not_found", "template", id) }

type templateRow struct {
	ID          template.ID          `db:"id"`
	Generator   *tenancy.GeneratorID `db:"generator_id"`
	Name        string               `db:"name"`
	Description *string              `db:"description"`
	Version     int                  `db:"version"`
	Content     string               `db:"template_content"`
	Schema      string               `db:"parameters_schema"`
	Checksum    []byte               `db:"checksum"`
	CreatedAt   time.Time            `db:"created_at"`
	UpdatedAt   time.Time            `db:"updated_at"`
	DeletedAt   *time.Time           `db:"deleted_at"`
}

func (r templateRow) template() template.Template {
	return template.Template{
		ID: r.ID, Generator: r.Generator, Name: r.Name, Description: r.Description, Version: r.Version, Content: r.Content, Schema: r.Schema,
		Checksum: checksumOf(r.Checksum), CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt), DeletedAt: microPtr(r.DeletedAt),
	}
}

const selectTemplates = `SELECT t.id, t.generator_id, t.name, t.description, t.version, t.template_content, t.parameters_schema, t.checksum,
	t.created_at, t.updated_at, t.deleted_at FROM templates t WHERE t.deleted_at IS NULL`

const (
	getTemplate            = selectTemplates + ` AND t.id = $1`
	getTemplateOfGenerator = selectTemplates + ` AND t.id = $1 AND (t.generator_id IS NULL OR t.generator_id = $2)`
)

// Get implements ports.Templates.
func (r templates) Get(ctx context.Context, scope tenancy.Scope, id template.ID) (template.Template, error) {
	query, args, ok := views{all: getTemplate, generator: getTemplateOfGenerator}.of(scope, uid(id))
	if !ok || query == "" { // agents see none
		return template.Template{}, noTemplate(id)
	}
	row, err := one[templateRow](ctx, r.s, "get template", noTemplate(id), query, args...)
	if err != nil {
		return template.Template{}, err
	}
	return row.template(), nil
}

const (
	countTemplates       = `SELECT count(*) FROM templates t WHERE t.deleted_at IS NULL`
	templatesSeenBy      = ` AND (t.generator_id IS NULL OR t.generator_id = ?)`
	templatesNamed       = ` AND t.name = ?`
	templatesOfGenerator = ` AND t.generator_id = ?`
	templatesLabelled    = ` AND EXISTS (SELECT FROM template_labels l WHERE l.template_id = t.id AND l.label = ?)`
	templatesAnnotated   = ` AND EXISTS (SELECT FROM template_annotations n WHERE n.template_id = t.id AND n.key = ? AND n.value = ?)`
	templatesFound       = ` AND position(lower(?::text) IN lower(t.name)) > 0`
)

func templatePages() listing[templateRow, template.Template] {
	return listing[templateRow, template.Template]{
		list: template.List(), act: "list templates", rows: selectTemplates, count: countTemplates, id: "t.id",
		sorts:   map[string]string{"created_at": "t.created_at", "name": "t.name"},
		filters: map[string]string{"name": templatesNamed, "generator_id": templatesOfGenerator}, search: templatesFound,
		label: templatesLabelled, annotation: templatesAnnotated, to: templateRow.template,
	}
}

// Page implements ports.Templates.
func (r templates) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[template.Template], error) {
	only := part{text: nobody}
	switch {
	case scope.All:
		only = part{}
	case scope.Generator != "":
		only = part{templatesSeenBy, []any{uid(scope.Generator)}}
	}
	return templatePages().page(ctx, r.s, only, q)
}

const newestTemplate = selectTemplates + ` AND t.name = $1
	AND coalesce(t.generator_id, '00000000-0000-0000-0000-000000000000') = coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
	ORDER BY t.version DESC LIMIT 1`

// Newest implements ports.Templates.
func (r templates) Newest(ctx context.Context, owner tenancy.GeneratorID, name string) (template.Template, error) {
	row, err := one[templateRow](ctx, r.s, "get newest template", noTemplate(name), newestTemplate, name, uidPtr(owner))
	if err != nil {
		return template.Template{}, err
	}
	return row.template(), nil
}

const (
	// One at a time draws a version of a name; the statement after it sees what the one before has committed.
	lockTemplateName = `SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended('brokkr.template ' || coalesce($1::uuid::text, '') || ' ' || $2, 0))) l`

	insertTemplate = `INSERT INTO templates
		(id, generator_id, name, description, version, template_content, parameters_schema, checksum, created_at, updated_at)
		SELECT $1, $2::uuid, $3, $4, coalesce(max(t.version), 0) + 1, $5, $6, $7, $8, $9 FROM templates t
		WHERE t.name = $3 AND coalesce(t.generator_id, '00000000-0000-0000-0000-000000000000') = coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
		RETURNING version`
)

// Insert implements ports.Templates.
func (r templates) Insert(ctx context.Context, t template.Template) (template.Template, error) {
	t.CreatedAt, t.UpdatedAt, t.DeletedAt = micro(t.CreatedAt), micro(t.UpdatedAt), nil
	t.Generator, t.Description = copied(t.Generator), copied(t.Description)
	return writes(ctx, r.s, func(ctx context.Context, in session) (template.Template, error) {
		var owner any
		if t.Generator != nil {
			if err := in.keepGenerator(ctx, *t.Generator); err != nil {
				return t, err
			}
			owner = uid(*t.Generator)
		}
		if _, err := one[int](ctx, in, "lock template name", noTemplate(t.Name), lockTemplateName, owner, t.Name); err != nil {
			return t, err
		}
		var err error
		t.Version, err = one[int](ctx, in, "insert template", noTemplate(t.ID), insertTemplate, uid(t.ID), owner, t.Name, t.Description,
			t.Content, t.Schema, bytesOf(t.Checksum), t.CreatedAt, t.UpdatedAt)
		return t, err
	})
}

const (
	goneTemplates = ` AND deleted_at IS NULL RETURNING id),
	labels AS (DELETE FROM template_labels WHERE template_id IN (SELECT id FROM gone)),
	annotations AS (DELETE FROM template_annotations WHERE template_id IN (SELECT id FROM gone))
	SELECT count(*) FROM gone`
	deleteTemplate    = `WITH gone AS (UPDATE templates SET deleted_at = $2, updated_at = $2 WHERE id = $1` + goneTemplates
	deleteTemplatesOf = `WITH gone AS (UPDATE templates SET deleted_at = $2, updated_at = $2 WHERE generator_id = $1` + goneTemplates
)

// Delete implements ports.Templates.
func (r templates) Delete(ctx context.Context, id template.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := one[int](ctx, in, "delete template", noTemplate(id), deleteTemplate, uid(id), micro(at))
		if err == nil && n == 0 {
			return noTemplate(id)
		}
		return err
	})
}

// DeleteOf implements ports.Templates.
func (r templates) DeleteOf(ctx context.Context, owner tenancy.GeneratorID, at time.Time) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		return one[int](ctx, in, "delete templates of generator", nil, deleteTemplatesOf, uid(owner), micro(at))
	})
}

const keepTemplate = `SELECT 1 FROM templates WHERE id = $1 AND deleted_at IS NULL FOR SHARE`

// add inserts a part of a live template.
func (r templates) add(ctx context.Context, id template.ID, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if _, err := one[int](ctx, in, "lock template", noTemplate(id), keepTemplate, uid(id)); err != nil {
			return err
		}
		_, err := in.exec(ctx, act, query, args...)
		return err
	})
}

// remove deletes a part of a template, or returns missing.
func (r templates) remove(ctx context.Context, missing error, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, act, query, args...)
		if err == nil && n == 0 {
			return missing
		}
		return err
	})
}

type templateLabelRow struct {
	ID        template.LabelID `db:"id"`
	Template  template.ID      `db:"template_id"`
	Label     string           `db:"label"`
	CreatedAt time.Time        `db:"created_at"`
}

func (r templateLabelRow) label() template.Label {
	r.CreatedAt = micro(r.CreatedAt)
	return template.Label(r)
}

const templateLabels = `SELECT id, template_id, label, created_at FROM template_labels WHERE template_id = $1 ORDER BY label`

// Labels implements ports.Templates.
func (r templates) Labels(ctx context.Context, id template.ID) ([]template.Label, error) {
	rows, err := many[templateLabelRow](ctx, r.s, "list labels of template", templateLabels, uid(id))
	return convert(rows, err, templateLabelRow.label)
}

const addTemplateLabel = `INSERT INTO template_labels (id, template_id, label, created_at) VALUES ($1, $2, $3, $4)`

// AddLabel implements ports.Templates.
func (r templates) AddLabel(ctx context.Context, l template.Label) error {
	return r.add(ctx, l.Template, "add label to template", addTemplateLabel, uid(l.ID), uid(l.Template), l.Label, micro(l.CreatedAt))
}

const removeTemplateLabel = `DELETE FROM template_labels WHERE template_id = $1 AND label = $2`

// RemoveLabel implements ports.Templates.
func (r templates) RemoveLabel(ctx context.Context, id template.ID, label string) error {
	return r.remove(ctx, notFound("template_label_not_found", "label", label), "remove label of template", removeTemplateLabel, uid(id), label)
}

type templateAnnotationRow struct {
	ID        template.AnnotationID `db:"id"`
	Template  template.ID           `db:"template_id"`
	Key       string                `db:"key"`
	Value     string                `db:"value"`
	CreatedAt time.Time             `db:"created_at"`
}

func (r templateAnnotationRow) annotation() template.Annotation {
	r.CreatedAt = micro(r.CreatedAt)
	return template.Annotation(r)
}

const templateAnnotations = `SELECT id, template_id, key, value, created_at FROM template_annotations WHERE template_id = $1 ORDER BY key`

// Annotations implements ports.Templates.
func (r templates) Annotations(ctx context.Context, id template.ID) ([]template.Annotation, error) {
	rows, err := many[templateAnnotationRow](ctx, r.s, "list annotations of template", templateAnnotations, uid(id))
	return convert(rows, err, templateAnnotationRow.annotation)
}

const addTemplateAnnotation = `INSERT INTO template_annotations (id, template_id, key, value, created_at) VALUES ($1, $2, $3, $4, $5)`

// AddAnnotation implements ports.Templates.
func (r templates) AddAnnotation(ctx context.Context, a template.Annotation) error {
	return r.add(ctx, a.Template, "add annotation to template", addTemplateAnnotation, uid(a.ID), uid(a.Template), a.Key, a.Value, micro(a.CreatedAt))
}

const removeTemplateAnnotation = `DELETE FROM template_annotations WHERE template_id = $1 AND key = $2`

// RemoveAnnotation implements ports.Templates.
func (r templates) RemoveAnnotation(ctx context.Context, id template.ID, key string) error {
	return r.remove(ctx, notFound("template_annotation_not_found", "annotation", key), "remove annotation of template", removeTemplateAnnotation, uid(id), key)
}
