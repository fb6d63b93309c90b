package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
)

// Outcome is what publishing came to.
type Outcome string

// The outcomes of publishing.
const (
	Created   Outcome = "created"   // the stack's first deployment object was published
	Updated   Outcome = "updated"   // a new deployment object was published
	Unchanged Outcome = "unchanged" // the newest deployment object is this bundle already
)

// Desired says what a stack is to be.
type Desired struct {
	Stack string // name, unique among the generator's stacks
	// GeneratorID is the owner. Empty: the generator that the client's key belongs to.
	GeneratorID string
	Description string // of the stack, if it is made
	Marks
	Bundle Bundle
}

// Marks say where a stack goes. Applying adds them; it never removes one, because others may have set it.
type Marks struct {
	Labels      []string
	Annotations map[string]string
	Targets     []string // ids of agents that are to run the stack whatever its labels
}

// Applied is the result of an Apply.
type Applied struct {
	Stack  Stack
	Marked bool // a label, annotation or target is new
	Publication
}

// Publication is the newest deployment object of a stack and how it came to be.
type Publication struct {
	Outcome Outcome
	Object  Object
}

// AnnotationError means that a stack has an annotation with another value, which Apply and Mark leave as it is.
type AnnotationError struct {
	Stack, Key, Have, Want string
}

// Error names the stack, the key and the value that is there.
func (e *AnnotationError) Error() string {
	return fmt.Sprintf("stack %s already has the annotation %s=%s; nothing was published", e.Stack, e.Key, e.Have)
}

// UnsureError means that no answer came to a publication, although it was tried several times: it may have been stored
// all the same. Publishing again is safe: what is there already is found unchanged.
type UnsureError struct{ Cause error }

// Error says that it may have been published.
func (e *UnsureError) Error() string {
	return e.Cause.Error() + "; it may have been published all the same"
}

// Unwrap returns the cause.
func (e *UnsureError) Unwrap() error { return e.Cause }

// Apply makes d so: it finds the stack or makes it, adds its marks, and publishes the bundle unless the newest deployment
// object is that bundle. It may be called again and again: what is so already is left alone, and a call whose answer was
// lost is not counted twice. One process at a time should apply a stack; of two that want different things, the last wins.
//
// Besides what the broker refuses (APIError) it fails with AnnotationError, UnsureError and UnreachableError.
func (c *Client) Apply(ctx context.Context, d Desired) (Applied, error) {
	owner := d.GeneratorID
	if owner == "" {
		who, err := c.Auth(ctx)
		if err != nil {
			return Applied{}, fmt.Errorf("ask whose key this is: %w", err)
		}
		if who.Generator == nil {
			return Applied{}, errors.New("the key is not a generator's, so that the owner of the stack must be named by GeneratorID")
		}
		owner = *who.Generator
	}
	n := NewStack{Name: d.Stack, GeneratorID: owner}
	if d.Description != "" {
		n.Description = &d.Description
	}
	s, err := c.EnsureStack(ctx, n)
	if err != nil {
		return Applied{}, err
	}
	out := Applied{Stack: s}
	if out.Marked, err = c.Mark(ctx, s, d.Marks); err != nil {
		return out, err
	}
	out.Publication, err = c.PublishBundle(ctx, s, d.Bundle)
	return out, err
}

// EnsureStack returns the stack that n names, and makes it if its generator, which n must name too, has none of that name.
// The description of one that is there stays as it is.
func (c *Client) EnsureStack(ctx context.Context, n NewStack) (Stack, error) {
	if n.GeneratorID == "" {
		return Stack{}, fmt.Errorf("stack %s: the id of its generator is missing", n.Name)
	}
	for attempt := 1; ; attempt++ {
		found, err := c.Stacks(ctx, n.Name)
		if err != nil {
			return Stack{}, fmt.Errorf("look for stack %s: %w", n.Name, err)
		}
		for _, s := range found {
			if s.Name == n.Name && s.GeneratorID == n.GeneratorID {
				return s, nil
			}
		}
		s, err := c.CreateStack(ctx, n)
		if err == nil {
			return s, nil
		}
		if err := c.pause(ctx, fmt.Errorf("create stack %s: %w", n.Name, err), attempt); err != nil {
			return Stack{}, err
		}
	}
}

// Mark adds labels, annotations and targets to a stack, and reports whether one of them is new. An annotation that is
// there with another value is an AnnotationError; what comes before it in the order of Marks has been added.
func (c *Client) Mark(ctx context.Context, s Stack, m Marks) (bool, error) {
	marked := false
	for _, l := range m.Labels {
		fresh, err := c.AddStackLabel(ctx, s.ID, l)
		if err != nil {
			return marked, fmt.Errorf("add label %s to stack %s: %w", l, s.Name, err)
		}
		marked = marked || fresh
	}
	for _, key := range slices.Sorted(maps.Keys(m.Annotations)) {
		fresh, err := c.annotate(ctx, s, key, m.Annotations[key])
		if err != nil {
			return marked, err
		}
		marked = marked || fresh
	}
	for _, agent := range m.Targets {
		fresh, err := c.AddTarget(ctx, agent, s.ID)
		if err != nil {
			return marked, fmt.Errorf("target agent %s: %w", agent, err)
		}
		marked = marked || fresh
	}
	return marked, nil
}

