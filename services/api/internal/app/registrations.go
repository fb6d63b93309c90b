package app

import (
	"context"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// registrant returns the agent for which p speaks: itself for an agent, the one that is named for an admin.
func registrant(p tenancy.Principal, body *agent.ID) (agent.ID, error) {
	if p.Role == tenancy.RoleAgent {
		if body != nil && *body != p.Agent {
			return "", fault.New(fault.Forbidden, "agent_pak_mismatch", "an agent speaks for itself only; leave agent_id out")
		}
		return p.Agent, nil
	}
	if body == nil {
		return "", fault.New(fault.Invalid, "missing_agent_id", "an admin must say which agent: agent_id is missing")
	}
	return *body, nil
}

// Register asks for consent between an agent and a generator. What an admin asks is approved at once; what an agent
// asks for itself is as the generator's policy says. A second request is a Conflict with the registration in its details.
func (a *App) Register(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, body *agent.ID) (tenancy.Registration, error) {
	who, err := registrant(p, body)
	if err != nil {
		return tenancy.Registration{}, err
	}
	r := tenancy.Registration{ID: tenancy.RegistrationID(newID()), Agent: who, Generator: g, State: tenancy.RegistrationApproved, RegisteredAt: a.now()}
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		gen, err := tx.Generators().Get(ctx, tenancy.ScopeOf(p), g)
		if err != nil {
			return err
		}
		if known, err := tx.Registrations().Get(ctx, who, g); err == nil {
			return alreadyRegistered(known)
		} else if !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("get registration: %w", err)
		}
		if !p.IsStaff() {
			if r.State, err = gen.RegistrationPolicy.Request(); err != nil {
				return err
			}
		}
		if err := tx.Registrations().Insert(ctx, r); err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.AgentRegistered, string(who), nil, r).With("generator_id", string(g))); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.consentEvent(ctx, who, g, string(r.State), r.RegisteredAt))
	})
	if fault.CodeOf(err) == "already_registered" {
		if f, ok := fault.As(err); ok && f.Details["registration"] == nil { // another call was faster
			known, getErr := a.Store.Registrations().Get(ctx, who, g)
			if getErr == nil {
				err = alreadyRegistered(known)
			}
		}
	}
	if err != nil {
		return tenancy.Registration{}, fmt.Errorf("register agent: %w", err)
	}
	return r, nil
}

func alreadyRegistered(r tenancy.Registration) error {
	return fault.Newf(fault.Conflict, "already_registered", "agent %s is registered with generator %s already (%s)", r.Agent, r.Generator, r.State).
		With("registration", map[string]any{
			"id": r.ID, "agent_id": r.Agent, "generator_id": r.Generator, "registered_at": r.RegisteredAt, "state": r.State,
		})
}

// Deregister ends the consent of an agent (itself, or the one that an admin names) with a generator, and the agent's
// targets on its stacks.
func (a *App) Deregister(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, body *agent.ID) error {
	who, err := registrant(p, body)
	if err != nil {
		return err
	}
	return a.endConsent(ctx, p, g, who)
}

// RevokeRegistration ends or refuses an agent's registration from the generator's side, by the generator or an admin.
func (a *App) RevokeRegistration(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, who agent.ID) error {
	if err := ownGenerator(p, g); err != nil {
		return err
	}
	return a.endConsent(ctx, p, g, who)
}

func (a *App) endConsent(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, who agent.ID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Generators().Get(ctx, tenancy.ScopeOf(p), g); err != nil {
			return err
		}
		before, err := tx.Registrations().Get(ctx, who, g)
		if err != nil {
			return err
		}
		if err := a.did(ctx, tx, audit.Did(audit.AgentDeregistered, string(who), before, nil).With("generator_id", string(g))); err != nil {
			return err
		}
		if err := tx.Registrations().Delete(ctx, who, g); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.consentEvent(ctx, who, g, "revoked", a.now()))
	})
	if err != nil {
		return fmt.Errorf("deregister agent: %w", err)
	}
	return nil
}

// ApproveRegistration approves an agent's pending request, by the generator or an admin. Approving twice changes nothing.
func (a *App) ApproveRegistration(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID, who agent.ID) (tenancy.Registration, error) {
	if err := ownGenerator(p, g); err != nil {
		return tenancy.Registration{}, err
	}
	var out tenancy.Registration
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if _, err := tx.Generators().Get(ctx, tenancy.ScopeOf(p), g); err != nil {
			return err
		}
		if out, err = tx.Registrations().Get(ctx, who, g); err != nil || out.State == tenancy.RegistrationApproved {
			return err
		}
		if err := tx.Registrations().SetState(ctx, who, g, tenancy.RegistrationApproved); err != nil {
			return err
		}
		before := out
		out.State = tenancy.RegistrationApproved
		if err := a.did(ctx, tx, audit.Did(audit.AgentRegistrationSet, string(who), before, out).With("generator_id", string(g))); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, a.consentEvent(ctx, who, g, string(out.State), a.now()))
	})
	if err != nil {
		return tenancy.Registration{}, fmt.Errorf("approve registration: %w", err)
	}
	return out, nil
}

// GeneratorRegistrations returns the registrations of a generator, pending ones too, to it or an admin.
func (a *App) GeneratorRegistrations(ctx context.Context, p tenancy.Principal, g tenancy.GeneratorID) ([]tenancy.Registration, error) {
	if _, err := a.GetGenerator(ctx, p, g); err != nil {
		return nil, err
	}
	out, err := a.Store.Registrations().OfGenerator(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("list the generator's registrations: %w", err)
	}
	return out, nil
}

// AgentRegistrations returns the registrations of an agent to it or an admin.
func (a *App) AgentRegistrations(ctx context.Context, p tenancy.Principal, who agent.ID) ([]tenancy.Registration, error) {
	if _, err := a.GetAgent(ctx, p, who); err != nil {
		return nil, err
	}
	out, err := a.Store.Registrations().OfAgent(ctx, who)
	if err != nil {
		return nil, fmt.Errorf("list the agent's registrations: %w", err)
	}
	return out, nil
}
