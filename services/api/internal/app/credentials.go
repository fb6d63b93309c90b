package app

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

// PrefixOf returns the part of c's key that may be shown, by which its owner recognises it; false for one of which only
// the hash was ever known.
func PrefixOf(c tenancy.Credential) (string, bool) {
	return pak.Prefix + "_" + c.Short, c.Short != c.Hash
}

// ListCredentials returns a page of the credentials that p sees: staff see all, a generator and an agent their own.
func (a *App) ListCredentials(ctx context.Context, p tenancy.Principal, q page.Query) (page.Page[tenancy.Credential], error) {
	out, err := a.Store.Keyring().Page(ctx, tenancy.ScopeOf(p), a.usableNow(q))
	if err != nil {
		return out, fmt.Errorf("list credentials: %w", err)
	}
	return out, nil
}

// usableNow puts the moment into a query for what is usable now, as the stores read it.
func (a *App) usableNow(q page.Query) page.Query {
	if _, usable := q.Is["state"]; usable {
		q.Is = maps.Clone(q.Is)
		q.Is["state"] = page.Time(a.now())
	}
	return q
}

// GetCredential returns a credential that p sees.
func (a *App) GetCredential(ctx context.Context, p tenancy.Principal, c tenancy.CredentialID) (tenancy.Credential, error) {
	out, err := a.Store.Keyring().Get(ctx, tenancy.ScopeOf(p), c)
	if err != nil {
		return tenancy.Credential{}, fmt.Errorf("get credential: %w", err)
	}
	return out, nil
}

// NewCredential is what is said of a new credential. Without role and subject it is one more of the asker's own.
type NewCredential struct {
	Name      string
	Role      string
	Generator *string
	Agent     *string
	ExpiresAt *time.Time
}

// subject returns whose credential n asks for. It looks nothing up.
func (n NewCredential) subject(p tenancy.Principal) (tenancy.Credential, error) {
	c := tenancy.Credential{Name: n.Name, Role: tenancy.Role(n.Role)}
	var err error
	if n.Generator != nil {
		if c.Generator, err = id.Parse[tenancy.GeneratorID]("generator_id", *n.Generator); err != nil {
			return c, err
		}
	}
	if n.Agent != nil {
		if c.Agent, err = id.Parse[agent.ID]("agent_id", *n.Agent); err != nil {
			return c, err
		}
	}
	if c.Role == "" && c.Generator == "" && c.Agent == "" && !p.IsStaff() {
		c.Role = p.Role
	}
	if !p.IsStaff() && c.Role == p.Role && c.Generator == "" && c.Agent == "" {
		c.Generator, c.Agent = p.Generator, p.Agent
	}
	bad := func(format string, args ...any) (tenancy.Credential, error) {
		return c, fault.Newf(fault.Invalid, "invalid_credential", format, args...)
	}
	switch c.Role {
	case tenancy.RoleAdmin, tenancy.RoleOperator, tenancy.RoleViewer:
		if c.Generator != "" || c.Agent != "" {
			return bad("a credential of role %s belongs to no generator or agent; leave generator_id and agent_id out", c.Role)
		}
	case tenancy.RoleGenerator:
		if c.Generator == "" || c.Agent != "" {
			return bad("a generator's credential names its generator_id and no agent_id")
		}
	case tenancy.RoleAgent:
		if c.Agent == "" || c.Generator != "" {
			return bad("an agent's credential names its agent_id and no generator_id")
		}
	default:
		return bad("role %q is not admin, operator, viewer, generator or agent", n.Role)
	}
	if n.Name == presetName {
		return bad("the name %q is kept for the key of the configuration", n.Name)
	}
	return c, tenancy.CheckName("invalid_credential", "the credential's name", n.Name)
}

func aboveRole(p tenancy.Principal) error {
	return fault.Newf(fault.Forbidden, "credential_above_role", "a credential of role %s may not make, rotate or revoke this one", p.Role)
}

// CreateCredential makes one more credential and returns its key, which is never shown again. Nobody makes one above
// their own role; a generator and an agent make their own, which end no later than the one that they ask with.
func (a *App) CreateCredential(ctx context.Context, p tenancy.Principal, n NewCredential) (tenancy.Credential, pak.PAK, error) {
	c, err := n.subject(p)
	if err != nil {
		return tenancy.Credential{}, pak.PAK{}, err
	}
	if !p.MayMint(c.Role, c.Generator, c.Agent) {
		return tenancy.Credential{}, pak.PAK{}, aboveRole(p)
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(a.now()) {
		return tenancy.Credential{}, pak.PAK{}, fault.New(fault.Invalid, "invalid_credential", "expires_at is not in the future")
	}
	c.ExpiresAt = n.ExpiresAt
	var made tenancy.Credential
	var key pak.PAK
	err = a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		if c.Generator != "" {
			g, err := tx.Generators().Get(ctx, tenancy.Everything(), c.Generator)
			if err != nil {
				return err
			}
			if g.System {
				return fault.New(fault.Forbidden, "system_generator_not_a_tenant", "the system generator is not a tenant and has no PAK")
			}
		}
		if made, key, err = a.credential(ctx, tx, c); err != nil {
			return err
		}
		return a.did(ctx, tx, aboutCredential(audit.PAKCreated, made.ID, made))
	})
	if err != nil {
		return tenancy.Credential{}, pak.PAK{}, fmt.Errorf("create credential: %w", err)
	}
	return made, key, nil
}