func (c *Client) annotate(ctx context.Context, s Stack, key, value string) (bool, error) {
	fresh, err := c.AddStackAnnotation(ctx, s.ID, key, value)
	if err != nil {
		return false, fmt.Errorf("annotate stack %s with %s: %w", s.Name, key, err)
	}
	if fresh {
		return true, nil
	}
	all, err := c.StackAnnotations(ctx, s.ID)
	if err != nil {
		return false, fmt.Errorf("read the annotations of stack %s: %w", s.Name, err)
	}
	for _, a := range all {
		if a.Key == key && a.Value != value {
			return false, &AnnotationError{Stack: s.Name, Key: key, Have: a.Value, Want: value}
		}
	}
	return false, nil
}

// PublishBundle makes b the desired state of s, unless it is so already. When an answer is lost, the stack is read again
// before anything is sent again, and all attempts carry one idempotency key.
func (c *Client) PublishBundle(ctx context.Context, s Stack, b Bundle) (Publication, error) {
	key := rand.Text()
	sent := Unchanged // what the attempt would have come to whose answer was lost
	for attempt := 1; ; attempt++ {
		newest, err := c.NewestObject(ctx, s.ID)
		if err != nil {
			err = fmt.Errorf("read what stack %s has now: %w", s.Name, err)
			if sent != Unchanged {
				err = &UnsureError{Cause: err}
			}
			return Publication{}, err
		}
		outcome := Compare(newest, b)
		if outcome == Unchanged {
			return Publication{Outcome: sent, Object: *newest}, nil
		}
		made, err := c.publish(ctx, s.ID, b.Content, key)
		if err == nil {
			if made.YAMLChecksum != b.Checksum() {
				return Publication{}, fmt.Errorf("the broker stored something else than was sent: checksum %s instead of %s", made.YAMLChecksum, b.Checksum())
			}
			return Publication{Outcome: outcome, Object: made}, nil
		}
		err = fmt.Errorf("publish to stack %s: %w", s.Name, err)
		switch {
		case isUnanswered(err):
			sent, err = outcome, &UnsureError{Cause: err}
		case IsCode(err, "idempotency_done"): // an attempt that seemed to fail, or whose answer was lost, has done it
			sent = outcome
		}
		if err := c.pause(ctx, err, attempt); err != nil {
			return Publication{}, err
		}
	}
}

// Compare says what publishing b would come to for a stack whose newest deployment object is newest; nil means that it
// has none.
func Compare(newest *Object, b Bundle) Outcome {
	switch {
	case newest == nil:
		return Created
	case newest.YAMLChecksum == b.Checksum() && !newest.IsDeletionMarker:
		return Unchanged
	default:
		return Updated
	}
}

// publish makes content the stack's desired state. It is not repeated here: to a broker that does not know the key two
// requests are two revisions.
func (c *Client) publish(ctx context.Context, stack string, content []byte, key string) (Object, error) {
	var o Object
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(stack) + "/deployment-objects",
		body: map[string]string{"yaml_content": string(content)}, key: key}, &o)
	return o, err
}

// NewestObject returns a stack's newest deployment object, or nil if nothing was published.
func (c *Client) NewestObject(ctx context.Context, stack string) (*Object, error) {
	var page []Object
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(stack) + "/deployment-objects",
		query: url.Values{"limit": {"1"}}}, &page)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	return &page[0], nil
}

// isUnanswered reports whether the broker may have done what was asked although err came back.
func isUnanswered(err error) bool {
	var unreachable *UnreachableError
	var bad *BadAnswerError
	if errors.As(err, &unreachable) {
		var op *net.OpError
		return !errors.As(err, &op) || op.Op != "dial" // without a connection nothing was asked
	}
	return errors.As(err, &bad) || IsStatus(err, http.StatusBadGateway) || IsStatus(err, http.StatusGatewayTimeout)
}

// pause waits until the caller may look again and, if it is not yet as it should be, try again; or it returns err if that is
// of no use. A conflict is worth another look: somebody was faster, or it was us and the answer got lost.
func (c *Client) pause(ctx context.Context, err error, attempt int) error {
	wait, again := retryAfter(err, attempt)
	var refused *APIError
	if IsStatus(err, http.StatusConflict) && errors.As(err, &refused) && refused.RetryAfter <= maxRetryAfter {
		wait, again = max(backoff(attempt), refused.RetryAfter), true
	}
	if !again || attempt >= attempts || ctx.Err() != nil {
		return err
	}
	return c.o.Sleep(ctx, wait)
}
