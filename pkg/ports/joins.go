package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// JoinTokens are the tokens by which agents join. They belong to no tenant.
type JoinTokens interface {
	Get(ctx context.Context, id join.TokenID) (join.Token, error)
	// Page returns a page of tokens, as join.List says.
	Page(ctx context.Context, q page.Query) (page.Page[join.Token], error)
	// Insert stores t with its generators. A short token that exists is a Conflict, an unknown generator NotFound.
	Insert(ctx context.Context, t join.Token) error
	// Revoke ends a token from at on; an end that was earlier stays.
	Revoke(ctx context.Context, id join.TokenID, at time.Time) error
	// Purge deletes tokens that ended before the time, with what is known of joins by them, at most limit.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
}

// Joins is how agents use the tokens.
type Joins interface {
	// Token returns the token with this short token, usable or not.
	Token(ctx context.Context, short string) (join.Token, error)
	// Use counts one use at the time. It is Forbidden (join.Refused) unless the token is usable then; of racers for the
	// last use one has it.
	Use(ctx context.Context, id join.TokenID, at time.Time) error
	// Add stores that an agent has joined; a second time for the agent is a Conflict.
	Add(ctx context.Context, j join.Join) error
	// Of returns how the agent has joined; NotFound if it did not.
	Of(ctx context.Context, a agent.ID) (join.Join, error)
}
