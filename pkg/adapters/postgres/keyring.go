package postgres

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

const (
	getCredential         = selectCredentials + ` WHERE id = $1`
	getCredentialOfTenant = selectCredentials + ` WHERE id = $1 AND generator_id = $2`
	getCredentialOfAgent  = selectCredentials + ` WHERE id = $1 AND agent_id = $2`
)

// Get implements ports.Keyring.
func (r keyring) Get(ctx context.Context, scope tenancy.Scope, id tenancy.CredentialID) (tenancy.Credential, error) {
	query, args, ok := views{getCredential, getCredentialOfTenant, getCredentialOfAgent}.of(scope, uid(id))
	if !ok {
		return tenancy.Credential{}, noCredential(id)
	}
	row, err := one[credentialRow](ctx, r.s, "get credential", noCredential(id), query, args...)
	return row.credential(), err
}

const (
	listCredentials     = selectCredentials + ` WHERE true`
	countCredentials    = `SELECT count(*) FROM credentials WHERE true`
	credentialsOfTenant = ` AND generator_id = ?`
	credentialsOfAgent  = ` AND agent_id = ?`
	credentialsUsable   = ` AND COALESCE(LEAST(revoked_at, expires_at), 'infinity') > ?::timestamptz` // LEAST ignores what is null
	credentialsFound    = ` AND position(lower(?::text) IN lower(name)) > 0`
)

func credentialPages() listing[credentialRow, tenancy.Credential] {
	return listing[credentialRow, tenancy.Credential]{
		list: tenancy.CredentialList(), act: "list credentials", rows: listCredentials, count: countCredentials, id: "id",
		sorts: map[string]string{"created_at": "created_at"},
		filters: map[string]string{
			"name": " AND name = ?", "role": " AND role = ?", "generator_id": credentialsOfTenant, "agent_id": credentialsOfAgent, "state": credentialsUsable,
		},
		search: credentialsFound, to: credentialRow.credential,
	}
}

// Page implements ports.Keyring.
func (r keyring) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Credential], error) {
	return credentialPages().page(ctx, r.s, views{"", credentialsOfTenant, credentialsOfAgent}.only(scope), q)
}

const (
	lockCredential = selectCredentials + ` WHERE id = $1 FOR UPDATE`
	// All that end an admin's credential meet here, in one order.
	lockAdmins    = selectCredentials + ` WHERE role = 'admin' AND subject = '00000000-0000-0000-0000-000000000000' ORDER BY id FOR UPDATE`
	endCredential = `WITH ended AS (UPDATE credentials SET revoked_at = $2 WHERE id = $1 RETURNING short)
		SELECT short, pg_notify($3, short)::text AS sent FROM ended`
)

// lockedCredentials locks a credential until the transaction ends, an admin's together with those of all admins, and returns
// what it has locked.
func lockedCredentials(ctx context.Context, in session, id tenancy.CredentialID) ([]credentialRow, error) {
	c, err := one[credentialRow](ctx, in, "get credential", noCredential(id), getCredential, uid(id))
	if err != nil {
		return nil, err
	}
	if c.Role == tenancy.RoleAdmin {
		return many[credentialRow](ctx, in, "lock admin credentials", lockAdmins)
	}
	return many[credentialRow](ctx, in, "lock credential", lockCredential, uid(id))
}

// End implements ports.Keyring.
func (r keyring) End(ctx context.Context, id tenancy.CredentialID, at time.Time) (bool, error) {
	at = micro(at)
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		locked, err := lockedCredentials(ctx, in, id)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(locked, func(c credentialRow) bool { return c.ID == id })
		if i < 0 {
			return false, noCredential(id)
		}
		if !locked[i].credential().Usable(at) {
			return false, nil
		}
		if locked[i].Role == tenancy.RoleAdmin && !slices.ContainsFunc(locked, func(c credentialRow) bool {
			return c.ID != id && c.RevokedAt == nil && c.credential().Usable(at)
		}) {
			return false, fault.New(fault.Refused, "last_admin_credential", "this is the last usable admin credential; make another one first")
		}
		_, err = many[struct {
			Short string `db:"short"`
			Sent  string `db:"sent"`
		}](ctx, in, "end credential", endCredential, uid(id), at, ports.CredentialsRevoked)
		return err == nil, err
	})
}

const purgeCredentials = `WITH gone AS (DELETE FROM credentials WHERE id IN (
		SELECT id FROM credentials WHERE role <> 'admin' AND (expires_at IS NOT NULL OR revoked_at IS NOT NULL)
			AND LEAST(expires_at, revoked_at) < $1 ORDER BY LEAST(expires_at, revoked_at) LIMIT $2)
		RETURNING id)
	SELECT id::text AS id FROM gone`

// Purge implements ports.Keyring.
func (r keyring) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		rows, err := many[struct {
			ID string `db:"id"`
		}](ctx, in, "purge credentials", purgeCredentials, micro(before), limit)
		return len(rows), err
	})
}
