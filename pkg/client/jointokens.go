package client

import (
	"context"
	"net/http"
	"time"
)

// JoinToken lets agents join by themselves; the token itself is shown once, when it is made.
type JoinToken struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	MaxUses      int               `json:"max_uses"`
	Uses         int               `json:"uses"`
	State        string            `json:"state"` // usable, used_up, expired or revoked
	Labels       []string          `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorIDs []string          `json:"generator_ids"`
	Activate     bool              `json:"activate"`
	CreatedAt    time.Time         `json:"created_at"`
	ExpiresAt    time.Time         `json:"expires_at"`
	RevokedAt    *time.Time        `json:"revoked_at"`
	LastUsedAt   *time.Time        `json:"last_used_at"`
}

// NewJoinToken asks for a join token. What is zero is the broker's default: one use, an hour, active agents.
type NewJoinToken struct {
	Name         string            `json:"name"`
	MaxUses      int               `json:"max_uses,omitempty"`
	TTLSeconds   int64             `json:"ttl_seconds,omitempty"`
	Labels       []string          `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	GeneratorIDs []string          `json:"generator_ids,omitempty"` // ids or names
	Activate     *bool             `json:"activate,omitempty"`
}

// JoinTokenSecret is a new join token with the token itself, which is never shown again.
type JoinTokenSecret struct {
	JoinToken JoinToken `json:"join_token"`
	Token     string    `json:"token"`
}

// JoinTokens lists the join tokens, newest first, those that have ended too.
func (c *Client) JoinTokens(ctx context.Context) ([]JoinToken, error) {
	return list[JoinToken](ctx, c, "/join-tokens", nil)
}

// JoinToken returns one join token.
func (c *Client) JoinToken(ctx context.Context, id string) (JoinToken, error) {
	return get[JoinToken](ctx, c, "/join-tokens/"+seg(id))
}

// CreateJoinToken makes a join token. It is not repeated: a lost answer would lose the token of the first one.
func (c *Client) CreateJoinToken(ctx context.Context, n NewJoinToken) (JoinTokenSecret, error) {
	var made JoinTokenSecret
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/join-tokens", body: n}, &made)
	return made, err
}

// RevokeJoinToken ends a join token at once. Agents that have joined by it stay.
func (c *Client) RevokeJoinToken(ctx context.Context, id string) error {
	return c.remove(ctx, "/join-tokens/"+seg(id))
}
