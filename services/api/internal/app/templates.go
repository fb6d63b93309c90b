package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

func noTemplate(id template.ID) error {
	return fault.Newf(fault.NotFound, "template_not_found", "template %s is not there", id)
}

// ListTemplates returns a page of the templates that p sees: its own and the platform's; all for staff.
func (a *App) ListTemplates(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[template.Template], error) {
	out, err := a.Store.Templates().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[template.Template]{}, fmt.Errorf("list templates: %w", err)
	}
	return out, nil
}

// GetTemplate returns one version of a template to whoever sees it.
func (a *App) GetTemplate(ctx context.Context, p tenancy.Principal, id template.ID) (template.Template, error) {
	return readTemplate(ctx, a.Store, p, id)
}

func readTemplate(ctx context.Context, tx ports.Repositories, p tenancy.Principal, id template.ID) (template.Template, error) {
	if p.Role == tenancy.RoleAgent {
		return template.Template{}, noTemplate(id)
	}
	t, err := tx.Templates().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return template.Template{}, fmt.Errorf("get template: %w", err)
	}
	return t, nil
}

// ownTemplate returns a template that p may change. One that p only sees is Forbidden, any other is not there.
func ownTemplate(ctx context.Context, tx ports.Repositories, p tenancy.Principal, id template.ID) (template.Template, error) {
	t, err := readTemplate(ctx, tx, p, id)
	if err != nil {
		return template.Template{}, err
	}
	if !t.OwnedBy(tenancy.ScopeOf(p)) {
		return template.Template{}, fault.New(fault.Forbidden, "template_not_owned", "the template is the platform's: only an admin changes it")
	}
	return t, nil
}

// TemplateText is what a version of a template says.
type TemplateText struct {
	Description *string
	Content     string
	Schema      string
}

func (x TemplateText) version(name string, owner *tenancy.GeneratorID) template.Template {
	sum := sha256.Sum256([]byte(x.Content))
	return template.Template{
		Name: name, Generator: owner, Description: x.Description, Content: x.Content, Schema: x.Schema,
		Checksum: stack.Checksum(hex.EncodeToString(sum[:])),
	}
}

// CreateTemplate makes a template: an admin's is the platform's, a generator's its own. A name that the owner has already
// gets its next version, as with UpdateTemplate. Both halves of the text are checked (Invalid).
func (a *App) CreateTemplate(ctx context.Context, p tenancy.Principal, name string, x TemplateText) (template.Template, error) {
	if err := tenancy.CheckName("invalid_template", "the template's name", name); err != nil {
		return template.Template{}, err
	}
	if err := a.Templates.Check(x.Content, x.Schema); err != nil {
		return template.Template{}, err
	}
	var owner *tenancy.GeneratorID
	if p.Role == tenancy.RoleGenerator {
		owner = &p.Generator
	}
	var out template.Template
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		before, err := newestOf(ctx, tx, name, owner)
		if err != nil {
			return err
		}
		if out, err = a.nextVersion(ctx, tx, x.version(name, owner), before); err != nil {
			return err
		}
		return a.did(ctx, tx, ofTemplate(audit.Did(audit.TemplateCreated, string(out.ID), nil, out), out))
	})
	if err != nil {
		return template.Template{}, fmt.Errorf("create template: %w", err)
	}
	return out, nil
}

// newestOf returns the newest live version of a name; nil without one.
func newestOf(ctx context.Context, tx ports.Repositories, name string, owner *tenancy.GeneratorID) (*template.ID, error) {
	var of tenancy.GeneratorID
	if owner != nil {
		of = *owner
	}
	t, err := tx.Templates().Newest(ctx, of, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the newest template: %w", err)
	}
	return &t.ID, nil
}

// UpdateTemplate makes the next version of a template's name, by its owner or an admin. Its labels and annotations are those
// of the version that was updated: a guard does not fall away because a text changes. A description that is left out stays.
func (a *App) UpdateTemplate(ctx context.Context, p tenancy.Principal, id template.ID, x TemplateText) (template.Template, error) {
	if err := a.Templates.Check(x.Content, x.Schema); err != nil {
		return template.Template{}, err
	}
	var out template.Template
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Template(ctx, id); err != nil {
			return err
		}
		t, err := ownTemplate(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := expected(ctx, tx, t); err != nil {
			return err
		}
		next := x.version(t.Name, t.Generator)
		if next.Description == nil {
			next.Description = t.Description
		}
		if out, err = a.nextVersion(ctx, tx, next, &id); err != nil {
			return err
		}
		return a.did(ctx, tx, ofTemplate(audit.Did(audit.TemplateUpdated, string(out.ID), t, out), out).With("former_id", string(id)))
	})
	if err != nil {
		return template.Template{}, fmt.Errorf("update template: %w", err)
	}
	return out, nil
}

// nextVersion stores a version with the labels and annotations of the one before.
func (a *App) nextVersion(ctx context.Context, tx ports.Repositories, t template.Template, before *template.ID) (template.Template, error) {
	at := a.now()
	t.ID, t.CreatedAt, t.UpdatedAt = template.ID(newID()), at, at
	out, err := tx.Templates().Insert(ctx, t)
	if err != nil || before == nil {
		return out, err
	}
	labels, annotations, err := guards(ctx, tx, *before)
	if err != nil {
		return out, err
	}
	for _, l := range labels {
		l.ID, l.Template, l.CreatedAt = template.LabelID(newID()), out.ID, at
		if err := tx.Templates().AddLabel(ctx, l); err != nil {
			return out, fmt.Errorf("carry label over: %w", err)
		}
	}
	for _, an := range annotations {
		an.ID, an.Template, an.CreatedAt = template.AnnotationID(newID()), out.ID, at
		if err := tx.Templates().AddAnnotation(ctx, an); err != nil {
			return out, fmt.Errorf("carry annotation over: %w", err)
		}
	}
	return out, nil
}

