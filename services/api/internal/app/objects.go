package app

import (
	"bytes"
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Published is a deployment object with its content.
type Published struct {
	stack.Object
	Content []byte
}

// PublishObject stores content as the newest revision of a stack, by an admin or its owner. Content that is published
// again is a new object. What is not a bundle is Invalid; a deletion marker must be empty.
func (a *App) PublishObject(ctx context.Context, p tenancy.Principal, s stack.ID, content []byte, marker bool) (Published, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil { // before the work of parsing
		return Published{}, err
	}
	if err := a.checkContent(content, marker); err != nil {
		return Published{}, err
	}
	return a.publish(ctx, p, s, stack.Object{Marker: marker}, content, nil)
}

// publish stores checked content as the newest revision of a stack that is p's, with its event, if may (unless nil) finds
// nothing against it in the transaction. Of o it takes what is said about the content: marker and origin.
func (a *App) publish(ctx context.Context, p tenancy.Principal, s stack.ID, o stack.Object, content []byte, may func(context.Context, ports.Repositories) error) (Published, error) {
	out := Published{Content: content}
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		v, err := ownStack(ctx, tx, p, s)
		if err != nil {
			return err
		}
		if may != nil {
			if err := may(ctx, tx); err != nil {
				return err
			}
		}
		sum, err := tx.Blobs().Put(ctx, content)
		if err != nil {
			return fmt.Errorf("store the content: %w", err)
		}
		at := a.now()
		out.Object, err = tx.Objects().Insert(ctx, stack.Object{
			ID: stack.ObjectID(newID()), Stack: s, Checksum: sum, Size: int64(len(content)), Traceparent: a.Trace(ctx),
			Marker: o.Marker, Origin: o.Origin, SubmittedAt: at, CreatedAt: at, UpdatedAt: at,
		})
		if err != nil {
			return fmt.Errorf("insert deployment object: %w", err)
		}
		if err := a.did(ctx, tx, audit.Did(audit.ObjectCreated, string(out.ID), nil, out.Object).With("stack_id", string(s))); err != nil {
			return err
		}
		e := a.stackEvent(ctx, event.DeploymentCreated, v, at, map[string]any{
			"deployment_object_id": out.ID, "stack_id": s, "sequence_id": int64(out.Sequence), "created_at": at,
		})
		e.Object = out.ID
		return tx.Outbox().Append(ctx, e)
	})
	if err != nil {
		return Published{}, fmt.Errorf("publish: %w", err)
	}
	return out, nil
}

func (a *App) checkContent(content []byte, marker bool) error {
	empty := len(bytes.TrimSpace(content)) == 0
	if marker {
		if !empty {
			return fault.New(fault.Invalid, "invalid_deployment_object", "a deletion marker removes the whole stack and must have empty yaml_content")
		}
		return nil
	}
	n, err := a.Check(content)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Invalid, "invalid_deployment_object", "the bundle holds no manifests; to remove a stack from its clusters, publish a deletion marker or delete the stack")
	}
	return nil
}

// ListObjects returns a page of the stack's deployment objects with content, newest first, to an admin or the owner. Values of
// Secrets are shown to the owner alone.
func (a *App) ListObjects(ctx context.Context, p tenancy.Principal, s stack.ID, q page.Query) (page.Page[Published], error) {
	v, err := ownStack(ctx, a.Store, p, s)
	if err != nil {
		return page.Page[Published]{}, err
	}
	sees, err := seesSecrets(ctx, a.Store, p, v.Generator)
	if err != nil {
		return page.Page[Published]{}, err
	}
	objects, err := a.Store.Objects().Page(ctx, s, q)
	if err != nil {
		return page.Page[Published]{}, fmt.Errorf("list deployment objects: %w", err)
	}
	items, err := a.contents(ctx, objects.Items, sees)
	return page.Page[Published]{Items: items, Next: objects.Next, Total: objects.Total}, err
}

