package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
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
	listCredentials = selectCredentials + ` WHERE ($1 = '' OR role = $1) AND ($2 = '' OR generator_id::text = $2) AND ($3 = '' OR agent_id::text = $3)
		AND ($4::timestamptz IS NULL OR ((revoked_at IS NULL OR revoked_at > $4) AND (expires_at IS NULL OR expires_at > $4)))
		AND (created_at, id) < ($5, $6) `
	newestCredentials         = ` ORDER BY created_at DESC, id DESC LIMIT $7`
	listCredentialsOfAll      = listCredentials + newestCredentials
	listCredentialsOfTenant   = listCredentials + ` AND generator_id = $8` + newestCredentials
	listCredentialsOfTheAgent = listCredentials + ` AND agent_id = $8` + newestCredentials
)

// List implements ports.Keyring.
func (r keyring) List(ctx context.Context, scope tenancy.Scope, f ports.CredentialFilter) ([]tenancy.Credential, error) {
	var usable *time.Time
	if !f.UsableAt.IsZero() {
		usable = microPtr(&f.UsableAt)
	}
	query, args, ok := views{listCredentialsOfAll, listCredentialsOfTenant, listCredentialsOfTheAgent}.of(scope,
		string(f.Role), string(f.Generator), string(f.Agent), usable, before(f.Before, string(f.BeforeID)), beforeID(string(f.BeforeID)), f.Limit)
	if !ok {
		return nil, nil
	}
	rows, err := many[credentialRow](ctx, r.s, "list credentials", query, args...)
	return convert(rows, err, credentialRow.credential)
}

// before and beforeID are where a list of the newest goes on: behind everything on the first page.
func before(t time.Time, id string) any {
	if id == "" {
		return "infinity"
	}
	return micro(t)
}

func beforeID(id string) any {
	if id == "" {
		return "ffffffff-ffff-ffff-ffff-ffffffffffff"
	}
	return uid(id)
}

const (
	lockCredential = selectCredentials + ` WHERE id = $1 FOR UPDATE`
	// All that end an admin's credential meet here, in one order.
	lockAdmins    = selectCredentials + ` WHERE role = 'admin' AND subject = '00000000-0000-0000-0000-000000000000' ORDER BY id FOR UPDATE`
	endCredential = `WITH ended AS (UPDATE credentials SET revoked_at = $2 WHERE id = $1 RETURNING short)
		SELECT short, pg_notify($3, short)::text AS sent FROM ended`
)

// End implements ports.Keyring.
func (r keyring) End(ctx context.Context, id tenancy.CredentialID, at time.Time) (bool, error) {
	at = micro(at)
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		role, err := one[credentialRow](ctx, in, "get credential", noCredential(id), getCredential, uid(id))
		if err != nil {
			return false, err
		}
		var locked []credentialRow
		if role.Role == tenancy.RoleAdmin {
			locked, err = many[credentialRow](ctx, in, "lock admin credentials", lockAdmins)
		} else {
			locked, err = many[credentialRow](ctx, in, "lock credential", lockCredential, uid(id))
		}
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
		if role.Role == tenancy.RoleAdmin && !slices.ContainsFunc(locked, func(c credentialRow) bool {
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
