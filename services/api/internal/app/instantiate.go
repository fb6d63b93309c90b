package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// TemplateEngine understands templates. It reaches nothing but what it is given, and ends by itself.
type TemplateEngine interface {
	// Check refuses a text that is no template (Invalid, invalid_template_syntax) or a schema that is none
	// (Invalid, invalid_parameters_schema).
	Check(content, schema string) error
	// Render returns the bundle for these parameters and the digest of them. Parameters that do not fit the schema are
	// Invalid, invalid_parameters; what cannot be rendered is Invalid, template_render_failed. It stops with ctx.
	Render(ctx context.Context, content, schema string, parameters json.RawMessage) ([]byte, stack.Checksum, error)
}

// renderTime bounds one render; its steps are bounded too, so that this is for a machine that is busy.
const renderTime = 5 * time.Second

// InstantiateTemplate renders a template with parameters and publishes the result as the stack's newest revision, by an
// admin or the stack's owner, with the same checks as any publication. The stack must have the template's labels and
// annotations, and a generator's template makes that generator's stacks alone (Refused, template_stack_mismatch). The object
// names the template, its version and the digest of the parameters; the parameters themselves are not kept.
func (a *App) InstantiateTemplate(ctx context.Context, p tenancy.Principal, s stack.ID, id template.ID, parameters json.RawMessage) (Published, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return Published{}, err
	}
	t, err := fitting(ctx, a.Store, p, s, id)
	if err != nil {
		return Published{}, err
	}
	content, digest, err := a.render(ctx, t, parameters)
	if err != nil {
		return Published{}, err
	}
	if err := a.checkContent(content, false); err != nil {
		return Published{}, madeOf(t, err)
	}
	origin := &stack.Origin{Template: t.ID, Version: t.Version, Parameters: digest}
	out, err := a.publish(ctx, p, s, stack.Object{Origin: origin}, content, func(ctx context.Context, tx ports.Repositories) error {
		_, err := fitting(ctx, tx, p, s, id) // labels may have changed meanwhile
		return err
	})
	if err != nil {
		return Published{}, err
	}
	// Unlike a bundle that the caller sent, this one may hold Secrets that the caller does not know.
	out.Content, err = a.shown(ctx, p, s, out.Content)
	return out, err
}

// fitting returns the template if the stack may be made of it.
func fitting(ctx context.Context, tx ports.Repositories, p tenancy.Principal, s stack.ID, id template.ID) (template.Template, error) {
	st, err := ownStack(ctx, tx, p, s)
	if err != nil {
		return template.Template{}, err
	}
	t, err := readTemplate(ctx, tx, p, id)
	if err != nil {
		return template.Template{}, err
	}
	if !t.Fits(st.Generator) {
		return template.Template{}, fault.New(fault.Refused, "template_stack_mismatch", "the template belongs to another generator than the stack").
			With("missing_labels", []string{}).With("missing_annotations", []template.KeyValue{})
	}
	labels, annotations, err := guards(ctx, tx, id)
	if err != nil {
		return template.Template{}, err
	}
	if len(labels)+len(annotations) == 0 {
		return t, nil
	}
	has, err := tx.Stacks().Labels(ctx, s)
	if err != nil {
		return template.Template{}, fmt.Errorf("list the stack's labels: %w", err)
	}
	hasToo, err := tx.Stacks().Annotations(ctx, s)
	if err != nil {
		return template.Template{}, fmt.Errorf("list the stack's annotations: %w", err)
	}
	return t, template.Match(labels, annotations, has, hasToo)
}

func (a *App) render(ctx context.Context, t template.Template, parameters json.RawMessage) ([]byte, stack.Checksum, error) {
	limited, cancel := context.WithTimeout(ctx, renderTime)
	defer cancel()
	content, digest, err := a.Templates.Render(limited, t.Content, t.Schema, parameters)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, "", fault.Newf(fault.Invalid, "template_render_failed", "the template was not rendered within %s", renderTime)
	}
	if err != nil {
		return nil, "", fmt.Errorf("render template %s: %w", t.ID, err)
	}
	return content, digest, nil
}

// madeOf says of a bundle that is refused that a template made it: document and line are those of the rendered text.
func madeOf(t template.Template, err error) error {
	f, ok := fault.As(err)
	if !ok {
		return err
	}
	said := *f
	said.Message = fmt.Sprintf("what template %q (version %d) made of the parameters: %s", t.Name, t.Version, f.Message)
	return &said
}
