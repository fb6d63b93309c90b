package postgres

import (
	"context"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type credentials struct{ s session }

type credentialRow struct {
	ID         tenancy.CredentialID `db:"id"`
	Name       string               `db:"name"`
	Role       tenancy.Role         `db:"role"`
	Generator  tenancy.GeneratorID  `db:"generator_id"`
	Agent      tenancy.AgentID      `db:"agent_id"`
	Short      string               `db:"short"`
	Hash       string               `db:"hash"`
	CreatedAt  time.Time            `db:"created_at"`
	ExpiresAt  *time.Time           `db:"expires_at"`
	RevokedAt  *time.Time           `db:"revoked_at"`
	LastUsedAt *time.Time           `db:"last_used_at"`
	Suspended  bool                 `db:"suspended"`
}

func (r credentialRow) credential() tenancy.Credential {
	return tenancy.Credential{
		ID: r.ID, Name: r.Name, Role: r.Role, Generator: r.Generator, Agent: r.Agent, Short: r.Short, Hash: r.Hash,
		CreatedAt: micro(r.CreatedAt), ExpiresAt: microPtr(r.ExpiresAt), RevokedAt: microPtr(r.RevokedAt), LastUsedAt: microPtr(r.LastUsedAt),
		Suspended: r.Suspended,
	}
}

// subjectOf returns the value of the column subject.
func subjectOf(g tenancy.GeneratorID, a tenancy.AgentID) any {
	switch {
	case g != "":
		return uid(g)
	case a != "":
		return uid(a)
	default:
		return "00000000-0000-0000-0000-000000000000"
	}
}

const selectCredentials = `SELECT id, name, role, COALESCE(generator_id::text, '') AS generator_id, COALESCE(agent_id::text, '') AS agent_id,
	short, hash, created_at, expires_at, revoked_at, last_used_at,
	EXISTS (SELECT FROM generators g WHERE g.id = credentials.generator_id AND g.deleted_at IS NULL AND NOT g.is_active) AS suspended FROM credentials`

const credentialByShort = selectCredentials + ` WHERE short = $1`

// ByShort implements ports.Credentials.
func (r credentials) ByShort(ctx context.Context, short string) (tenancy.Credential, error) {
	row, err := one[credentialRow](ctx, r.s, "get credential", notFound("credential_not_found", "credential", short), credentialByShort, short)
	return row.credential(), err
}

const credentialsOfSubject = selectCredentials + ` WHERE role = $1 AND subject = $2 ORDER BY created_at DESC, id DESC`

// OfSubject implements ports.Credentials.
func (r credentials) OfSubject(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) ([]tenancy.Credential, error) {
	rows, err := many[credentialRow](ctx, r.s, "list credentials", credentialsOfSubject, string(role), subjectOf(g, a))
	return convert(rows, err, credentialRow.credential)
}

const insertCredential = `INSERT INTO credentials
	(id, name, role, generator_id, agent_id, short, hash, created_at, expires_at, revoked_at, last_used_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// Insert implements ports.Credentials.
func (r credentials) Insert(ctx context.Context, c tenancy.Credential) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if c.Generator != "" {
			if err := in.keepGenerator(ctx, c.Generator); err != nil {
				return err
			}
		}
		if c.Agent != "" {
			if err := in.keepAgent(ctx, c.Agent); err != nil {
				return err
			}
		}
		_, err := in.exec(ctx, "insert credential", insertCredential, uid(c.ID), c.Name, string(c.Role), uid(c.Generator), uid(c.Agent),
			c.Short, c.Hash, micro(c.CreatedAt), microPtr(c.ExpiresAt), microPtr(c.RevokedAt), microPtr(c.LastUsedAt))
		return err
	})
}

const revokeCredentials = `WITH revoked AS (
		UPDATE credentials SET revoked_at = $3
		WHERE role = $1 AND subject = $2 AND NOT id = ANY ($4::uuid[])
			AND (revoked_at IS NULL OR revoked_at > $3) AND (expires_at IS NULL OR expires_at > $3)
		RETURNING short)
	SELECT short, pg_notify($5, short)::text AS sent FROM revoked`

// Revoke implements ports.Credentials.
func (r credentials) Revoke(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID, at time.Time, keep ...tenancy.CredentialID) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		rows, err := many[struct {
			Short string `db:"short"`
			Sent  string `db:"sent"`
		}](ctx, in, "revoke credentials", revokeCredentials,
			string(role), subjectOf(g, a), micro(at), uids(keep), ports.CredentialsRevoked)
		return len(rows), err
	})
}

const holdCredential = selectCredentials + ` WHERE id = $1 FOR SHARE`

// Hold implements ports.Credentials.
func (r credentials) Hold(ctx context.Context, id tenancy.CredentialID) (tenancy.Credential, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (tenancy.Credential, error) {
		row, err := one[credentialRow](ctx, in, "hold credential", noCredential(id), holdCredential, uid(id))
		return row.credential(), err
	})
}

const touchCredentials = `UPDATE credentials c SET last_used_at = u.at
	FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)
	WHERE c.id = u.id AND (c.last_used_at IS NULL OR c.last_used_at < u.at)`

// Touch implements ports.Credentials.
func (r credentials) Touch(ctx context.Context, used map[tenancy.CredentialID]time.Time) error {
	var ids []string
	var times []time.Time
	for id, at := range used {
		if uid(id) != nil {
			ids = append(ids, string(id))
			times = append(times, micro(at))
		}
	}
	if len(ids) == 0 {
		return ctx.Err()
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "touch credentials", touchCredentials, pq.Array(ids), pq.Array(times))
		return err
	})
}
