package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type generators struct{ s session }

func noGenerator(id any) error { return notFound("generator_not_found", "generator", id) }

type generatorRow struct {
	ID           tenancy.GeneratorID        `db:"id"`
	Name         string                     `db:"name"`
	Description  *string                    `db:"description"`
	Active       bool                       `db:"is_active"`
	System       bool                       `db:"is_system"`
	Policy       tenancy.RegistrationPolicy `db:"registration_policy"`
	CreatedAt    time.Time                  `db:"created_at"`
	UpdatedAt    time.Time                  `db:"updated_at"`
	DeletedAt    *time.Time                 `db:"deleted_at"`
	LastActiveAt *time.Time                 `db:"last_active_at"`
}

func (r generatorRow) generator() tenancy.Generator {
	return tenancy.Generator{
		ID: r.ID, Name: r.Name, Description: r.Description, Active: r.Active, System: r.System, RegistrationPolicy: r.Policy,
		CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt), DeletedAt: microPtr(r.DeletedAt), LastActiveAt: microPtr(r.LastActiveAt),
	}
}

// A generator was last active when one of its credentials was last used.
const selectGenerators = `SELECT g.id, g.name, g.description, g.is_active, g.is_system, g.registration_policy,
	g.created_at, g.updated_at, g.deleted_at,
	GREATEST(g.last_active_at, (SELECT max(c.last_used_at) FROM credentials c WHERE c.role = 'generator' AND c.subject = g.id)) AS last_active_at
	FROM generators g WHERE g.deleted_at IS NULL`

const (
	getGenerator       = selectGenerators + ` AND g.id = $1`
	getGeneratorItself = selectGenerators + ` AND g.id = $1 AND g.id = $2`
	getGeneratorAny    = selectGenerators + ` AND g.id = $1 AND $2::uuid IS NOT NULL`
)

// Get implements ports.Generators.
func (r generators) Get(ctx context.Context, scope tenancy.Scope, id tenancy.GeneratorID) (tenancy.Generator, error) {
	query, args, ok := views{getGenerator, getGeneratorItself, getGeneratorAny}.of(scope, uid(id))
	if !ok {
		return tenancy.Generator{}, noGenerator(id)
	}
	row, err := one[generatorRow](ctx, r.s, "get generator", noGenerator(id), query, args...)
	return row.generator(), err
}

const generatorByName = selectGenerators + ` AND g.name = $1`

// ByName implements ports.Generators.
func (r generators) ByName(ctx context.Context, name string) (tenancy.Generator, error) {
	row, err := one[generatorRow](ctx, r.s, "get generator by name", noGenerator(name), generatorByName, name)
	return row.generator(), err
}

const (
	listGenerators      = selectGenerators + ` ORDER BY g.name`
	listGeneratorItself = selectGenerators + ` AND g.id = $1`
	listGeneratorsAny   = selectGenerators + ` AND $1::uuid IS NOT NULL ORDER BY g.name`
)

// List implements ports.Generators.
func (r generators) List(ctx context.Context, scope tenancy.Scope) ([]tenancy.Generator, error) {
	query, args, ok := views{listGenerators, listGeneratorItself, listGeneratorsAny}.of(scope)
	if !ok {
		return nil, nil
	}
	rows, err := many[generatorRow](ctx, r.s, "list generators", query, args...)
	return convert(rows, err, generatorRow.generator)
}

const (
	countGenerators  = `SELECT count(*) FROM generators g WHERE g.deleted_at IS NULL`
	generatorItself  = ` AND g.id = ?`
	generatorsToAny  = ` AND ?::uuid IS NOT NULL`
	generatorsByName = ` AND g.name = ?`
	generatorsFound  = ` AND position(lower(?::text) IN lower(g.name)) > 0`
)

func generatorPages() listing[generatorRow, tenancy.Generator] {
	return listing[generatorRow, tenancy.Generator]{
		list: tenancy.GeneratorList(), act: "list generators", rows: selectGenerators, count: countGenerators, id: "g.id",
		sorts:   map[string]string{"name": "g.name", "created_at": "g.created_at"},
		filters: map[string]string{"name": generatorsByName, "system": " AND g.is_system = ?::boolean"}, search: generatorsFound, to: generatorRow.generator,
	}
}

// Page implements ports.Generators.
func (r generators) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Generator], error) {
	return generatorPages().page(ctx, r.s, views{"", generatorItself, generatorsToAny}.only(scope), q)
}

const insertGenerator = `INSERT INTO generators
	(id, name, description, is_active, is_system, registration_policy, created_at, updated_at, last_active_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// Insert implements ports.Generators.
func (r generators) Insert(ctx context.Context, g tenancy.Generator) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "insert generator", insertGenerator, uid(g.ID), g.Name, g.Description, g.Active, g.System,
			string(g.RegistrationPolicy), micro(g.CreatedAt), micro(g.UpdatedAt), microPtr(g.LastActiveAt))
		return err
	})
}

// What was remembered of its keys rests on its being active or not.
const tellGenerator = `SELECT pg_notify($2, short)::text AS sent FROM credentials WHERE role = 'generator' AND subject = $1`

const updateGenerator = `UPDATE generators
	SET name = $2, description = $3, is_active = $4, registration_policy = $5, updated_at = $6
	WHERE id = $1 AND deleted_at IS NULL`

// Update implements ports.Generators.
func (r generators) Update(ctx context.Context, g tenancy.Generator) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "update generator", updateGenerator, uid(g.ID), g.Name, g.Description, g.Active,
			string(g.RegistrationPolicy), micro(g.UpdatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return noGenerator(g.ID)
		}
		_, err = many[string](ctx, in, "announce the keys of a generator", tellGenerator, uid(g.ID), ports.CredentialsRevoked)
		return err
	})
}

const deleteGenerator = `UPDATE generators SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL`

const dropConsentsOfGenerator = `WITH gone AS (DELETE FROM registrations WHERE generator_id = $1 RETURNING agent_id),
	targets AS (DELETE FROM agent_targets t USING stacks s WHERE s.id = t.stack_id AND s.generator_id = $1
		AND t.agent_id IN (SELECT agent_id FROM gone))
	UPDATE agents SET version = version + 1 WHERE id IN (SELECT agent_id FROM gone)`

// Delete implements ports.Generators.
func (r generators) Delete(ctx context.Context, id tenancy.GeneratorID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete generator", deleteGenerator, uid(id), micro(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return noGenerator(id)
		}
		_, err = in.exec(ctx, "drop consents of generator", dropConsentsOfGenerator, uid(id))
		return err
	})
}

const keepGenerator = `SELECT 1 FROM generators WHERE id = $1 AND deleted_at IS NULL FOR SHARE`

// keepGenerator holds a live generator alive until the transaction ends.
func (s session) keepGenerator(ctx context.Context, id tenancy.GeneratorID) error {
	_, err := one[int](ctx, s, "lock generator", noGenerator(id), keepGenerator, uid(id))
	return err
}
