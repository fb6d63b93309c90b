package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyGenerators struct {
	in ports.Generators
	f  *faults
}

func (x faultyGenerators) Get(ctx context.Context, scope tenancy.Scope, id tenancy.GeneratorID) (v tenancy.Generator, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyGenerators) ByName(ctx context.Context, name string) (v tenancy.Generator, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ByName(ctx, name)
}

func (x faultyGenerators) List(ctx context.Context, scope tenancy.Scope) (v []tenancy.Generator, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.List(ctx, scope)
}

func (x faultyGenerators) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[tenancy.Generator], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyGenerators) Insert(ctx context.Context, g tenancy.Generator) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, g)
}

func (x faultyGenerators) Update(ctx context.Context, g tenancy.Generator) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Update(ctx, g)
}

func (x faultyGenerators) Delete(ctx context.Context, id tenancy.GeneratorID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id, at)
}

type faultyCredentials struct {
	in ports.Credentials
	f  *faults
}

func (x faultyCredentials) ByShort(ctx context.Context, short string) (v tenancy.Credential, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ByShort(ctx, short)
}

func (x faultyCredentials) OfSubject(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) (v []tenancy.Credential, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.OfSubject(ctx, role, g, a)
}

func (x faultyCredentials) Insert(ctx context.Context, c tenancy.Credential) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, c)
}

func (x faultyCredentials) Revoke(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID, at time.Time, keep ...tenancy.CredentialID) (v int, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Revoke(ctx, role, g, a, at, keep...)
}

func (x faultyCredentials) Hold(ctx context.Context, id tenancy.CredentialID) (v tenancy.Credential, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Hold(ctx, id)
}

func (x faultyCredentials) Touch(ctx context.Context, used map[tenancy.CredentialID]time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Touch(ctx, used)
}

type faultyRegistrations struct {
	in ports.Registrations
	f  *faults
}

func (x faultyRegistrations) Get(ctx context.Context, a agent.ID, g tenancy.GeneratorID) (v tenancy.Registration, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, a, g)
}

func (x faultyRegistrations) OfAgent(ctx context.Context, a agent.ID) (v []tenancy.Registration, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.OfAgent(ctx, a)
}

func (x faultyRegistrations) OfGenerator(ctx context.Context, g tenancy.GeneratorID) (v []tenancy.Registration, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.OfGenerator(ctx, g)
}

func (x faultyRegistrations) Insert(ctx context.Context, r tenancy.Registration) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, r)
}

func (x faultyRegistrations) SetState(ctx context.Context, a agent.ID, g tenancy.GeneratorID, s tenancy.RegistrationState) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.SetState(ctx, a, g, s)
}

func (x faultyRegistrations) Delete(ctx context.Context, a agent.ID, g tenancy.GeneratorID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, a, g)
}
