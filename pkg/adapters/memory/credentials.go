package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type credentials struct{ s session }

func subject(role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) string {
	return string(role) + "/" + string(g) + "/" + string(a)
}

func (r credentials) ByShort(ctx context.Context, short string) (tenancy.Credential, error) {
	return read(ctx, r.s, func(s *state) (tenancy.Credential, error) {
		id, ok := s.credentialShorts.get(one(short))
		if !ok {
			return tenancy.Credential{}, notFound("credential_not_found", "credential", short)
		}
		c, _ := s.credentials.get(one(id))
		return s.shownCredential(c), nil
	})
}

func (r credentials) OfSubject(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) ([]tenancy.Credential, error) {
	return read(ctx, r.s, func(s *state) ([]tenancy.Credential, error) {
		return s.credentialsOf(role, g, a), nil
	})
}

// shownCredential is a copy of c as it is told.
func (s *state) shownCredential(c tenancy.Credential) tenancy.Credential {
	c = copyCredential(c)
	g, ok := s.liveGenerator(c.Generator)
	c.Suspended = ok && !g.Active
	return c
}

// credentialsOf returns copies, newest first.
func (s *state) credentialsOf(role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) []tenancy.Credential {
	var out []tenancy.Credential
	for _, id := range keysOf(s.subjectCredential, subject(role, g, a)) {
		c, _ := s.credentials.get(one(id))
		out = append(out, s.shownCredential(c))
	}
	slices.SortFunc(out, func(x, y tenancy.Credential) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(y.ID, x.ID))
	})
	return out
}

func (r credentials) Insert(ctx context.Context, c tenancy.Credential) error {
	return r.s.update(ctx, func(ch *change) error {
		if _, ok := ch.liveGenerator(c.Generator); c.Generator != "" && !ok {
			return noGenerator(c.Generator)
		}
		if _, ok := ch.liveAgent(c.Agent); c.Agent != "" && !ok {
			return noAgent(c.Agent)
		}
		if ch.credentialShorts.has(one(c.Short)) {
			return duplicate("credentials_short", "credential", c.Short)
		}
		if ch.credentials.has(one(c.ID)) {
			return duplicate("credentials_pkey", "credential", c.ID)
		}
		ch.credentials.put(one(c.ID), copyCredential(c))
		ch.credentialShorts.put(one(c.Short), c.ID)
		ch.subjectCredential.put(two{subject(c.Role, c.Generator, c.Agent), string(c.ID)}, nothing{})
		return nil
	})
}

func (r credentials) Revoke(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID, at time.Time, keep ...tenancy.CredentialID) (int, error) {
	at = micro(at)
	return write(ctx, r.s, func(ch *change) (int, error) {
		n := 0
		for _, c := range ch.credentialsOf(role, g, a) {
			if slices.Contains(keep, c.ID) || !c.Usable(at) {
				continue
			}
			c.RevokedAt = &at
			ch.credentials.put(one(c.ID), copyCredential(c))
			ch.announce(ports.Wakeup{Channel: ports.CredentialsRevoked, Payload: c.Short})
			n++
		}
		return n, nil
	})
}

// Hold has nothing to hold: transactions that change something come one after the other here.
func (r credentials) Hold(ctx context.Context, id tenancy.CredentialID) (tenancy.Credential, error) {
	return write(ctx, r.s, func(ch *change) (tenancy.Credential, error) {
		c, ok := ch.credentials.get(one(id))
		if !ok {
			return tenancy.Credential{}, noCredential(id)
		}
		return ch.shownCredential(c), nil
	})
}

func (r credentials) Touch(ctx context.Context, used map[tenancy.CredentialID]time.Time) error {
	return r.s.update(ctx, func(ch *change) error {
		for id, at := range used {
			c, ok := ch.credentials.get(one(id))
			at = micro(at)
			if !ok || (c.LastUsedAt != nil && !at.After(*c.LastUsedAt)) {
				continue
			}
			c.LastUsedAt = &at
			ch.credentials.put(one(id), c)
		}
		return nil
	})
}
