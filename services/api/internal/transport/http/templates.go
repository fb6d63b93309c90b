package http

import (
	"context"
	"encoding/json"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	templateJSON struct {
		ID          template.ID          `json:"id"`
		CreatedAt   time.Time            `json:"created_at"`
		UpdatedAt   time.Time            `json:"updated_at"`
		DeletedAt   *time.Time           `json:"deleted_at"`
		GeneratorID *tenancy.GeneratorID `json:"generator_id"`
		Name        string               `json:"name"`
		Description *string              `json:"description"`
		Version     int                  `json:"version"`
		Content     string               `json:"template_content"`
		Schema      string               `json:"parameters_schema"`
		Checksum    stack.Checksum       `json:"checksum"`
	}
	templateLabelJSON struct {
		ID         template.LabelID `json:"id"`
		TemplateID template.ID      `json:"template_id"`
		Label      string           `json:"label"`
		CreatedAt  time.Time        `json:"created_at"`
	}
	templateAnnotationJSON struct {
		ID         template.AnnotationID `json:"id"`
		TemplateID template.ID           `json:"template_id"`
		Key        string                `json:"key"`
		Value      string                `json:"value"`
		CreatedAt  time.Time             `json:"created_at"`
	}
	templateTextJSON struct {
		Description *string `json:"description"`
		Content     string  `json:"template_content"`
		Schema      string  `json:"parameters_schema"`
	}
	newTemplateJSON struct {
		Name string `json:"name"`
		templateTextJSON
	}
	keyValueBody struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	instantiationJSON struct {
		TemplateID string          `json:"template_id"`
		Parameters json.RawMessage `json:"parameters"`
	}
)

func templateOf(t template.Template) templateJSON {
	return templateJSON{
		ID: t.ID, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(), DeletedAt: t.DeletedAt, GeneratorID: t.Generator, Name: t.Name,
		Description: t.Description, Version: t.Version, Content: t.Content, Schema: t.Schema, Checksum: t.Checksum,
	}
}

func templateLabelOf(l template.Label) templateLabelJSON {
	return templateLabelJSON{ID: l.ID, TemplateID: l.Template, Label: l.Label, CreatedAt: l.CreatedAt.UTC()}
}

func templateAnnotationOf(a template.Annotation) templateAnnotationJSON {
	return templateAnnotationJSON{ID: a.ID, TemplateID: a.Template, Key: a.Key, Value: a.Value, CreatedAt: a.CreatedAt.UTC()}
}

// templateTagged is a template with its state.
func templateTagged(ctx context.Context, a *app.App, t template.Template, err error) (rpc.Tagged, error) {
	if err != nil {
		return rpc.Tagged{}, err
	}
	tag, err := a.TemplateTag(ctx, t)
	return rpc.Tagged{Tag: tag, Body: templateOf(t)}, err
}

func templateRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_templates", "/templates", operate(Generator), template.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[template.Template], error) {
			return a.ListTemplates(ctx, who(ctx), q)
		}, templateOf),
		post("create_template", "/templates", operate(Generator), rpc.JSON[newTemplateJSON], func(ctx context.Context, n newTemplateJSON) (templateJSON, error) {
			out, err := a.CreateTemplate(ctx, who(ctx), n.Name, app.TemplateText(n.templateTextJSON))
			return templateOf(out), err
		}),
		get("get_template", "/templates/{id}", operate(GeneratorOwner), justID[template.ID], func(ctx context.Context, v template.ID) (rpc.Tagged, error) {
			out, err := a.GetTemplate(ctx, who(ctx), v)
			return templateTagged(ctx, a, out, err)
		}),
		put("update_template", "/templates/{id}", operate(GeneratorOwner), idAnd[template.ID, templateTextJSON], func(ctx context.Context, r of[template.ID, templateTextJSON]) (rpc.Tagged, error) {
			out, err := a.UpdateTemplate(ctx, who(ctx), r.id, app.TemplateText(r.body))
			return templateTagged(ctx, a, out, err)
		}).Conditional(),
		del("delete_template", "/templates/{id}", operate(GeneratorOwner), justID[template.ID], func(ctx context.Context, v template.ID) error {
			return a.DeleteTemplate(ctx, who(ctx), v)
		}).Conditional(),
		post("instantiate_template", "/stacks/{id}/deployment-objects/from-template", operate(GeneratorOwner), idAnd[stack.ID, instantiationJSON],
			func(ctx context.Context, r of[stack.ID, instantiationJSON]) (objectJSON, error) {
				t, err := id.Parse[template.ID]("template_id", r.body.TemplateID)
				if err != nil {
					return objectJSON{}, err
				}
				out, err := a.InstantiateTemplate(ctx, who(ctx), r.id, t, r.body.Parameters)
				return objectOf(out), err
			}),
	}
}

func templatePartRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("templates_list_labels", "/templates/{id}/labels", operate(GeneratorOwner), template.LabelList(), justID[template.ID], rpc.Short(template.LabelList(), func(ctx context.Context, v template.ID) ([]template.Label, error) {
			return a.TemplateLabels(ctx, who(ctx), v)
		}), templateLabelOf),
		post("templates_add_label", "/templates/{id}/labels", operate(GeneratorOwner), idAnd[template.ID, string], func(ctx context.Context, r of[template.ID, string]) (templateLabelJSON, error) {
			out, err := a.AddTemplateLabel(ctx, who(ctx), r.id, r.body)
			return templateLabelOf(out), err
		}),
		del("templates_remove_label", "/templates/{id}/labels/{label}", operate(GeneratorOwner), idAndText[template.ID]("label"), func(ctx context.Context, r part[template.ID, string]) error {
			return a.RemoveTemplateLabel(ctx, who(ctx), r.id, r.key)
		}),
		list("templates_list_annotations", "/templates/{id}/annotations", operate(GeneratorOwner), template.AnnotationList(), justID[template.ID], rpc.Short(template.AnnotationList(), func(ctx context.Context, v template.ID) ([]template.Annotation, error) {
			return a.TemplateAnnotations(ctx, who(ctx), v)
		}), templateAnnotationOf),
		post("templates_add_annotation", "/templates/{id}/annotations", operate(GeneratorOwner), idAnd[template.ID, keyValueBody], func(ctx context.Context, r of[template.ID, keyValueBody]) (templateAnnotationJSON, error) {
			out, err := a.AddTemplateAnnotation(ctx, who(ctx), r.id, r.body.Key, r.body.Value)
			return templateAnnotationOf(out), err
		}),
		del("templates_remove_annotation", "/templates/{id}/annotations/{key}", operate(GeneratorOwner), idAndText[template.ID]("key"), func(ctx context.Context, r part[template.ID, string]) error {
			return a.RemoveTemplateAnnotation(ctx, who(ctx), r.id, r.key)
		}),
	}
}
