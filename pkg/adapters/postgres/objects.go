package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type objects struct{ s session }

func noObject(id any) error {
	return notFound("deployment_object_not_found", "deployment object", id)
}

type objectRow struct {
	ID          stack.ObjectID `db:"id"`
	Stack       stack.ID       `db:"stack_id"`
	Sequence    stack.Sequence `db:"sequence_id"`
	Checksum    []byte         `db:"checksum"`
	Size        int64          `db:"size"`
	Traceparent string         `db:"traceparent"`
	Marker      bool           `db:"is_deletion_marker"`
	SubmittedAt time.Time      `db:"submitted_at"`
	CreatedAt   time.Time      `db:"created_at"`
	UpdatedAt   time.Time      `db:"updated_at"`
	DeletedAt   *time.Time     `db:"deleted_at"`

	Template   *stack.TemplateID `db:"template_id"`
	Version    *int              `db:"template_version"`
	Parameters []byte            `db:"parameters_sha256"`
}

func (r objectRow) origin() *stack.Origin {
	if r.Template == nil || r.Version == nil {
		return nil
	}
	return &stack.Origin{Template: *r.Template, Version: *r.Version, Parameters: checksumOf(r.Parameters)}
}

func (r objectRow) object() stack.Object {
	return stack.Object{
		ID: r.ID, Stack: r.Stack, Sequence: r.Sequence, Checksum: checksumOf(r.Checksum), Size: r.Size, Traceparent: r.Traceparent,
		Marker: r.Marker, SubmittedAt: micro(r.SubmittedAt), CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt),
		DeletedAt: microPtr(r.DeletedAt), Origin: r.origin(),
	}
}

// The stack is locked before the sequence is drawn, so that the sequences of one stack are committed in their order.
const insertObject = `INSERT INTO deployment_objects
	(id, stack_id, checksum, size, traceparent, is_deletion_marker, submitted_at, created_at, updated_at,
		template_id, template_version, parameters_sha256)
	SELECT $1, $2, b.sha256, $4, $5, $6, $7, $8, $9, $10::uuid, $11::integer, $12::bytea FROM blobs b WHERE b.sha256 = $3
	RETURNING sequence_id`

// Insert implements ports.Objects.
func (r objects) Insert(ctx context.Context, o stack.Object) (stack.Object, error) {
	o.SubmittedAt, o.CreatedAt, o.UpdatedAt, o.DeletedAt = micro(o.SubmittedAt), micro(o.CreatedAt), micro(o.UpdatedAt), nil
	o.Origin = copied(o.Origin)
	return writes(ctx, r.s, func(ctx context.Context, in session) (stack.Object, error) {
		if err := in.touchLiveStack(ctx, o.Stack); err != nil {
			return o, err
		}
		template, version, parameters, err := in.madeOf(ctx, o.Origin)
		if err != nil {
			return o, err
		}
		o.Sequence, err = one[stack.Sequence](ctx, in, "insert deployment object", noBlob(o.Checksum), insertObject, uid(o.ID), uid(o.Stack),
			bytesOf(o.Checksum), o.Size, o.Traceparent, o.Marker, o.SubmittedAt, o.CreatedAt, o.UpdatedAt,
			template, version, parameters)
		return o, err
	})
}

const knowTemplate = `SELECT 1 FROM templates WHERE id = $1 FOR KEY SHARE`

// madeOf returns an origin's columns; its template must exist, deleted or not.
func (s session) madeOf(ctx context.Context, o *stack.Origin) (template, version, parameters any, err error) {
	if o == nil {
		return nil, nil, nil, nil
	}
	if _, err := one[int](ctx, s, "lock template", noTemplate(o.Template), knowTemplate, uid(o.Template)); err != nil {
		return nil, nil, nil, err
	}
	return uid(o.Template), o.Version, bytesOf(o.Parameters), nil
}

const selectObjects = `SELECT o.id, o.stack_id, o.sequence_id, o.checksum, o.size, o.traceparent, o.is_deletion_marker,
	o.submitted_at, o.created_at, o.updated_at, o.deleted_at, o.template_id, o.template_version, o.parameters_sha256 FROM deployment_objects o WHERE o.deleted_at IS NULL`

const (
	getObject            = selectObjects + ` AND o.id = $1`
	getObjectOfGenerator = selectObjects + ` AND o.id = $1 AND EXISTS (SELECT FROM stacks s
		WHERE s.id = o.stack_id AND s.generator_id = $2)`
	getObjectOfAgent = selectObjects + ` AND o.id = $1 AND EXISTS (SELECT FROM assignments x
		WHERE x.agent_id = $2 AND x.stack_id = o.stack_id AND x.state = 'assigned')`
)

// Get implements ports.Objects.
func (r objects) Get(ctx context.Context, scope tenancy.Scope, id stack.ObjectID) (stack.Object, error) {
	query, args, ok := views{getObject, getObjectOfGenerator, getObjectOfAgent}.of(scope, uid(id))
	if !ok {
		return stack.Object{}, noObject(id)
	}
	row, err := one[objectRow](ctx, r.s, "get deployment object", noObject(id), query, args...)
	if err != nil {
		return stack.Object{}, err
	}
	return row.object(), nil
}

const newestObject = selectObjects + ` AND o.stack_id = $1 ORDER BY o.sequence_id DESC LIMIT 1`

// Newest implements ports.Objects.
func (r objects) Newest(ctx context.Context, s stack.ID) (stack.Object, error) {
	row, err := one[objectRow](ctx, r.s, "get newest deployment object", noObject("of stack "+string(s)), newestObject, uid(s))
	if err != nil {
		return stack.Object{}, err
	}
	return row.object(), nil
}

const (
	countObjects   = `SELECT count(*) FROM deployment_objects o WHERE o.deleted_at IS NULL`
	objectsOfOne   = ` AND o.stack_id = ?`
	objectsWithSum = ` AND encode(o.checksum, 'hex') = ?`
)

func objectPages() listing[objectRow, stack.Object] {
	return listing[objectRow, stack.Object]{
		list: stack.ObjectList(), act: "list deployment objects", rows: selectObjects, count: countObjects, id: "o.id",
		sorts: map[string]string{"sequence_id": "o.sequence_id"}, filters: map[string]string{"checksum": objectsWithSum}, to: objectRow.object,
	}
}

// Page implements ports.Objects.
func (r objects) Page(ctx context.Context, s stack.ID, q page.Query) (page.Page[stack.Object], error) {
	return objectPages().page(ctx, r.s, part{objectsOfOne, []any{uid(s)}}, q)
}

const objectsOfStack = selectObjects + ` AND o.stack_id = $1 ORDER BY o.sequence_id DESC`

// OfStack implements ports.Objects.
func (r objects) OfStack(ctx context.Context, s stack.ID) ([]stack.Object, error) {
	rows, err := many[objectRow](ctx, r.s, "list deployment objects of stack", objectsOfStack, uid(s))
	return convert(rows, err, objectRow.object)
}
