package memory

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type generators struct{ s session }

func noGenerator(id any) error { return notFound("generator_not_found", "generator", id) }

func (r generators) Get(ctx context.Context, scope tenancy.Scope, id tenancy.GeneratorID) (tenancy.Generator, error) {
	return read(ctx, r.s, func(s *state) (tenancy.Generator, error) {
		g, ok := s.liveGenerator(id)
		if !ok || !(scope.Agent != "" || scope.Owns(id)) {
			return tenancy.Generator{}, noGenerator(id)
		}
		return copyGenerator(g), nil
	})
}

func (r generators) ByName(ctx context.Context, name string) (tenancy.Generator, error) {
	return read(ctx, r.s, func(s *state) (tenancy.Generator, error) {
		id, ok := s.generatorNames.get(one(name))
		if !ok {
			return tenancy.Generator{}, noGenerator(name)
		}
		g, _ := s.liveGenerator(id)
		return copyGenerator(g), nil
	})
}

func (r generators) List(ctx context.Context, scope tenancy.Scope) ([]tenancy.Generator, error) {
	return read(ctx, r.s, func(s *state) ([]tenancy.Generator, error) {
		var out []tenancy.Generator
		s.generatorNames.each(func(_ one, id tenancy.GeneratorID) bool {
			if scope.Agent != "" || scope.Owns(id) {
				g, _ := s.liveGenerator(id)
				out = append(out, copyGenerator(g))
			}
			return true
		})
		return out, nil
	})
}

func (r generators) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Generator], error) {
	all, err := r.List(ctx, scope)
	if err != nil {
		return page.Page[tenancy.Generator]{}, err
	}
	return tenancy.GeneratorList().Cut(all, q), nil
}

func (r generators) Insert(ctx context.Context, g tenancy.Generator) error {
	return r.s.update(ctx, func(c *change) error {
		if c.generatorNames.has(one(g.Name)) {
			return duplicate("generators_name", "generator", g.Name)
		}
		if c.generators.has(one(g.ID)) {
			return duplicate("generators_pkey", "generator", g.ID)
		}
		g = copyGenerator(g)
		g.DeletedAt = nil
		c.generators.put(one(g.ID), g)
		c.generatorNames.put(one(g.Name), g.ID)
		return nil
	})
}

func (r generators) Update(ctx context.Context, g tenancy.Generator) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.liveGenerator(g.ID)
		if !ok {
			return noGenerator(g.ID)
		}
		if holder, taken := c.generatorNames.get(one(g.Name)); taken && holder != g.ID {
			return duplicate("generators_name", "generator", g.Name)
		}
		c.generatorNames.drop(one(stored.Name))
		c.generatorNames.put(one(g.Name), g.ID)
		g = copyGenerator(g)
		stored.Name, stored.Description, stored.Active = g.Name, g.Description, g.Active
		stored.RegistrationPolicy, stored.UpdatedAt = g.RegistrationPolicy, g.UpdatedAt
		c.generators.put(one(g.ID), stored)
		for _, key := range c.credentialsOf(tenancy.RoleGenerator, g.ID, "") {
			c.announce(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: key.Short})
		}
		return nil
	})
}

func (r generators) Delete(ctx context.Context, id tenancy.GeneratorID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		g, ok := c.liveGenerator(id)
		if !ok {
			return noGenerator(id)
		}
		for _, a := range keysOf(c.generatorRegistered, string(id)) {
			c.dropRegistration(agent.ID(a), id)
		}
		c.generatorNames.drop(one(g.Name))
		at = micro(at)
		g.DeletedAt, g.UpdatedAt = &at, at
		c.generators.put(one(id), g)
		return nil
	})
}
