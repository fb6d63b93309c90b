package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

// told is what of an object tells it from any other answer about it.
type told struct {
	Object  wire.DeploymentObject
	Content stack.Checksum
	Masked  bool
}

// targetState is the published answer: all objects with their contents, one after the other.
func targetState(g *app.Gateway, p tenancy.Principal, list []app.Desired) rpc.Streamed {
	return rpc.Streamed{
		State: each(list, func(d app.Desired) told { return told{objectOf(d), d.Content, d.Masked} }),
		Len:   len(list),
		Begin: func(ctx context.Context) (context.Context, func(), error) { return g.BeginDelivery(ctx, p) },
		Element: func(ctx context.Context, i int, out io.Writer) error {
			content, err := g.Content(ctx, list[i])
			if err != nil {
				return err
			}
			return writeObject(out, objectOf(list[i]), content)
		},
	}
}

// writeObject writes o with its content, which is never in memory whole.
func writeObject(out io.Writer, o wire.DeploymentObject, content io.Reader) error {
	const empty = `"yaml_content":""`
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write deployment object %s: %w", o.ID, err)
	}
	before, after, ok := bytes.Cut(text, []byte(empty))
	if !ok {
		return fmt.Errorf("deployment object %s has no place for its content", o.ID)
	}
	if _, err := out.Write(text[:len(before)+len(empty)-len(`""`)]); err != nil {
		return err
	}
	if err := rpc.StringTo(out, content); err != nil {
		return err
	}
	_, err = out.Write(after)
	return err
}