// contents returns the objects with what they hold.
func (a *App) contents(ctx context.Context, objects []stack.Object, sees bool) ([]Published, error) {
	sums := make([]stack.Checksum, 0, len(objects))
	seen := map[stack.Checksum]bool{}
	for _, o := range objects {
		if !seen[o.Checksum] {
			seen[o.Checksum] = true
			sums = append(sums, o.Checksum)
		}
	}
	contents, err := a.Store.Blobs().GetMany(ctx, sums)
	if err != nil {
		return nil, fmt.Errorf("get the contents: %w", err)
	}
	out := make([]Published, 0, len(objects))
	for _, o := range objects {
		c, ok := contents[o.Checksum]
		if !ok {
			return nil, fault.Newf(fault.Internal, "internal_error", "the content %s of object %s is missing", o.Checksum, o.ID)
		}
		if !sees {
			if c, err = bundle.Redact(c); err != nil {
				return nil, fmt.Errorf("object %s: %w", o.ID, err)
			}
		}
		out = append(out, Published{Object: o, Content: c})
	}
	return out, nil
}

// GetObject returns a deployment object with content to an admin, the owner of its stack, or an active agent that has the stack.
// Values of Secrets are shown to owner and agents alone.
func (a *App) GetObject(ctx context.Context, p tenancy.Principal, id stack.ObjectID) (Published, error) {
	o, content, err := a.readObject(ctx, p, id)
	if err != nil {
		return Published{}, err
	}
	if content, err = a.shown(ctx, p, o.Stack, content); err != nil {
		return Published{}, fmt.Errorf("show object %s: %w", o.ID, err)
	}
	return Published{Object: o, Content: content}, nil
}

// readObject returns a deployment object that p may read, and its content with the values of Secrets.
func (a *App) readObject(ctx context.Context, p tenancy.Principal, id stack.ObjectID) (stack.Object, []byte, error) {
	if err := a.takesPart(ctx, p); err != nil {
		return stack.Object{}, nil, err
	}
	o, err := a.Store.Objects().Get(ctx, tenancy.ScopeOf(p), id)
	if p.Role == tenancy.RoleAgent && fault.Is(err, fault.NotFound) {
		o, err = a.pinnedObject(ctx, p, id)
	}
	if err != nil {
		return stack.Object{}, nil, fmt.Errorf("get deployment object: %w", err)
	}
	content, err := a.content(ctx, o)
	return o, content, err
}

// takesPart refuses an agent that is inactive, which is given nothing.
func (a *App) takesPart(ctx context.Context, p tenancy.Principal) error {
	if p.Role != tenancy.RoleAgent {
		return nil
	}
	v, err := a.Store.Agents().Get(ctx, tenancy.ScopeOf(p), p.Agent)
	if err != nil {
		return fmt.Errorf("get agent: %w", err)
	}
	if v.Status != agent.Active {
		return fault.Newf(fault.Forbidden, "agent_inactive", "agent %s is inactive, so it is shown no content; an admin activates it", v.Name)
	}
	return nil
}

func (a *App) content(ctx context.Context, o stack.Object) ([]byte, error) {
	content, err := a.Store.Blobs().Get(ctx, o.Checksum)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Newf(fault.Internal, "internal_error", "the content %s of object %s is missing", o.Checksum, o.ID).Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("get the content: %w", err)
	}
	return content, nil
}

// pinnedObject returns an object of a stack that is a target of the agent p. It asks the same of the store whether or
// not the object exists.
func (a *App) pinnedObject(ctx context.Context, p tenancy.Principal, id stack.ObjectID) (stack.Object, error) {
	pins, err := a.pins(ctx, p)
	if err != nil {
		return stack.Object{}, err
	}
	o, err := a.Store.Objects().Get(ctx, tenancy.Everything(), id)
	if err != nil {
		return stack.Object{}, err
	}
	if !pins[o.Stack] {
		return stack.Object{}, fault.Newf(fault.NotFound, "deployment_object_not_found", "deployment object %s is not there", id)
	}
	return o, nil
}
