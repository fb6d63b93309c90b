package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type registrations struct{ s session }

func noRegistration(a agent.ID, g tenancy.GeneratorID) error {
	return notFound("registration_not_found", "registration", string(a)+" with "+string(g))
}

type registrationRow struct {
	ID           tenancy.RegistrationID    `db:"id"`
	Agent        tenancy.AgentID           `db:"agent_id"`
	Generator    tenancy.GeneratorID       `db:"generator_id"`
	State        tenancy.RegistrationState `db:"state"`
	RegisteredAt time.Time                 `db:"registered_at"`
}

func (r registrationRow) registration() tenancy.Registration {
	return tenancy.Registration{ID: r.ID, Agent: r.Agent, Generator: r.Generator, State: r.State, RegisteredAt: micro(r.RegisteredAt)}
}

const selectRegistrations = `SELECT id, agent_id, generator_id, state, registered_at FROM registrations`

const getRegistration = selectRegistrations + ` WHERE agent_id = $1 AND generator_id = $2`

// Get implements ports.Registrations.
func (r registrations) Get(ctx context.Context, a agent.ID, g tenancy.GeneratorID) (tenancy.Registration, error) {
	row, err := one[registrationRow](ctx, r.s, "get registration", noRegistration(a, g), getRegistration, uid(a), uid(g))
	return row.registration(), err
}

const registrationsOfAgent = selectRegistrations + ` WHERE agent_id = $1 ORDER BY generator_id`

// OfAgent implements ports.Registrations.
func (r registrations) OfAgent(ctx context.Context, a agent.ID) ([]tenancy.Registration, error) {
	rows, err := many[registrationRow](ctx, r.s, "list registrations of agent", registrationsOfAgent, uid(a))
	return convert(rows, err, registrationRow.registration)
}

const registrationsOfGenerator = selectRegistrations + ` WHERE generator_id = $1 ORDER BY agent_id`

// OfGenerator implements ports.Registrations.
func (r registrations) OfGenerator(ctx context.Context, g tenancy.GeneratorID) ([]tenancy.Registration, error) {
	rows, err := many[registrationRow](ctx, r.s, "list registrations of generator", registrationsOfGenerator, uid(g))
	return convert(rows, err, registrationRow.registration)
}

const insertRegistration = `INSERT INTO registrations (id, agent_id, generator_id, state, registered_at) VALUES ($1, $2, $3, $4, $5)`

// Insert implements ports.Registrations.
func (r registrations) Insert(ctx context.Context, reg tenancy.Registration) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepGenerator(ctx, reg.Generator); err != nil {
			return err
		}
		if err := in.touchLiveAgent(ctx, reg.Agent); err != nil {
			return err
		}
		_, err := in.exec(ctx, "insert registration", insertRegistration,
			uid(reg.ID), uid(reg.Agent), uid(reg.Generator), string(reg.State), micro(reg.RegisteredAt))
		if isDuplicate(err, "registrations_agent_generator") {
			return fault.Newf(fault.Conflict, "already_registered", "agent %s is registered with generator %s already", reg.Agent, reg.Generator).Because(err)
		}
		return err
	})
}

const getRegistrationState = `SELECT state FROM registrations WHERE agent_id = $1 AND generator_id = $2 FOR UPDATE`

const setRegistrationState = `UPDATE registrations SET state = $3 WHERE agent_id = $1 AND generator_id = $2`

// SetState implements ports.Registrations.
func (r registrations) SetState(ctx context.Context, a agent.ID, g tenancy.GeneratorID, s tenancy.RegistrationState) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		old, err := one[tenancy.RegistrationState](ctx, in, "lock registration", noRegistration(a, g), getRegistrationState, uid(a), uid(g))
		if err != nil || old == s {
			return err
		}
		if _, err := in.exec(ctx, "set state of registration", setRegistrationState, uid(a), uid(g), string(s)); err != nil {
			return err
		}
		return in.touchAgent(ctx, a)
	})
}

const deleteRegistration = `WITH gone AS (DELETE FROM registrations WHERE agent_id = $1 AND generator_id = $2 RETURNING agent_id),
	targets AS (DELETE FROM agent_targets t USING stacks s WHERE s.id = t.stack_id AND s.generator_id = $2
		AND t.agent_id IN (SELECT agent_id FROM gone))
	UPDATE agents SET version = version + 1 WHERE id IN (SELECT agent_id FROM gone)`

// Delete implements ports.Registrations.
func (r registrations) Delete(ctx context.Context, a agent.ID, g tenancy.GeneratorID) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete registration", deleteRegistration, uid(a), uid(g))
		if err == nil && n == 0 {
			return noRegistration(a, g)
		}
		return err
	})
}
