package client

import (
	"context"
	"net/http"
	"time"
)

// Credential is one key of a subject, without the key.
type Credential struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Role        string     `json:"role"`
	GeneratorID *string    `json:"generator_id"`
	AgentID     *string    `json:"agent_id"`
	Prefix      *string    `json:"prefix"`
	State       string     `json:"state"` // usable, ending, expired or revoked
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	RevokedAt   *time.Time `json:"revoked_at"`
	LastUsedAt  *time.Time `json:"last_used_at"`
}

// NewCredential describes a credential to make. Without role and subject it is one more of the caller's own.
type NewCredential struct {
	Name        string     `json:"name"`
	Role        string     `json:"role,omitempty"`
	GeneratorID string     `json:"generator_id,omitempty"`
	AgentID     string     `json:"agent_id,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
}

// CredentialPAK is a new credential with its key, which is never shown again.
type CredentialPAK struct {
	Credential Credential `json:"credential"`
	PAK        string     `json:"pak"`
}

// Credential returns one credential.
func (c *Client) Credential(ctx context.Context, id string) (Credential, error) {
	return get[Credential](ctx, c, "/credentials/"+seg(id))
}

// CreateCredential makes a credential and returns its key.
func (c *Client) CreateCredential(ctx context.Context, n NewCredential) (CredentialPAK, error) {
	var made CredentialPAK
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/credentials", body: n}, &made)
	return made, err
}

// RotateCredential makes a credential in the place of another, which ends after grace. It is not repeated: a lost answer
// would lose the key of the first one.
func (c *Client) RotateCredential(ctx context.Context, id string, grace time.Duration) (CredentialPAK, error) {
	var made CredentialPAK
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/credentials/" + seg(id) + "/rotate", body: graceBody(grace)}, &made)
	return made, err
}

// RevokeCredential ends a credential at once.
func (c *Client) RevokeCredential(ctx context.Context, id string) error {
	return c.remove(ctx, "/credentials/"+seg(id))
}

// graceBody is the body of a rotation: none without an overlap, which every broker understands.
func graceBody(grace time.Duration) any {
	if grace == 0 {
		return nil
	}
	return map[string]int64{"grace_seconds": int64(grace / time.Second)}
}
