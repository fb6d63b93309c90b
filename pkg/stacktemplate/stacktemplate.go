// Package stacktemplate turns a stack template (a text in Tera's language and a JSON Schema of its parameters) and parameters
// into a bundle. The broker does it when a template is instantiated; an author does it with the command line, alike. It
// reaches nothing but what it is given, and is bounded in steps, bytes and depth; errors are faults with the contract's codes.
package stacktemplate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/tera"
)

// Template is one that has been checked; it may be rendered by many at once.
type Template struct {
	text   *tera.Template
	schema *jsonschema.Schema
	weight int // of the schema, see weigh
}

// Compile checks both halves of a template: Invalid, invalid_template_syntax (with details.line) or invalid_parameters_schema.
func Compile(content, schema string) (*Template, error) {
	text, err := tera.Parse(content, tera.DefaultLimits())
	if err != nil {
		return nil, textFault("invalid_template_syntax", "the template", err)
	}
	s, weight, err := compileSchema(schema)
	if err != nil {
		return nil, err
	}
	return &Template{text: text, schema: s, weight: weight}, nil
}

// Parameters are checked parameters with their digest.
type Parameters struct {
	values map[string]any
	// Digest is the lower-case hex SHA-256 of the parameters as JSON with sorted keys: the same for the same parameters,
	// however they were written.
	Digest string
}

// Parameters reads parameters, a JSON object (nothing and null are an empty one), and checks them against the schema:
// Invalid, invalid_parameters, with one line a problem in details.validation_errors. Values are not repeated there.
func (t *Template) Parameters(raw json.RawMessage) (Parameters, error) {
	values, nodes, err := decodeParameters(raw)
	if err != nil {
		return Parameters{}, err
	}
	if err := t.fits(values, nodes); err != nil {
		return Parameters{}, err
	}
	canonical, err := json.Marshal(values)
	if err != nil {
		return Parameters{}, fmt.Errorf("write the parameters again: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return Parameters{values: values, Digest: hex.EncodeToString(sum[:])}, nil
}

// Render returns the bundle: Invalid, template_render_failed (with details.line) if the template cannot be rendered with
// these parameters or wants too much. A context that ends is returned wrapped.
func (t *Template) Render(ctx context.Context, p Parameters) ([]byte, error) {
	text, err := t.text.Render(ctx, p.values)
	if err != nil {
		return nil, textFault("template_render_failed", "the template cannot be rendered", err)
	}
	return []byte(text), nil
}

func textFault(code, what string, err error) error {
	var e *tera.Error
	if !errors.As(err, &e) {
		return err
	}
	f := fault.Newf(fault.Invalid, code, "%s: %s", what, e)
	if e.Line > 0 {
		f = f.With("line", e.Line)
	}
	return f
}
