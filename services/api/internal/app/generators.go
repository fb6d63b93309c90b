package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

func noGenerator(g tenancy.GeneratorID) error {
	return fault.Newf(fault.NotFound, "generator_not_found", "generator %s is not there", g)
}

// builtin reports whether g is one of the two generators that Brokkr itself depends on.
func builtin(g tenancy.Generator) bool { return g.System || g.Name == tenancy.AdminGenerator }

// ownGenerator refuses principals that are neither of the platform nor this generator, as if it did not exist.
func ownGenerator(p tenancy.Principal, g tenancy.GeneratorID) error {
	if p.IsStaff() || p.IsGenerator(g) {
		return nil
	}
	return noGenerator(g)
}

// namedGenerator returns the live generator with this id or, if it is not an id, this name.
func (a *App) namedGenerator(ctx context.Context, tx ports.Repositories, s string) (tenancy.Generator, error) {
	if g, err := id.Parse[tenancy.GeneratorID]("generator id", s); err == nil {
		return tx.Generators().Get(ctx, tenancy.Everything(), g)
	}
	return tx.Generators().ByName(ctx, s)
}

// ListGenerators returns a page of the generators that p sees: every live one for an admin.
func (a *App) ListGenerators(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[tenancy.Generator], error) {
	out, err := a.Store.Generators().Page(ctx, tenancy.ScopeOf(p), q)
	if err != nil {
		return page.Page[tenancy.Generator]{}, fmt.Errorf("list generators: %w", err)
	}
	return out, nil
}

// GetGenerator returns a generator to an admin or to itself.
func (a *App) GetGenerator(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID) (tenancy.Generator, error) {
	if err := ownGenerator(p, g); err != nil {
		return tenancy.Generator{}, err
	}
	out, err := a.Store.Generators().Get(ctx, tenancy.ScopeOf(p), g)
	if err != nil {
		return tenancy.Generator{}, fmt.Errorf("get generator: %w", err)
	}
	return out, nil
}

// GeneratorTag is the state of a generator that a change may be made conditional on; its activity is not part of it.
func GeneratorTag(g tenancy.Generator) string {
	return precondition.State(g.ID, g.Name, g.Description, g.Active, g.RegistrationPolicy, g.UpdatedAt)
}

// NewGenerator is what an admin says of a new generator. An empty policy means approval.
type NewGenerator struct {
	Name               string
	Description        *string
	RegistrationPolicy tenancy.RegistrationPolicy
}

// CreateGenerator makes a generator and returns its key, which is never shown again.
func (a *App) CreateGenerator(ctx context.Context, n NewGenerator) (tenancy.Generator, pak.PAK, error) {
	if err := tenancy.CheckName("invalid_generator", "the generator's name", n.Name); err != nil {
		return tenancy.Generator{}, pak.PAK{}, err
	}
	if n.RegistrationPolicy == "" {
		n.RegistrationPolicy = tenancy.PolicyApproval
	}
	if err := checkPolicy(n.RegistrationPolicy); err != nil {
		return tenancy.Generator{}, pak.PAK{}, err
	}
	var out tenancy.Generator
	var key pak.PAK
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		at := a.now()
		out = tenancy.Generator{
			ID: tenancy.GeneratorID(newID()), Name: n.Name, Description: n.Description, Active: true,
			RegistrationPolicy: n.RegistrationPolicy, CreatedAt: at, UpdatedAt: at,
		}
		if err := tx.Generators().Insert(ctx, out); err != nil {
			return err
		}
		if _, key, err = a.credential(ctx, tx, generatorCredential(out)); err != nil {
			return err
		}
		return a.did(ctx, tx, audit.Did(audit.GeneratorCreated, string(out.ID), nil, generatorState(out)).With("name", out.Name))
	})
	if err != nil {
		return tenancy.Generator{}, pak.PAK{}, fmt.Errorf("create generator: %w", err)
	}
	return out, key, nil
}

func checkPolicy(p tenancy.RegistrationPolicy) error {
	if !p.Valid() {
		return fault.Newf(fault.Invalid, "invalid_generator", "registration_policy %q is not open, approval or closed", p)
	}
	return nil
}

func generatorCredential(g tenancy.Generator) tenancy.Credential {
	return tenancy.Credential{Name: g.Name, Role: tenancy.RoleGenerator, Generator: g.ID}
}

// GeneratorChange is a partial update of a generator; what is nil or not set stays.
type GeneratorChange struct {
	Name               *string
	Description        Patch[string]
	Active             *bool
	RegistrationPolicy *tenancy.RegistrationPolicy
}

