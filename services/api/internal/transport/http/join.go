package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// joinOp is the operation that needs no PAK but a join token.
const joinOp = "join_agent"

type (
	joinTokenJSON struct {
		ID           join.TokenID          `json:"id"`
		Name         string                `json:"name"`
		MaxUses      int                   `json:"max_uses"`
		Uses         int                   `json:"uses"`
		State        string                `json:"state"`
		Labels       []string              `json:"labels"`
		Annotations  map[string]string     `json:"annotations"`
		GeneratorIDs []tenancy.GeneratorID `json:"generator_ids"`
		Activate     bool                  `json:"activate"`
		CreatedAt    time.Time             `json:"created_at"`
		ExpiresAt    time.Time             `json:"expires_at"`
		RevokedAt    *time.Time            `json:"revoked_at"`
		LastUsedAt   *time.Time            `json:"last_used_at"`
	}
	newJoinTokenJSON struct {
		Name         string            `json:"name"`
		MaxUses      int               `json:"max_uses"`
		TTLSeconds   int64             `json:"ttl_seconds"`
		Labels       []string          `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		GeneratorIDs []string          `json:"generator_ids"`
		Activate     *bool             `json:"activate"`
	}
	joinTokenSecretJSON struct {
		JoinToken joinTokenJSON `json:"join_token"`
		Token     string        `json:"token"`
	}
	joinBody struct {
		Token       string `json:"token"`
		Name        string `json:"name"`
		ClusterName string `json:"cluster_name"`
		Claim       string `json:"claim"`
	}
	joinedJSON struct {
		Agent agentJSON `json:"agent"`
		PAK   string    `json:"pak"`
	}
)

func joinTokenOf(now time.Time) func(join.Token) joinTokenJSON {
	return func(t join.Token) joinTokenJSON {
		out := joinTokenJSON{
			ID: t.ID, Name: t.Name, MaxUses: t.MaxUses, Uses: t.Uses, State: "usable", Activate: t.Activate,
			Labels: each(t.Labels, func(l string) string { return l }), Annotations: map[string]string{},
			GeneratorIDs: each(t.Generators, func(g tenancy.GeneratorID) tenancy.GeneratorID { return g }),
			CreatedAt:    t.CreatedAt, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, LastUsedAt: t.LastUsedAt,
		}
		for k, v := range t.Annotations {
			out.Annotations[k] = v
		}
		switch {
		case t.RevokedAt != nil && !now.Before(*t.RevokedAt):
			out.State = "revoked"
		case !t.Open(now):
			out.State = "expired"
		case !t.Usable(now):
			out.State = "used_up"
		}
		return out
	}
}

// ttl is the time to live; what is beyond every one stays beyond when it becomes a duration.
func (n newJoinTokenJSON) ttl() time.Duration {
	return time.Duration(min(max(n.TTLSeconds, -1), int64(2*join.MaxTTL/time.Second))) * time.Second
}

func joinRoutes(a *app.App) []rpc.Route {
	show := func(t join.Token) joinTokenJSON { return joinTokenOf(a.Now())(t) }
	return []rpc.Route{
		list("list_join_tokens", "/join-tokens", view(Admin), join.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[join.Token], error) {
			return a.ListJoinTokens(ctx, q)
		}, show),
		post("create_join_token", "/join-tokens", operate(Admin), rpc.JSON[newJoinTokenJSON], func(ctx context.Context, n newJoinTokenJSON) (joinTokenSecretJSON, error) {
			t, secret, err := a.CreateJoinToken(ctx, who(ctx), app.NewJoinToken{
				Name: n.Name, MaxUses: n.MaxUses, TTL: n.ttl(), Labels: n.Labels, Annotations: n.Annotations, Generators: n.GeneratorIDs,
				Activate: n.Activate == nil || *n.Activate,
			})
			return joinTokenSecretJSON{JoinToken: show(t), Token: secret.Reveal()}, err
		}).ShowsSecret(),
		get("get_join_token", "/join-tokens/{id}", view(Admin), justID[join.TokenID], func(ctx context.Context, t join.TokenID) (rpc.Tagged, error) {
			out, err := a.GetJoinToken(ctx, t)
			return rpc.Tagged{Tag: app.JoinTokenTag(out), Body: show(out)}, err
		}),
		del("revoke_join_token", "/join-tokens/{id}", operate(Admin), justID[join.TokenID], a.RevokeJoinToken).Conditional(),
		post(joinOp, "/agents/join", Public, rpc.JSON[joinBody], func(ctx context.Context, b joinBody) (joinedJSON, error) {
			v, key, err := a.Join(ctx, app.JoinRequest(b))
			return joinedJSON{Agent: agentOf(v), PAK: key.Reveal()}, err
		}),
	}
}
