package postgres

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type stackLabelRow struct {
	ID    stack.LabelID `db:"id"`
	Stack stack.ID      `db:"stack_id"`
	Label string        `db:"label"`
}

const stackLabels = `SELECT id, stack_id, label FROM stack_labels WHERE stack_id = $1 ORDER BY label`

// Labels implements ports.Stacks.
func (r stacks) Labels(ctx context.Context, id stack.ID) ([]stack.Label, error) {
	rows, err := many[stackLabelRow](ctx, r.s, "list labels of stack", stackLabels, uid(id))
	return convert(rows, err, func(l stackLabelRow) stack.Label { return stack.Label(l) })
}

const addStackLabel = `INSERT INTO stack_labels (id, stack_id, label) VALUES ($1, $2, $3)`

// AddLabel implements ports.Stacks.
func (r stacks) AddLabel(ctx context.Context, l stack.Label) error {
	return r.add(ctx, l.Stack, "add label to stack", addStackLabel, uid(l.ID), uid(l.Stack), l.Label)
}

const removeStackLabel = `DELETE FROM stack_labels WHERE stack_id = $1 AND label = $2`

// RemoveLabel implements ports.Stacks.
func (r stacks) RemoveLabel(ctx context.Context, id stack.ID, label string) error {
	return r.remove(ctx, id, notFound("stack_label_not_found", "label", label), "remove label of stack", removeStackLabel, uid(id), label)
}

type stackAnnotationRow struct {
	ID    stack.AnnotationID `db:"id"`
	Stack stack.ID           `db:"stack_id"`
	Key   string             `db:"key"`
	Value string             `db:"value"`
}

const stackAnnotations = `SELECT id, stack_id, key, value FROM stack_annotations WHERE stack_id = $1 ORDER BY key`

// Annotations implements ports.Stacks.
func (r stacks) Annotations(ctx context.Context, id stack.ID) ([]stack.Annotation, error) {
	rows, err := many[stackAnnotationRow](ctx, r.s, "list annotations of stack", stackAnnotations, uid(id))
	return convert(rows, err, func(a stackAnnotationRow) stack.Annotation { return stack.Annotation(a) })
}

const addStackAnnotation = `INSERT INTO stack_annotations (id, stack_id, key, value) VALUES ($1, $2, $3, $4)`

// AddAnnotation implements ports.Stacks.
func (r stacks) AddAnnotation(ctx context.Context, a stack.Annotation) error {
	return r.add(ctx, a.Stack, "add annotation to stack", addStackAnnotation, uid(a.ID), uid(a.Stack), a.Key, a.Value)
}

const removeStackAnnotation = `DELETE FROM stack_annotations WHERE stack_id = $1 AND key = $2`

// RemoveAnnotation implements ports.Stacks.
func (r stacks) RemoveAnnotation(ctx context.Context, id stack.ID, key string) error {
	return r.remove(ctx, id, notFound("stack_annotation_not_found", "annotation", key), "remove annotation of stack", removeStackAnnotation, uid(id), key)
}

// add inserts a part of a live stack.
func (r stacks) add(ctx context.Context, id stack.ID, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.touchLiveStack(ctx, id); err != nil {
			return err
		}
		_, err := in.exec(ctx, act, query, args...)
		return err
	})
}

// remove deletes a part of a stack, or returns missing.
func (r stacks) remove(ctx context.Context, id stack.ID, missing error, act, query string, args ...any) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, act, query, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing
		}
		_, err = in.exec(ctx, "touch stack", touchStack, uid(id))
		return err
	})
}
