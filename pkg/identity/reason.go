package identity

import (
	"errors"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Reason says why an authentication failed. It is for metrics and logs: callers who fail are told nothing but 401 or 429.
type Reason string

// The reasons.
const (
	ReasonMissing     Reason = "missing"     // no Authorization header
	ReasonMalformed   Reason = "malformed"   // not a PAK
	ReasonUnknown     Reason = "unknown"     // no credential has this short token
	ReasonWrong       Reason = "wrong"       // the long token does not match
	ReasonExpired     Reason = "expired"     // it was valid once
	ReasonRevoked     Reason = "revoked"     // it was taken back
	ReasonInactive    Reason = "inactive"    // its generator is inactive
	ReasonLimited     Reason = "limited"     // too many failures from this source: not looked at
	ReasonUnavailable Reason = "unavailable" // the store could not be asked
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonMissing, ReasonMalformed, ReasonUnknown, ReasonWrong, ReasonExpired, ReasonRevoked, ReasonInactive, ReasonLimited, ReasonUnavailable,
	}
}

// Error makes a Reason the hidden cause of a fault.
func (r Reason) Error() string { return "authentication failed: " + string(r) }

// ReasonOf returns why err, which came from a Verifier or a Guard, failed; empty for nil.
func ReasonOf(err error) Reason {
	var r Reason
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return r
	default:
		return ReasonUnavailable
	}
}

func unauthorized(r Reason) error {
	return fault.New(fault.Unauthenticated, "unauthorized", "the PAK is missing, unknown, wrong, expired or revoked").Because(r)
}
