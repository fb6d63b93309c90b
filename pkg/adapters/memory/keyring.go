package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type keyring struct{ s session }

func noCredential(id tenancy.CredentialID) error {
	return notFound("credential_not_found", "credential", id)
}

func (r keyring) Get(ctx context.Context, scope tenancy.Scope, id tenancy.CredentialID) (tenancy.Credential, error) {
	return read(ctx, r.s, func(s *state) (tenancy.Credential, error) {
		c, ok := s.credentials.get(one(id))
		if !ok || !scope.Holds(c) {
			return tenancy.Credential{}, noCredential(id)
		}
		return s.shownCredential(c), nil
	})
}

func (r keyring) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Credential], error) {
	at, asked := q.Is["state"]
	return pageOf(ctx, r.s, tenancy.CredentialList(), q, func(s *state, keep func(tenancy.Credential)) {
		s.credentials.each(func(_ one, c tenancy.Credential) bool {
			if scope.Holds(c) && (!asked || c.Ends().IsZero() || page.Time(c.Ends()) > at) {
				keep(s.shownCredential(c))
			}
			return true
		})
	})
}

func (r keyring) End(ctx context.Context, id tenancy.CredentialID, at time.Time) (bool, error) {
	at = micro(at)
	return write(ctx, r.s, func(ch *change) (bool, error) {
		c, ok := ch.credentials.get(one(id))
		if !ok {
			return false, noCredential(id)
		}
		if !c.Usable(at) {
			return false, nil
		}
		if c.Role == tenancy.RoleAdmin && !slices.ContainsFunc(ch.credentialsOf(tenancy.RoleAdmin, "", ""), func(o tenancy.Credential) bool {
			return o.ID != id && o.RevokedAt == nil && o.Usable(at)
		}) {
			return false, fault.New(fault.Refused, "last_admin_credential", "this is the last usable admin credential; make another one first")
		}
		c.RevokedAt = &at
		ch.credentials.put(one(id), copyCredential(c))
		ch.announce(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: c.Short})
		return true, nil
	})
}

func (r keyring) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(ch *change) (int, error) {
		var gone []tenancy.Credential
		ch.credentials.each(func(_ one, c tenancy.Credential) bool {
			if end := c.Ends(); c.Role != tenancy.RoleAdmin && !end.IsZero() && end.Before(before) && len(gone) < limit {
				gone = append(gone, c)
			}
			return true
		})
		for _, c := range gone {
			ch.credentials.drop(one(c.ID))
			ch.credentialShorts.drop(one(c.Short))
			ch.subjectCredential.drop(two{subject(c.Role, c.Generator, c.Agent), string(c.ID)})
		}
		return len(gone), nil
	})
}
