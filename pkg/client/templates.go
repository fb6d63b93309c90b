package client

import (
	"context"
	"net/http"
	"time"
)

// Template is one version of a stack template.
type Template struct {
	ID               string     `json:"id"`
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	DeletedAt        *time.Time `json:"deleted_at"`
	GeneratorID      *string    `json:"generator_id"` // nil: the platform's
	Name             string     `json:"name"`
	Description      *string    `json:"description"`
	Version          int        `json:"version"`
	TemplateContent  string     `json:"template_content"`
	ParametersSchema string     `json:"parameters_schema"`
	Checksum         string     `json:"checksum"`
}

// TemplateText is what a version of a template says.
type TemplateText struct {
	Description      *string `json:"description,omitempty"`
	TemplateContent  string  `json:"template_content"`
	ParametersSchema string  `json:"parameters_schema"` // JSON Schema, as text
}

// Templates lists the templates that the caller can see, every version, the newest of a name first.
func (c *Client) Templates(ctx context.Context, name string) ([]Template, error) {
	return list[Template](ctx, c, "/templates", named(name))
}

// Template returns one version of a template.
func (c *Client) Template(ctx context.Context, id string) (Template, error) {
	return get[Template](ctx, c, "/templates/"+seg(id))
}

// CreateTemplate makes a template, or the next version of a name that the caller has already.
func (c *Client) CreateTemplate(ctx context.Context, name string, t TemplateText) (Template, error) {
	var out Template
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/templates", body: struct {
		Name string `json:"name"`
		TemplateText
	}{name, t}}, &out)
	return out, err
}

// UpdateTemplate makes the next version of a template, with an id of its own. It is not repeated: two requests are two versions.
func (c *Client) UpdateTemplate(ctx context.Context, id string, t TemplateText) (Template, error) {
	var out Template
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/templates/" + seg(id), body: t, once: true}, &out)
	return out, err
}

// DeleteTemplate deletes one version of a template.
func (c *Client) DeleteTemplate(ctx context.Context, id string) error {
	return c.remove(ctx, "/templates/"+seg(id))
}

// TemplateLabels lists the labels that a template demands of stacks.
func (c *Client) TemplateLabels(ctx context.Context, id string) ([]Label, error) {
	return list[Label](ctx, c, "/templates/"+seg(id)+"/labels", nil)
}

// AddTemplateLabel adds a label and reports whether it is new.
func (c *Client) AddTemplateLabel(ctx context.Context, id, label string) (bool, error) {
	return c.add(ctx, "/templates/"+seg(id)+"/labels", label)
}

// RemoveTemplateLabel removes a label.
func (c *Client) RemoveTemplateLabel(ctx context.Context, id, label string) error {
	return c.remove(ctx, "/templates/"+seg(id)+"/labels/"+seg(label))
}

// TemplateAnnotations lists the annotations that a template demands of stacks.
func (c *Client) TemplateAnnotations(ctx context.Context, id string) ([]Annotation, error) {
	return list[Annotation](ctx, c, "/templates/"+seg(id)+"/annotations", nil)
}

// AddTemplateAnnotation adds an annotation and reports whether its key is new.
func (c *Client) AddTemplateAnnotation(ctx context.Context, id, key, value string) (bool, error) {
	return c.add(ctx, "/templates/"+seg(id)+"/annotations", map[string]string{"key": key, "value": value})
}

// RemoveTemplateAnnotation removes an annotation.
func (c *Client) RemoveTemplateAnnotation(ctx context.Context, id, key string) error {
	return c.remove(ctx, "/templates/"+seg(id)+"/annotations/"+seg(key))
}

// InstantiateTemplate publishes what a template makes of parameters (a JSON object) as the stack's newest deployment
// object. It is not repeated: two requests are two revisions.
func (c *Client) InstantiateTemplate(ctx context.Context, stack, template string, parameters map[string]any) (Object, error) {
	if parameters == nil {
		parameters = map[string]any{}
	}
	var o Object
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(stack) + "/deployment-objects/from-template",
		body: map[string]any{"template_id": template, "parameters": parameters}}, &o)
	return o, err
}
