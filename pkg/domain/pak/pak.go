// Package pak implements prefixed API keys (PAKs): `brokkr_{short}_{long}`. The short token finds the
// credential, the long token proves it; only a SHA-256 of the long token is ever stored.
package pak

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"strings"

	"github.com/mr-tron/base58"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Prefix is the first part of every PAK.
const Prefix = "brokkr"

const (
	shortLen   = 8
	shortBytes = 8
	longBytes  = 24
	minLong    = 32
	maxLong    = 33
	alphabet   = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// PAK is a parsed key. It is secret: String redacts, Reveal does not.
type PAK struct{ short, long string }

// Generate makes a new PAK from 32 bytes of random (crypto/rand.Reader in production).
// It fails only if random does.
func Generate(random io.Reader) (PAK, error) {
	for {
		var b [shortBytes + longBytes]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return PAK{}, fault.New(fault.Internal, "internal_error", "read random bytes").Because(err)
		}
		short := ("BR" + base58.Encode(b[:shortBytes]))[:shortLen]
		long := base58.Encode(b[shortBytes:])
		if len(long) < minLong { // leading zero bytes: about once in 2^10
			continue
		}
		return PAK{short: short, long: long}, nil
	}
}

// Parse reads a PAK. What is not one is an Unauthenticated fault that does not repeat the input.
func Parse(s string) (PAK, error) {
	bad := fault.New(fault.Unauthenticated, "unauthorized", "the key is not a Brokkr PAK (brokkr_<short>_<long>)")
	if len(s) > len(Prefix)+2+shortLen+maxLong {
		return PAK{}, bad
	}
	prefix, rest, ok1 := strings.Cut(s, "_")
	short, long, ok2 := strings.Cut(rest, "_")
	if !ok1 || !ok2 || prefix != Prefix || len(short) != shortLen || !strings.HasPrefix(short, "BR") ||
		len(long) < minLong || len(long) > maxLong || !isBase58(short) || !isBase58(long) {
		return PAK{}, bad
	}
	return PAK{short: short, long: long}, nil
}

func isBase58(s string) bool {
	return strings.Trim(s, alphabet) == ""
}

// Short returns the public part, by which the credential is looked up.
func (p PAK) Short() string { return p.short }

// Reveal returns the whole secret key; it is shown once, when it is made.
func (p PAK) Reveal() string { return Prefix + "_" + p.short + "_" + p.long }

// String returns the key without its secret part, fit for logs.
func (p PAK) String() string { return Prefix + "_" + p.short + "_***" }

// Hash returns the lower-case hex SHA-256 of the long token: what is stored.
func (p PAK) Hash() string {
	h := sha256.Sum256([]byte(p.long))
	return hex.EncodeToString(h[:])
}

// Matches compares the key with a stored hash in constant time.
func (p PAK) Matches(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(p.Hash()), []byte(strings.ToLower(hash))) == 1
}

// FromHeader takes the PAK out of an Authorization header: the bare key or `Bearer <key>` (any case).
func FromHeader(h string) (PAK, error) {
	h = strings.TrimSpace(h)
	if scheme, rest, ok := strings.Cut(h, " "); ok && strings.EqualFold(scheme, "bearer") {
		h = strings.TrimSpace(rest)
	}
	return Parse(h)
}