// UpdateGenerator changes a generator, by staff or itself. The builtin generators keep their names (Refused). Staff alone make one
// inactive or active again (else Forbidden): the keys of an inactive one are refused at once, and what it has published stays.
func (a *App) UpdateGenerator(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, ch GeneratorChange) (tenancy.Generator, error) {
	if err := ownGenerator(p, g); err != nil {
		return tenancy.Generator{}, err
	}
	var out tenancy.Generator
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Generator(ctx, g); err != nil {
			return err
		}
		v, err := tx.Generators().Get(ctx, tenancy.ScopeOf(p), g)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, GeneratorTag(v)); err != nil {
			return err
		}
		before := v
		if err := ch.apply(&v); err != nil {
			return err
		}
		if v.Active != before.Active && !p.IsStaff() {
			return fault.New(fault.Forbidden, "admin_required", "a generator is made inactive or active by an admin, not by itself")
		}
		v.UpdatedAt, out = a.now(), v
		if err := a.did(ctx, tx, audit.Did(audit.GeneratorUpdated, string(g), generatorState(before), generatorState(v))); err != nil {
			return err
		}
		if err := tx.Generators().Update(ctx, v); err != nil {
			return err
		}
		out, err = tx.Generators().Get(ctx, tenancy.Everything(), g)
		return err
	})
	if err != nil {
		return tenancy.Generator{}, fmt.Errorf("update generator: %w", err)
	}
	return out, nil
}

func (ch GeneratorChange) apply(g *tenancy.Generator) error {
	if ch.Name != nil && *ch.Name != g.Name {
		if builtin(*g) {
			return fault.Newf(fault.Refused, "builtin_generator", "generator %s keeps its name: Brokkr finds it by that", g.Name)
		}
		if err := tenancy.CheckName("invalid_generator", "the generator's name", *ch.Name); err != nil {
			return err
		}
		g.Name = *ch.Name
	}
	if ch.Description.Set {
		g.Description = ch.Description.Value
	}
	if ch.Active != nil {
		g.Active = *ch.Active
	}
	if ch.RegistrationPolicy != nil {
		if err := checkPolicy(*ch.RegistrationPolicy); err != nil {
			return err
		}
		g.RegistrationPolicy = *ch.RegistrationPolicy
	}
	return nil
}

// DeleteGenerator soft-deletes a generator and its stacks, and ends its keys and registrations, by an admin or itself.
// The builtin generators stay (Forbidden).
func (a *App) DeleteGenerator(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID) error {
	if err := ownGenerator(p, g); err != nil {
		return err
	}
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Locks().Generator(ctx, g); err != nil {
			return err
		}
		v, err := tx.Generators().Get(ctx, tenancy.ScopeOf(p), g)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, GeneratorTag(v)); err != nil {
			return err
		}
		if builtin(v) {
			return fault.Newf(fault.Forbidden, "cannot_delete_system_generator", "generator %s belongs to Brokkr itself and stays", v.Name)
		}
		return a.dropGenerator(ctx, tx, v)
	})
	if err != nil {
		return fmt.Errorf("delete generator: %w", err)
	}
	return nil
}

func (a *App) dropGenerator(ctx context.Context, tx ports.Repositories, v tenancy.Generator) error {
	at, g := a.now(), v.ID
	stacks, err := tx.Stacks().List(ctx, tenancy.Scope{Generator: g})
	if err != nil {
		return fmt.Errorf("list its stacks: %w", err)
	}
	gone := audit.Did(audit.GeneratorDeleted, string(g), generatorState(v), nil).With("name", v.Name).With("stacks", strconv.Itoa(len(stacks)))
	if err := a.did(ctx, tx, gone); err != nil {
		return err
	}
	for _, s := range stacks {
		if err := a.dropStack(ctx, tx, s, at); err != nil {
			return err
		}
	}
	if _, err := tx.Templates().DeleteOf(ctx, g, at); err != nil {
		return fmt.Errorf("delete its templates: %w", err)
	}
	if err := a.dropPolicies(ctx, tx, g); err != nil {
		return err
	}
	if _, err := tx.Credentials().Revoke(ctx, tenancy.RoleGenerator, g, "", at); err != nil {
		return fmt.Errorf("revoke its credentials: %w", err)
	}
	if err := tx.Generators().Delete(ctx, g, at); err != nil {
		return err
	}
	e := a.occurred(ctx, event.GeneratorDeleted, at, map[string]any{"generator_id": g, "deleted_at": at})
	e.Generator = g
	return tx.Outbox().Append(ctx, e)
}

// RotateGenerator gives the generator a new key, by staff or itself; the former ones end after the overlap (0: at once). By itself it gets none
// that outlives the one that it asks with.
func (a *App) RotateGenerator(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, overlap time.Duration) (tenancy.Generator, pak.PAK, error) {
	if err := ownGenerator(p, g); err != nil {
		return tenancy.Generator{}, pak.PAK{}, err
	}
	if err := tenancy.CheckGrace(overlap); err != nil {
		return tenancy.Generator{}, pak.PAK{}, err
	}
	var out tenancy.Generator
	var key pak.PAK
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if out, err = tx.Generators().Get(ctx, tenancy.ScopeOf(p), g); err != nil {
			return err
		}
		if out.System {
			return fault.New(fault.Forbidden, "system_generator_not_a_tenant", "the system generator is not a tenant and has no PAK")
		}
		key, err = a.rotate(ctx, tx, generatorCredential(out), overlap)
		return err
	})
	if err != nil {
		return tenancy.Generator{}, pak.PAK{}, fmt.Errorf("rotate the generator's PAK: %w", err)
	}
	return out, key, nil
}
