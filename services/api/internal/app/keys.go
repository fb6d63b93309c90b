package app

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/trail"
)

// Locks are taken in one order: the subject of a key, then a key that is ended, then that of who asks. So those who rotate the
// keys of one subject, each by one that the other ends, wait for each other in turn.

// lockSubject keeps others from making or ending all keys of c's subject until the transaction ends: of two that do, the later
// sees what the earlier did.
func lockSubject(ctx context.Context, tx ports.Repositories, c tenancy.Credential) error {
	switch {
	case c.Generator != "":
		return tx.Locks().Generator(ctx, c.Generator)
	case c.Agent != "":
		return tx.Locks().Agent(ctx, c.Agent)
	default:
		return nil
	}
}

// asker returns who asks as of now, and keeps the credential by which they do from being ended until the transaction ends: no
// key comes of one whose end was told before. Unauthenticated if it has ended since the request was let in; nil for who works without one.
func (a *App) asker(ctx context.Context, tx ports.Repositories) (*tenancy.Principal, error) {
	by := trail.Credential(ctx)
	if by == "" {
		return nil, nil //nolint:nilnil // Brokkr itself, a person at its host, or an agent that joins
	}
	c, err := tx.Credentials().Hold(ctx, by)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, tenancy.Ended()
	case err != nil:
		return nil, fmt.Errorf("hold the credential of who asks: %w", err)
	case !c.Usable(a.now()) || c.Suspended:
		return nil, tenancy.Ended()
	}
	p := tenancy.Of(c)
	return &p, nil
}

// credential makes a new key for a subject and stores its hash. c.ID is that of the credential in whose place it comes, if there
// is one; the new one has its own, and no later end than who asks may give it.
func (a *App) credential(ctx context.Context, tx ports.Repositories, c tenancy.Credential) (tenancy.Credential, pak.PAK, error) {
	fail := func(err error) (tenancy.Credential, pak.PAK, error) { return tenancy.Credential{}, pak.PAK{}, err }
	if err := lockSubject(ctx, tx, c); err != nil {
		return fail(fmt.Errorf("lock the subject of %s: %w", c.Name, err))
	}
	p, err := a.asker(ctx, tx)
	if err != nil {
		return fail(err)
	}
	if p != nil {
		c.ExpiresAt = p.Caps(c, c.ExpiresAt)
	}
	key, err := pak.Generate(a.Random)
	if err != nil {
		return fail(fmt.Errorf("generate a PAK: %w", err))
	}
	c.ID, c.Short, c.Hash, c.CreatedAt = tenancy.CredentialID(newID()), key.Short(), key.Hash(), a.now()
	if err := tx.Credentials().Insert(ctx, c); err != nil {
		return fail(fmt.Errorf("insert credential of %s: %w", c.Name, err))
	}
	return c, key, nil
}

// rotate gives a subject a new key and ends all its others after the overlap.
func (a *App) rotate(ctx context.Context, tx ports.Repositories, c tenancy.Credential, overlap time.Duration) (pak.PAK, error) {
	c, key, err := a.credential(ctx, tx, c)
	if err != nil {
		return pak.PAK{}, err
	}
	if _, err := tx.Credentials().Revoke(ctx, c.Role, c.Generator, c.Agent, c.CreatedAt.Add(overlap), c.ID); err != nil {
		return pak.PAK{}, fmt.Errorf("revoke former credentials of %s: %w", c.Name, err)
	}
	return key, a.did(ctx, tx, rotated(c))
}
