// Package join holds the tokens with which agents join a broker by themselves, so that nobody carries a key to each cluster.
package join

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// TokenID identifies a token.
type TokenID string

// Bounds of a token.
const (
	MaxUses      = 100_000
	MaxTTL       = 365 * 24 * time.Hour
	DefaultTTL   = time.Hour
	maxLabels    = 100
	minClaim     = 32
	maxClaim     = 256
	secretPrefix = "brokkrjoin"
)

// Token lets agents join until it ends or was used so often. What it presets is given to every agent that joins by it.
type Token struct {
	ID          TokenID
	Name        string
	Short       string // indexed, unique
	Hash        string // lower-case hex SHA-256 of the secret part
	MaxUses     int
	Uses        int
	Labels      []string
	Annotations map[string]string
	Activate    bool // agents are active from the start
	Generators  []tenancy.GeneratorID
	CreatedBy   tenancy.CredentialID
	CreatedAt   time.Time
	ExpiresAt   time.Time
	RevokedAt   *time.Time
	LastUsedAt  *time.Time
}

// Open reports whether t has neither expired nor been revoked at now; it may be used up.
func (t Token) Open(now time.Time) bool {
	return now.Before(t.Ends())
}

// Ends returns when t ends at the latest; it may be used up before.
func (t Token) Ends() time.Time {
	if t.RevokedAt != nil && t.RevokedAt.Before(t.ExpiresAt) {
		return *t.RevokedAt
	}
	return t.ExpiresAt
}

// Usable reports whether another agent may join by t at now.
func (t Token) Usable(now time.Time) bool { return t.Open(now) && t.Uses < t.MaxUses }

// Check refuses what a token cannot be, at now.
func (t Token) Check(now time.Time) error {
	bad := func(format string, args ...any) error {
		return fault.Newf(fault.Invalid, "invalid_join_token", format, args...)
	}
	if err := tenancy.CheckName("invalid_join_token", "the token's name", t.Name); err != nil {
		return err
	}
	switch {
	case t.MaxUses < 1 || t.MaxUses > MaxUses:
		return bad("max_uses must be 1 to %d, not %d", MaxUses, t.MaxUses)
	case !t.ExpiresAt.After(now):
		return bad("the token would have expired already")
	case t.ExpiresAt.Sub(now) > MaxTTL:
		return bad("a token lives for a year at most")
	case len(t.Labels)+len(t.Annotations) > maxLabels:
		return bad("more than %d labels and annotations", maxLabels)
	}
	for _, l := range t.Labels {
		if err := agent.CheckLabel(l); err != nil {
			return err
		}
	}
	for k, v := range t.Annotations {
		if err := stack.CheckAnnotation(k, v); err != nil {
			return err
		}
	}
	return nil
}

// Refused is the one answer to a token that is wrong, has ended or is used up.
func Refused() error {
	return fault.New(fault.Forbidden, "join_refused", "the join token is not accepted: it is wrong, has expired, was revoked or is used up")
}

// Join is the fact that an agent has joined by a token. Claim is the hash of a secret of the agent's own, by which it can
// ask for a new key if the answer to its join was lost; empty if it gave none.
type Join struct {
	Agent agent.ID
	Token TokenID
	Claim string
	At    time.Time
}

// CheckClaim refuses claims that can be guessed or are too long. An empty one is none.
func CheckClaim(claim string) error {
	if claim != "" && (len(claim) < minClaim || len(claim) > maxClaim) {
		return fault.Newf(fault.Invalid, "invalid_claim", "claim must be %d to %d characters of randomness, or be left out", minClaim, maxClaim)
	}
	return nil
}

// HashClaim returns what is stored of a claim.
func HashClaim(claim string) string {
	if claim == "" {
		return ""
	}
	h := sha256.Sum256([]byte(claim))
	return hex.EncodeToString(h[:])
}

// Claims reports whether claim is the one that j was made with.
func (j Join) Claims(claim string) bool {
	return j.Claim != "" && subtle.ConstantTimeCompare([]byte(HashClaim(claim)), []byte(j.Claim)) == 1
}

// Secret is a token as its holder has it: `brokkrjoin_{short}_{long}`. String redacts, Reveal does not. It is no PAK and
// authenticates nobody.
type Secret struct{ key pak.PAK }

// Generate makes a new secret.
func Generate(random io.Reader) (Secret, error) {
	key, err := pak.Generate(random)
	return Secret{key}, err
}

// Parse reads a secret; what is none is Refused, and is not repeated.
func Parse(s string) (Secret, error) {
	rest, ok := strings.CutPrefix(s, secretPrefix+"_")
	if !ok {
		return Secret{}, Refused()
	}
	key, err := pak.Parse(pak.Prefix + "_" + rest)
	if err != nil {
		return Secret{}, Refused()
	}
	return Secret{key}, nil
}

// Short returns the public part.
func (s Secret) Short() string { return s.key.Short() }

// Reveal returns the whole secret; it is shown once, when it is made.
func (s Secret) Reveal() string {
	return secretPrefix + strings.TrimPrefix(s.key.Reveal(), pak.Prefix)
}

// String returns the secret without its secret part.
func (s Secret) String() string { return secretPrefix + "_" + s.Short() + "_***" }

// Hash returns what is stored.
func (s Secret) Hash() string { return s.key.Hash() }

// Matches compares with a stored hash in constant time.
func (s Secret) Matches(hash string) bool { return s.key.Matches(hash) }
