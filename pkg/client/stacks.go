package client

import (
	"context"
	"net/http"
)

// Stacks lists the stacks that the caller can see; name narrows the list where the server can.
func (c *Client) Stacks(ctx context.Context, name string) ([]Stack, error) {
	return list[Stack](ctx, c, "/stacks", named(name))
}

// Stack returns one stack.
func (c *Client) Stack(ctx context.Context, id string) (Stack, error) {
	return get[Stack](ctx, c, "/stacks/"+seg(id))
}

// CreateStack creates a stack.
func (c *Client) CreateStack(ctx context.Context, n NewStack) (Stack, error) {
	var s Stack
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks", body: n}, &s)
	return s, err
}

// RestoreStack takes the deletion of a stack back; its clusters keep it, or get it again.
func (c *Client) RestoreStack(ctx context.Context, id string) (Stack, error) {
	var s Stack
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(id) + "/restore"}, &s)
	return s, err
}

// DeleteStack deletes a stack; its clusters are told to remove it.
func (c *Client) DeleteStack(ctx context.Context, id string) error {
	return c.remove(ctx, "/stacks/"+seg(id))
}

// StackLabels lists a stack's labels.
func (c *Client) StackLabels(ctx context.Context, id string) ([]Label, error) {
	return list[Label](ctx, c, "/stacks/"+seg(id)+"/labels", nil)
}

// AddStackLabel adds a label and reports whether it is new.
func (c *Client) AddStackLabel(ctx context.Context, id, label string) (bool, error) {
	return c.add(ctx, "/stacks/"+seg(id)+"/labels", label)
}

// RemoveStackLabel removes a label.
func (c *Client) RemoveStackLabel(ctx context.Context, id, label string) error {
	return c.remove(ctx, "/stacks/"+seg(id)+"/labels/"+seg(label))
}

// StackAnnotations lists a stack's annotations.
func (c *Client) StackAnnotations(ctx context.Context, id string) ([]Annotation, error) {
	return list[Annotation](ctx, c, "/stacks/"+seg(id)+"/annotations", nil)
}

// AddStackAnnotation adds an annotation and reports whether its key is new.
func (c *Client) AddStackAnnotation(ctx context.Context, id, key, value string) (bool, error) {
	return c.add(ctx, "/stacks/"+seg(id)+"/annotations", map[string]string{"stack_id": id, "key": key, "value": value})
}

// RemoveStackAnnotation removes an annotation.
func (c *Client) RemoveStackAnnotation(ctx context.Context, id, key string) error {
	return c.remove(ctx, "/stacks/"+seg(id)+"/annotations/"+seg(key))
}

// Objects lists a stack's deployment objects, newest first.
func (c *Client) Objects(ctx context.Context, stack string) ([]Object, error) {
	return list[Object](ctx, c, "/stacks/"+seg(stack)+"/deployment-objects", nil)
}

// Object returns one deployment object.
func (c *Client) Object(ctx context.Context, id string) (Object, error) {
	return get[Object](ctx, c, "/deployment-objects/"+seg(id))
}

// Status returns where a stack stands in every cluster.
func (c *Client) Status(ctx context.Context, stack string) (StackStatus, error) {
	return get[StackStatus](ctx, c, "/stacks/"+seg(stack)+"/status")
}

// Placement returns the newest decision for a stack.
func (c *Client) Placement(ctx context.Context, stack string) (Placement, error) {
	return get[Placement](ctx, c, "/stacks/"+seg(stack)+"/placement")
}

// ApprovePlacement approves the held decision with this fingerprint and no other.
func (c *Client) ApprovePlacement(ctx context.Context, stack, fingerprint string) (Placement, error) {
	var p Placement
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(stack) + "/placement/approve",
		body: map[string]string{"fingerprint": fingerprint}, repeatable: true}, &p)
	return p, err
}
