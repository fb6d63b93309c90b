package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type stacks struct{ s session }

func noStack(id any) error { return notFound("stack_not_found", "stack", id) }

type stackRow struct {
	ID          stack.ID            `db:"id"`
	Name        string              `db:"name"`
	Description *string             `db:"description"`
	Generator   tenancy.GeneratorID `db:"generator_id"`
	Treatment   treatmentColumn     `db:"treatment"`
	Version     int64               `db:"version"`
	CreatedAt   time.Time           `db:"created_at"`
	UpdatedAt   time.Time           `db:"updated_at"`
	DeletedAt   *time.Time          `db:"deleted_at"`
}

func (r stackRow) stack() stack.Stack {
	return stack.Stack{
		ID: r.ID, Name: r.Name, Description: r.Description, Generator: r.Generator, Treatment: stack.Treatment(r.Treatment), Version: r.Version,
		CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt), DeletedAt: microPtr(r.DeletedAt),
	}
}

const selectStacks = `SELECT s.id, s.name, s.description, s.generator_id, s.treatment, s.version, s.created_at, s.updated_at, s.deleted_at
	FROM stacks s WHERE s.deleted_at IS NULL`

const (
	getStack            = selectStacks + ` AND s.id = $1`
	getStackOfGenerator = selectStacks + ` AND s.id = $1 AND s.generator_id = $2`
	getStackOfAgent     = selectStacks + ` AND s.id = $1 AND EXISTS (SELECT FROM assignments x
		WHERE x.agent_id = $2 AND x.stack_id = s.id AND x.state = 'assigned')`
)

// Get implements ports.Stacks.
func (r stacks) Get(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error) {
	query, args, ok := views{getStack, getStackOfGenerator, getStackOfAgent}.of(scope, uid(id))
	if !ok {
		return stack.Stack{}, noStack(id)
	}
	row, err := one[stackRow](ctx, r.s, "get stack", noStack(id), query, args...)
	return row.stack(), err
}

const stackByName = selectStacks + ` AND s.generator_id = $1 AND s.name = $2`

// ByName implements ports.Stacks.
func (r stacks) ByName(ctx context.Context, g tenancy.GeneratorID, name string) (stack.Stack, error) {
	row, err := one[stackRow](ctx, r.s, "get stack by name", noStack(name), stackByName, uid(g), name)
	return row.stack(), err
}

const (
	listStacks            = selectStacks + ` ORDER BY s.name, s.id`
	listStacksOfGenerator = selectStacks + ` AND s.generator_id = $1 ORDER BY s.name, s.id`
	listStacksOfAgent     = selectStacks + ` AND s.id IN (SELECT x.stack_id FROM assignments x
		WHERE x.agent_id = $1 AND x.state = 'assigned') ORDER BY s.name, s.id`
)

// List implements ports.Stacks.
func (r stacks) List(ctx context.Context, scope tenancy.Scope) ([]stack.Stack, error) {
	query, args, ok := views{listStacks, listStacksOfGenerator, listStacksOfAgent}.of(scope)
	if !ok {
		return nil, nil
	}
	rows, err := many[stackRow](ctx, r.s, "list stacks", query, args...)
	return convert(rows, err, stackRow.stack)
}

const (
	countStacks       = `SELECT count(*) FROM stacks s WHERE s.deleted_at IS NULL`
	stacksOfGenerator = ` AND s.generator_id = ?`
	stacksOfAgent     = ` AND EXISTS (SELECT FROM assignments x WHERE x.stack_id = s.id AND x.agent_id = ? AND x.state = 'assigned')`
	stacksFound       = ` AND (position(lower(?::text) IN lower(s.name)) > 0 OR position(lower(?::text) IN lower(s.description COLLATE "C")) > 0)`
	stacksLabelled    = ` AND EXISTS (SELECT FROM stack_labels l WHERE l.stack_id = s.id AND l.label = ?)`
	stacksAnnotated   = ` AND EXISTS (SELECT FROM stack_annotations n WHERE n.stack_id = s.id AND n.key = ? AND n.value = ?)`
)

func stackPages() listing[stackRow, stack.Stack] {
	return listing[stackRow, stack.Stack]{
		list: stack.List(), act: "list stacks", rows: selectStacks, count: countStacks, id: "s.id",
		sorts:   map[string]string{"name": "s.name", "created_at": "s.created_at"},
		filters: map[string]string{"name": " AND s.name = ?", "generator_id": stacksOfGenerator},
		search:  stacksFound, label: stacksLabelled, annotation: stacksAnnotated, to: stackRow.stack,
	}
}

// Page implements ports.Stacks.
func (r stacks) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error) {
	return stackPages().page(ctx, r.s, views{"", stacksOfGenerator, stacksOfAgent}.only(scope), q)
}

const insertStack = `WITH s AS (
		INSERT INTO stacks (id, name, description, generator_id, version, created_at, updated_at, treatment)
		VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8::text, '')::jsonb) RETURNING id)
	INSERT INTO stack_placements (stack_id) SELECT id FROM s`

// Insert implements ports.Stacks.
func (r stacks) Insert(ctx context.Context, st stack.Stack) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepGenerator(ctx, st.Generator); err != nil {
			return err
		}
		treatment, err := treatmentText(st.Treatment)
		if err != nil {
			return err
		}
		_, err = in.exec(ctx, "insert stack", insertStack, uid(st.ID), st.Name, st.Description, uid(st.Generator), max(st.Version, 1),
			micro(st.CreatedAt), micro(st.UpdatedAt), treatment)
		return err
	})
}

const updateStack = `UPDATE stacks SET name = $3, description = $4, updated_at = $5, treatment = nullif($6::text, '')::jsonb, version = version + 1
	WHERE id = $1 AND version = $2 AND deleted_at IS NULL`

// Update implements ports.Stacks.
func (r stacks) Update(ctx context.Context, st stack.Stack) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		treatment, err := treatmentText(st.Treatment)
		if err != nil {
			return err
		}
		n, err := in.exec(ctx, "update stack", updateStack, uid(st.ID), st.Version, st.Name, st.Description, micro(st.UpdatedAt), treatment)
		if err != nil || n > 0 {
			return err
		}
		if err := in.keepStack(ctx, st.ID); err != nil {
			return err
		}
		return stale("stack", st.ID)
	})
}

const deleteStack = `UPDATE stacks SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL`

// Delete implements ports.Stacks.
func (r stacks) Delete(ctx context.Context, id stack.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete stack", deleteStack, uid(id), micro(at))
		if err == nil && n == 0 {
			return noStack(id)
		}
		return err
	})
}

const (
	keepStack      = `SELECT 1 FROM stacks WHERE id = $1 AND deleted_at IS NULL FOR SHARE`
	touchStack     = `UPDATE stacks SET version = version + 1 WHERE id = $1`
	touchLiveStack = `UPDATE stacks SET version = version + 1 WHERE id = $1 AND deleted_at IS NULL`
)

// keepStack holds a live stack alive until the transaction ends.
func (s session) keepStack(ctx context.Context, id stack.ID) error {
	_, err := one[int](ctx, s, "lock stack", noStack(id), keepStack, uid(id))
	return err
}

// touchLiveStack grows the version of a live stack, and holds it alive until the transaction ends.
func (s session) touchLiveStack(ctx context.Context, id stack.ID) error {
	n, err := s.exec(ctx, "touch stack", touchLiveStack, uid(id))
	if err == nil && n == 0 {
		return noStack(id)
	}
	return err
}
