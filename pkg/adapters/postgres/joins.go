package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type (
	joinTokens struct{ s session }
	joins      struct{ s session }
)

func noJoinToken(id any) error { return notFound("join_token_not_found", "join token", id) }

type joinTokenRow struct {
	ID          join.TokenID         `db:"id"`
	Name        string               `db:"name"`
	Short       string               `db:"short"`
	Hash        string               `db:"hash"`
	MaxUses     int                  `db:"max_uses"`
	Uses        int                  `db:"uses"`
	Labels      pq.StringArray       `db:"labels"`
	Annotations []byte               `db:"annotations"`
	Activate    bool                 `db:"activate"`
	Generators  pq.StringArray       `db:"generators"`
	CreatedBy   tenancy.CredentialID `db:"created_by"`
	CreatedAt   time.Time            `db:"created_at"`
	ExpiresAt   time.Time            `db:"expires_at"`
	RevokedAt   *time.Time           `db:"revoked_at"`
	LastUsedAt  *time.Time           `db:"last_used_at"`
}

func (r joinTokenRow) token() (join.Token, error) {
	t := join.Token{
		ID: r.ID, Name: r.Name, Short: r.Short, Hash: r.Hash, MaxUses: r.MaxUses, Uses: r.Uses, Activate: r.Activate, CreatedBy: r.CreatedBy,
		CreatedAt: micro(r.CreatedAt), ExpiresAt: micro(r.ExpiresAt), RevokedAt: microPtr(r.RevokedAt), LastUsedAt: microPtr(r.LastUsedAt),
	}
	if len(r.Labels) > 0 {
		t.Labels = r.Labels
	}
	for _, g := range r.Generators {
		t.Generators = append(t.Generators, tenancy.GeneratorID(g))
	}
	if err := json.Unmarshal(r.Annotations, &t.Annotations); err != nil {
		return join.Token{}, fmt.Errorf("read annotations of join token %s: %w", r.ID, err)
	}
	if len(t.Annotations) == 0 {
		t.Annotations = nil
	}
	return t, nil
}

const selectJoinTokens = `SELECT t.id, t.name, t.short, t.hash, t.max_uses, t.uses, t.labels, t.annotations, t.activate,
	ARRAY(SELECT g.generator_id::text FROM join_token_generators g WHERE g.token_id = t.id ORDER BY g.generator_id) AS generators,
	COALESCE(t.created_by::text, '') AS created_by, t.created_at, t.expires_at, t.revoked_at, t.last_used_at FROM join_tokens t`

const (
	getJoinToken     = selectJoinTokens + ` WHERE t.id = $1`
	joinTokenByShort = selectJoinTokens + ` WHERE t.short = $1`
	listJoinTokens   = selectJoinTokens + ` WHERE true`
	countJoinTokens  = `SELECT count(*) FROM join_tokens t WHERE true`
	joinTokensUsable = ` AND t.uses < t.max_uses AND LEAST(t.revoked_at, t.expires_at) > ?::timestamptz` // LEAST ignores what is null
	joinTokensFound  = ` AND position(lower(?::text) IN lower(t.name)) > 0`
)

// Get implements ports.JoinTokens.
func (r joinTokens) Get(ctx context.Context, id join.TokenID) (join.Token, error) {
	row, err := one[joinTokenRow](ctx, r.s, "get join token", noJoinToken(id), getJoinToken, uid(id))
	if err != nil {
		return join.Token{}, err
	}
	return row.token()
}

func joinTokenPages() listing[joinTokenRow, joinTokenRow] {
	return listing[joinTokenRow, joinTokenRow]{
		list: page.Of(join.List(), func(r joinTokenRow) join.Token { return join.Token{ID: r.ID, CreatedAt: r.CreatedAt} }),
		act:  "list join tokens", rows: listJoinTokens, count: countJoinTokens, id: "t.id",
		sorts: map[string]string{"created_at": "t.created_at"}, filters: map[string]string{"name": " AND t.name = ?", "state": joinTokensUsable},
		search: joinTokensFound, to: same[joinTokenRow],
	}
}

// Page implements ports.JoinTokens.
func (r joinTokens) Page(ctx context.Context, q page.Query) (page.Page[join.Token], error) {
	rows, err := joinTokenPages().page(ctx, r.s, part{}, q)
	return read(rows, err, joinTokenRow.token)
}