// guards returns the labels and annotations that a template demands of stacks.
func guards(ctx context.Context, tx ports.Repositories, id template.ID) ([]template.Label, []template.Annotation, error) {
	labels, err := tx.Templates().Labels(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("list the template's labels: %w", err)
	}
	annotations, err := tx.Templates().Annotations(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("list the template's annotations: %w", err)
	}
	return labels, annotations, nil
}

// ofTemplate adds what a version is called to an entry about it.
func ofTemplate(e audit.Entry, t template.Template) audit.Entry {
	return e.With("name", t.Name).With("version", strconv.Itoa(t.Version))
}

// changeTemplate runs one change of what belongs to a template that p may change.
func (a *App) changeTemplate(ctx context.Context, p tenancy.Principal, id template.ID, act audit.Action, what string, part map[string]any, fn func(ctx context.Context, tx ports.Repositories) error) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := ownTemplate(ctx, tx, p, id); err != nil {
			return err
		}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return a.did(ctx, tx, changedPart(act, string(id), part))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// TemplateTag is the state of a template that a change may rest on: which version it is, and which is the newest of its name.
func (a *App) TemplateTag(ctx context.Context, t template.Template) (string, error) {
	return templateTag(ctx, a.Store, t)
}

func templateTag(ctx context.Context, in ports.Repositories, t template.Template) (string, error) {
	newest, err := newestOf(ctx, in, t.Name, t.Generator)
	if err != nil {
		return "", err
	}
	return precondition.State(t.ID, newest), nil
}

// expected checks the condition under which a template is to be changed.
func expected(ctx context.Context, tx ports.Repositories, t template.Template) error {
	state, err := templateTag(ctx, tx, t)
	if err != nil {
		return err
	}
	return precondition.Check(ctx, state)
}

// DeleteTemplate deletes one version of a template, by its owner or an admin. What was made of it stays.
func (a *App) DeleteTemplate(ctx context.Context, p tenancy.Principal, id template.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Template(ctx, id); err != nil {
			return err
		}
		t, err := ownTemplate(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := expected(ctx, tx, t); err != nil {
			return err
		}
		if err := tx.Templates().Delete(ctx, id, a.now()); err != nil {
			return err
		}
		return a.did(ctx, tx, ofTemplate(audit.Did(audit.TemplateDeleted, string(id), t, nil), t))
	})
	if err != nil {
		return fmt.Errorf("delete template: %w", err)
	}
	return nil
}

// TemplateLabels returns the labels of a template to whoever sees it.
func (a *App) TemplateLabels(ctx context.Context, p tenancy.Principal, id template.ID) ([]template.Label, error) {
	if _, err := readTemplate(ctx, a.Store, p, id); err != nil {
		return nil, err
	}
	out, err := a.Store.Templates().Labels(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the template's labels: %w", err)
	}
	return out, nil
}

// AddTemplateLabel makes a template one for stacks with this label; one that it has already is a Conflict.
func (a *App) AddTemplateLabel(ctx context.Context, p tenancy.Principal, id template.ID, label string) (template.Label, error) {
	if err := stack.CheckLabel(label); err != nil {
		return template.Label{}, err
	}
	l := template.Label{ID: template.LabelID(newID()), Template: id, Label: label, CreatedAt: a.now()}
	return l, a.changeTemplate(ctx, p, id, audit.TemplateLabelAdded, "add label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Templates().AddLabel(ctx, l)
	})
}

// RemoveTemplateLabel takes a label from a template.
func (a *App) RemoveTemplateLabel(ctx context.Context, p tenancy.Principal, id template.ID, label string) error {
	return a.changeTemplate(ctx, p, id, audit.TemplateLabelRemoved, "remove label", map[string]any{"label": label}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Templates().RemoveLabel(ctx, id, label)
	})
}

// TemplateAnnotations returns the annotations of a template to whoever sees it.
func (a *App) TemplateAnnotations(ctx context.Context, p tenancy.Principal, id template.ID) ([]template.Annotation, error) {
	if _, err := readTemplate(ctx, a.Store, p, id); err != nil {
		return nil, err
	}
	out, err := a.Store.Templates().Annotations(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list the template's annotations: %w", err)
	}
	return out, nil
}

// AddTemplateAnnotation makes a template one for stacks with this annotation; a key that it has already is a Conflict.
func (a *App) AddTemplateAnnotation(ctx context.Context, p tenancy.Principal, id template.ID, key, value string) (template.Annotation, error) {
	if err := stack.CheckAnnotation(key, value); err != nil {
		return template.Annotation{}, err
	}
	an := template.Annotation{ID: template.AnnotationID(newID()), Template: id, Key: key, Value: value, CreatedAt: a.now()}
	return an, a.changeTemplate(ctx, p, id, audit.TemplateAnnotationAdded, "add annotation", map[string]any{"key": key, "value": value}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Templates().AddAnnotation(ctx, an)
	})
}

// RemoveTemplateAnnotation takes an annotation from a template.
func (a *App) RemoveTemplateAnnotation(ctx context.Context, p tenancy.Principal, id template.ID, key string) error {
	return a.changeTemplate(ctx, p, id, audit.TemplateAnnotationRemoved, "remove annotation", map[string]any{"key": key}, func(ctx context.Context, tx ports.Repositories) error {
		return tx.Templates().RemoveAnnotation(ctx, id, key)
	})
}
