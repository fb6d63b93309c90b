package api

import (
	"context"
	"encoding/json"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/stacktemplate"
)

// templates is the engine of templates as use cases see it.
type templates struct{}

func (templates) Check(content, schema string) error {
	_, err := stacktemplate.Compile(content, schema)
	return err
}

func (templates) Render(ctx context.Context, content, schema string, parameters json.RawMessage) ([]byte, stack.Checksum, error) {
	t, err := stacktemplate.Compile(content, schema)
	if err != nil {
		return nil, "", err
	}
	p, err := t.Parameters(parameters)
	if err != nil {
		return nil, "", err
	}
	text, err := t.Render(ctx, p)
	return text, stack.Checksum(p.Digest), err
}
