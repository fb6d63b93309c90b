package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	credentialJSON struct {
		ID          tenancy.CredentialID `json:"id"`
		Name        string               `json:"name"`
		Role        tenancy.Role         `json:"role"`
		GeneratorID *tenancy.GeneratorID `json:"generator_id"`
		AgentID     *tenancy.AgentID     `json:"agent_id"`
		Prefix      *string              `json:"prefix"`
		State       string               `json:"state"`
		CreatedAt   time.Time            `json:"created_at"`
		ExpiresAt   *time.Time           `json:"expires_at"`
		RevokedAt   *time.Time           `json:"revoked_at"`
		LastUsedAt  *time.Time           `json:"last_used_at"`
	}
	newCredentialJSON struct {
		Name        string     `json:"name"`
		Role        string     `json:"role"`
		GeneratorID *string    `json:"generator_id"`
		AgentID     *string    `json:"agent_id"`
		ExpiresAt   *time.Time `json:"expires_at"`
	}
	credentialKeyJSON struct {
		Credential credentialJSON `json:"credential"`
		PAK        string         `json:"pak"`
	}
	graceJSON struct {
		GraceSeconds int64 `json:"grace_seconds"`
	}
)

func (g graceJSON) overlap() time.Duration {
	// what is beyond every overlap stays beyond when it becomes a duration
	return time.Duration(min(max(g.GraceSeconds, -1), int64(2*tenancy.MaxGrace/time.Second))) * time.Second
}

func credentialOf(now time.Time) func(tenancy.Credential) credentialJSON {
	return func(c tenancy.Credential) credentialJSON {
		out := credentialJSON{
			ID: c.ID, Name: c.Name, Role: c.Role, State: "usable", CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, RevokedAt: c.RevokedAt, LastUsedAt: c.LastUsedAt,
		}
		switch {
		case c.RevokedAt != nil && !now.Before(*c.RevokedAt):
			out.State = "revoked"
		case !c.Usable(now):
			out.State = "expired"
		case c.Suspended:
			out.State = "suspended"
		case c.RevokedAt != nil:
			out.State = "ending"
		}
		if c.Generator != "" {
			out.GeneratorID = &c.Generator
		}
		if c.Agent != "" {
			out.AgentID = &c.Agent
		}
		if prefix, ok := app.PrefixOf(c); ok {
			out.Prefix = &prefix
		}
		return out
	}
}

func credentialRoutes(a *app.App) []rpc.Route {
	show := func(c tenancy.Credential) credentialJSON { return credentialOf(a.Now())(c) }
	return []rpc.Route{
		list("list_credentials", "/credentials", Authenticated, tenancy.CredentialList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[tenancy.Credential], error) {
			return a.ListCredentials(ctx, who(ctx), q)
		}, show),
		post("create_credential", "/credentials", operate(Generator)+"|agent", rpc.JSON[newCredentialJSON], func(ctx context.Context, n newCredentialJSON) (credentialKeyJSON, error) {
			c, key, err := a.CreateCredential(ctx, who(ctx), app.NewCredential{
				Name: n.Name, Role: n.Role, Generator: n.GeneratorID, Agent: n.AgentID, ExpiresAt: n.ExpiresAt,
			})
			return credentialKeyJSON{Credential: show(c), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		get("get_credential", "/credentials/{id}", Authenticated, justID[tenancy.CredentialID], func(ctx context.Context, c tenancy.CredentialID) (rpc.Tagged, error) {
			out, err := a.GetCredential(ctx, who(ctx), c)
			return rpc.Tagged{Tag: app.CredentialTag(out), Body: show(out)}, err
		}),
		post("rotate_credential", "/credentials/{id}/rotate", Authenticated, idAndMaybe[tenancy.CredentialID, graceJSON], func(ctx context.Context, r of[tenancy.CredentialID, graceJSON]) (credentialKeyJSON, error) {
			c, key, err := a.RotateCredential(ctx, who(ctx), r.id, r.body.overlap())
			return credentialKeyJSON{Credential: show(c), PAK: key.Reveal()}, err
		}).ShowsSecret(),
		del("revoke_credential", "/credentials/{id}", Authenticated, justID[tenancy.CredentialID], func(ctx context.Context, c tenancy.CredentialID) error {
			return a.RevokeCredential(ctx, who(ctx), c)
		}).Conditional(),
	}
}