const (
	insertJoinToken = `INSERT INTO join_tokens (id, name, short, hash, max_uses, uses, labels, annotations, activate, created_by, created_at, expires_at, revoked_at, last_used_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	insertJoinTokenGenerator = `INSERT INTO join_token_generators (token_id, generator_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`
)

// Insert implements ports.JoinTokens.
func (r joinTokens) Insert(ctx context.Context, t join.Token) error {
	notes := t.Annotations
	if notes == nil {
		notes = map[string]string{}
	}
	annotations, err := json.Marshal(notes)
	if err != nil {
		return fmt.Errorf("write annotations: %w", err)
	}
	labels := t.Labels
	if labels == nil {
		labels = []string{}
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		for _, g := range t.Generators {
			if err := in.keepGenerator(ctx, g); err != nil {
				return err
			}
		}
		if _, err := in.exec(ctx, "insert join token", insertJoinToken, uid(t.ID), t.Name, t.Short, t.Hash, t.MaxUses, t.Uses, pq.Array(labels), string(annotations),
			t.Activate, uid(t.CreatedBy), micro(t.CreatedAt), micro(t.ExpiresAt), microPtr(t.RevokedAt), microPtr(t.LastUsedAt)); err != nil {
			return err
		}
		for _, g := range t.Generators {
			if _, err := in.exec(ctx, "insert generator of join token", insertJoinTokenGenerator, uid(t.ID), uid(g)); err != nil {
				return err
			}
		}
		return nil
	})
}

const revokeJoinToken = `UPDATE join_tokens SET revoked_at = LEAST(revoked_at, $2) WHERE id = $1 RETURNING id::text AS id`

type idRow struct {
	ID string `db:"id"`
}

// Revoke implements ports.JoinTokens.
func (r joinTokens) Revoke(ctx context.Context, id join.TokenID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := one[idRow](ctx, in, "revoke join token", noJoinToken(id), revokeJoinToken, uid(id), micro(at))
		return err
	})
}

const purgeJoinTokens = `WITH gone AS (DELETE FROM join_tokens WHERE id IN (
		SELECT id FROM join_tokens WHERE LEAST(expires_at, revoked_at) <= $1 ORDER BY LEAST(expires_at, revoked_at) LIMIT $2)
		RETURNING id)
	SELECT id::text AS id FROM gone`

// Purge implements ports.JoinTokens.
func (r joinTokens) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		rows, err := many[idRow](ctx, in, "purge join tokens", purgeJoinTokens, micro(before), limit)
		return len(rows), err
	})
}

// Token implements ports.Joins.
func (r joins) Token(ctx context.Context, short string) (join.Token, error) {
	row, err := one[joinTokenRow](ctx, r.s, "get join token", noJoinToken(short), joinTokenByShort, short)
	if err != nil {
		return join.Token{}, err
	}
	return row.token()
}

const useJoinToken = `UPDATE join_tokens SET uses = uses + 1, last_used_at = $2
	WHERE id = $1 AND uses < max_uses AND expires_at > $2 AND (revoked_at IS NULL OR revoked_at > $2) RETURNING id::text AS id`

// Use implements ports.Joins.
func (r joins) Use(ctx context.Context, id join.TokenID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := one[idRow](ctx, in, "use join token", join.Refused(), useJoinToken, uid(id), micro(at))
		return err
	})
}

const insertJoin = `INSERT INTO joins (agent_id, token_id, claim, joined_at) VALUES ($1, $2, $3, $4)`

// Add implements ports.Joins.
func (r joins) Add(ctx context.Context, j join.Join) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepAgent(ctx, j.Agent); err != nil {
			return err
		}
		if _, err := one[joinTokenRow](ctx, in, "get join token", noJoinToken(j.Token), getJoinToken, uid(j.Token)); err != nil {
			return err
		}
		_, err := in.exec(ctx, "insert join", insertJoin, uid(j.Agent), uid(j.Token), j.Claim, micro(j.At))
		return err
	})
}

const joinOfAgent = `SELECT agent_id::text AS agent_id, token_id::text AS token_id, claim, joined_at FROM joins WHERE agent_id = $1`

// Of implements ports.Joins.
func (r joins) Of(ctx context.Context, a agent.ID) (join.Join, error) {
	row, err := one[struct {
		Agent agent.ID     `db:"agent_id"`
		Token join.TokenID `db:"token_id"`
		Claim string       `db:"claim"`
		At    time.Time    `db:"joined_at"`
	}](ctx, r.s, "get join", fault.Newf(fault.NotFound, "join_not_found", "agent %s has joined by no token", a), joinOfAgent, uid(a))
	return join.Join{Agent: row.Agent, Token: row.Token, Claim: row.Claim, At: micro(row.At)}, err
}
