package tenancy

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// MaxGrace is the longest overlap of a rotation.
const MaxGrace = 7 * 24 * time.Hour

// CheckGrace refuses overlaps that are negative or longer than MaxGrace.
func CheckGrace(grace time.Duration) error {
	if grace < 0 || grace > MaxGrace {
		return fault.Newf(fault.Invalid, "invalid_grace", "grace_seconds must be 0 to %d", int(MaxGrace.Seconds()))
	}
	return nil
}

// Ended is the refusal of one whose credential holds no more, though the request was let in with it.
func Ended() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "the credential has ended since the request was let in")
}

// MayMint reports whether p may make a credential of this role and subject: nobody makes one above their own role, and
// what is no staff makes its own alone.
func (p Principal) MayMint(role Role, g GeneratorID, a AgentID) bool {
	switch p.Role {
	case RoleAdmin:
		return true
	case RoleOperator:
		return role == RoleViewer || role == RoleGenerator || role == RoleAgent
	case RoleGenerator:
		return role == RoleGenerator && p.IsGenerator(g)
	case RoleAgent:
		return role == RoleAgent && p.IsAgent(a)
	case RoleViewer:
		return false
	default:
		return false
	}
}

// Manages reports whether p may rotate and revoke c: its own, and those that it may make.
func (p Principal) Manages(c Credential) bool {
	return (p.Credential != "" && p.Credential == c.ID) || p.MayMint(c.Role, c.Generator, c.Agent)
}

// Caps returns the end of a credential that p makes for c's role and subject, of which end is wanted (nil: none): no key
// makes a key of its own standing that outlives it, so that one which ends cannot prolong itself. Admins are free.
func (p Principal) Caps(c Credential, end *time.Time) *time.Time {
	if p.Role == RoleAdmin || p.Until.IsZero() || (p.Credential != c.ID && p.Role == RoleOperator) {
		return end
	}
	if end == nil || p.Until.Before(*end) {
		until := p.Until
		return &until
	}
	return end
}

// Holds reports whether c is inside s: All holds every credential, a generator and an agent their own.
func (s Scope) Holds(c Credential) bool {
	return s.All || (s.Generator != "" && c.Generator == s.Generator) || (s.Agent != "" && c.Agent == s.Agent)
}