// aboutCredential is the entry of something that was done with the credential id, in c's name, role and subject.
func aboutCredential(act audit.Action, id tenancy.CredentialID, c tenancy.Credential) audit.Entry {
	e := audit.Did(act, string(id), nil, nil).With("name", c.Name).With("role", string(c.Role))
	switch {
	case c.Agent != "":
		e = e.With("agent_id", string(c.Agent))
	case c.Generator != "":
		e = e.With("generator_id", string(c.Generator))
	}
	return e
}

// managed returns the credential if p may change it: NotFound if p does not see it, Forbidden if p sees it alone.
func managed(ctx context.Context, tx ports.Repositories, p tenancy.Principal, id tenancy.CredentialID) (tenancy.Credential, error) {
	c, err := tx.Keyring().Get(ctx, tenancy.ScopeOf(p), id)
	if err != nil {
		return tenancy.Credential{}, err
	}
	if !p.Manages(c) {
		return tenancy.Credential{}, aboveRole(p)
	}
	return c, nil
}

func credentialEnded() error {
	return fault.New(fault.Refused, "credential_ended", "this credential has ended; create another one instead")
}

// RotateCredential makes a credential in the place of another: name, role, subject and expiry stay. The former one ends
// after the overlap; one that has ended already is Refused.
func (a *App) RotateCredential(ctx context.Context, p tenancy.Principal, id tenancy.CredentialID, overlap time.Duration) (tenancy.Credential, pak.PAK, error) {
	if err := tenancy.CheckGrace(overlap); err != nil {
		return tenancy.Credential{}, pak.PAK{}, err
	}
	var made tenancy.Credential
	var key pak.PAK
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		old, err := managed(ctx, tx, p, id) // before anything is held up for it
		if err != nil {
			return err
		}
		if err := lockSubject(ctx, tx, old); err != nil {
			return err
		}
		if err := tx.Locks().Credential(ctx, id); err != nil {
			return err
		}
		if old, err = managed(ctx, tx, p, id); err != nil {
			return err
		}
		if !old.Usable(a.now()) {
			return credentialEnded()
		}
		next := tenancy.Credential{ID: old.ID, Name: old.Name, Role: old.Role, Generator: old.Generator, Agent: old.Agent, ExpiresAt: old.ExpiresAt}
		if next.Name == presetName { // which stands for the key of the configuration, at the next start too
			next.Name = "admin"
		}
		if made, key, err = a.credential(ctx, tx, next); err != nil {
			return err
		}
		// One whose end was set before, by a rotation with an overlap, ends as it was to.
		if _, err := tx.Keyring().End(ctx, old.ID, made.CreatedAt.Add(overlap)); err != nil {
			return err
		}
		return a.did(ctx, tx, aboutCredential(audit.PAKRotated, old.ID, made).With("credential_id", string(made.ID)).With("overlap", overlap.String()))
	})
	if err != nil {
		return tenancy.Credential{}, pak.PAK{}, fmt.Errorf("rotate credential: %w", err)
	}
	return made, key, nil
}

// CredentialTag is the state of a credential that its end may rest on.
func CredentialTag(c tenancy.Credential) string {
	return precondition.State(c.ID, c.Name, c.Role, c.ExpiresAt, c.RevokedAt)
}

// RevokeCredential ends a credential at once. The last usable one of an admin stays (Refused).
func (a *App) RevokeCredential(ctx context.Context, p tenancy.Principal, id tenancy.CredentialID) error {
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if _, err := managed(ctx, tx, p, id); err != nil { // before anything is held up for it
			return err
		}
		if err := tx.Locks().Credential(ctx, id); err != nil {
			return err
		}
		c, err := managed(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := precondition.Check(ctx, CredentialTag(c)); err != nil {
			return err
		}
		if _, err = tx.Keyring().End(ctx, c.ID, a.now()); err != nil {
			return err
		}
		return a.did(ctx, tx, aboutCredential(audit.PAKRevoked, c.ID, c))
	})
	if err != nil {
		return fmt.Errorf("revoke credential: %w", err)
	}
	return nil
}
