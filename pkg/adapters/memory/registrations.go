package memory

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type registrations struct{ s session }

func noRegistration(a agent.ID, g tenancy.GeneratorID) error {
	return notFound("registration_not_found", "registration", string(a)+" with "+string(g))
}

func (r registrations) Get(ctx context.Context, a agent.ID, g tenancy.GeneratorID) (tenancy.Registration, error) {
	return read(ctx, r.s, func(s *state) (tenancy.Registration, error) {
		reg, ok := s.registrations.get(two{string(a), string(g)})
		if !ok {
			return tenancy.Registration{}, noRegistration(a, g)
		}
		return reg, nil
	})
}

func (r registrations) OfAgent(ctx context.Context, a agent.ID) ([]tenancy.Registration, error) {
	return read(ctx, r.s, func(s *state) ([]tenancy.Registration, error) {
		return valuesOf(s.registrations, string(a)), nil
	})
}

func (r registrations) OfGenerator(ctx context.Context, g tenancy.GeneratorID) ([]tenancy.Registration, error) {
	return read(ctx, r.s, func(s *state) ([]tenancy.Registration, error) {
		var out []tenancy.Registration
		for _, a := range keysOf(s.generatorRegistered, string(g)) {
			reg, _ := s.registrations.get(two{a, string(g)})
			out = append(out, reg)
		}
		return out, nil
	})
}

func (r registrations) Insert(ctx context.Context, reg tenancy.Registration) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(reg.Agent); !ok {
			return noAgent(reg.Agent)
		}
		if _, ok := c.liveGenerator(reg.Generator); !ok {
			return noGenerator(reg.Generator)
		}
		k := two{string(reg.Agent), string(reg.Generator)}
		if c.registrations.has(k) {
			return fault.Newf(fault.Conflict, alreadyRegistered, "agent %s is registered with generator %s already", reg.Agent, reg.Generator)
		}
		reg.RegisteredAt = micro(reg.RegisteredAt)
		c.registrations.put(k, reg)
		c.generatorRegistered.put(two{string(reg.Generator), string(reg.Agent)}, nothing{})
		c.touchAgent(reg.Agent)
		return nil
	})
}

func (r registrations) SetState(ctx context.Context, a agent.ID, g tenancy.GeneratorID, s tenancy.RegistrationState) error {
	return r.s.update(ctx, func(c *change) error {
		k := two{string(a), string(g)}
		reg, ok := c.registrations.get(k)
		if !ok {
			return noRegistration(a, g)
		}
		if reg.State == s {
			return nil
		}
		reg.State = s
		c.registrations.put(k, reg)
		c.touchAgent(a)
		return nil
	})
}

func (r registrations) Delete(ctx context.Context, a agent.ID, g tenancy.GeneratorID) error {
	return r.s.update(ctx, func(c *change) error {
		if !c.registrations.has(two{string(a), string(g)}) {
			return noRegistration(a, g)
		}
		c.dropRegistration(a, g)
		return nil
	})
}
