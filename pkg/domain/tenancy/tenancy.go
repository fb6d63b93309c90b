// Package tenancy holds who may act and in whose name: generators (the tenants), credentials, principals,
// the scope of a read, and the two-sided consent (registration) between an agent and a generator.
package tenancy

import (
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Ids. They are UUID texts; see package id.
type (
	GeneratorID    string
	CredentialID   string
	RegistrationID string
	// AgentID identifies an agent. It lives here because consent and scopes name agents; package agent aliases it.
	AgentID string
)

// Names of the two generators that exist from the first start.
const (
	SystemGenerator = "__system__"      // owns what belongs to no tenant; never a tenant itself
	AdminGenerator  = "admin-generator" // owns what an admin creates without naming a generator
)

// RegistrationPolicy says what an agent's own request for registration needs.
type RegistrationPolicy string

// The policies; the zero value of a new generator is PolicyApproval.
const (
	PolicyOpen     RegistrationPolicy = "open"     // approved at once
	PolicyApproval RegistrationPolicy = "approval" // waits for the generator or an admin
	PolicyClosed   RegistrationPolicy = "closed"   // refused
)

// Valid reports whether p is one of the policies.
func (p RegistrationPolicy) Valid() bool {
	return slices.Contains([]RegistrationPolicy{PolicyOpen, PolicyApproval, PolicyClosed}, p)
}

// Generator is a producer of stacks and the tenant of Brokkr.
type Generator struct {
	ID                 GeneratorID
	Name               string // unique among live generators
	Description        *string
	Active             bool // its keys are good; what it has published stays as it is if not
	System             bool
	RegistrationPolicy RegistrationPolicy
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletedAt          *time.Time
	LastActiveAt       *time.Time
}

// CheckName refuses names that are empty, longer than 255 bytes, or hold control characters.
func CheckName(code, what, name string) error {
	if strings.TrimSpace(name) == "" {
		return fault.Newf(fault.Invalid, code, "%s is empty", what)
	}
	if len(name) > 255 {
		return fault.Newf(fault.Invalid, code, "%s is longer than 255 bytes", what)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return fault.Newf(fault.Invalid, code, "%s contains control characters", what)
	}
	return nil
}

// Role is what a credential is for.
type Role string

// The roles. Admin, operator and viewer are people and machines of the platform; generator and agent are subjects.
const (
	RoleAdmin     Role = "admin"
	RoleOperator  Role = "operator"
	RoleViewer    Role = "viewer"
	RoleGenerator Role = "generator"
	RoleAgent     Role = "agent"
)

// Roles returns every role.
func Roles() []Role { return []Role{RoleAdmin, RoleOperator, RoleViewer, RoleGenerator, RoleAgent} }

// Credential is one PAK of a subject, as stored.
type Credential struct {
	ID         CredentialID
	Name       string
	Role       Role
	Generator  GeneratorID // set when Role is RoleGenerator
	Agent      AgentID     // set when Role is RoleAgent
	Short      string      // indexed, unique
	Hash       string      // lower-case hex SHA-256 of the long token
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	LastUsedAt *time.Time
	Suspended  bool // the generator whose it is is inactive now; stores tell it, and are not told
}

// Usable reports whether c has not ended at now. It authenticates then, unless it is suspended.
func (c Credential) Usable(now time.Time) bool {
	return (c.RevokedAt == nil || now.Before(*c.RevokedAt)) && (c.ExpiresAt == nil || now.Before(*c.ExpiresAt))
}

// Ends returns from when on c cannot authenticate, zero if nothing ends it yet.
func (c Credential) Ends() time.Time {
	var end time.Time
	for _, t := range []*time.Time{c.ExpiresAt, c.RevokedAt} {
		if t != nil && (end.IsZero() || t.Before(end)) {
			end = *t
		}
	}
	return end
}

// Principal is who makes a request, from the credential alone.
type Principal struct {
	Credential CredentialID
	Short      string
	Role       Role
	Generator  GeneratorID
	Agent      AgentID
	Until      time.Time // when the credential ends; zero if nothing ends it yet
}

// Of returns the principal that c authenticates.
func Of(c Credential) Principal {
	return Principal{Credential: c.ID, Short: c.Short, Role: c.Role, Generator: c.Generator, Agent: c.Agent, Until: c.Ends()}
}

// IsAdmin reports whether p may do everything.
func (p Principal) IsAdmin() bool { return p.Role == RoleAdmin }

// IsStaff reports whether p is of the platform itself and acts for no tenant: what p may do is said by its role alone,
// and whose a thing is does not matter.
func (p Principal) IsStaff() bool {
	return p.Role == RoleAdmin || p.Role == RoleOperator || p.Role == RoleViewer
}

// IsAgent reports whether p is the agent with this id.
func (p Principal) IsAgent(a AgentID) bool { return p.Role == RoleAgent && a != "" && p.Agent == a }

// IsGenerator reports whether p is the generator with this id.
func (p Principal) IsGenerator(g GeneratorID) bool {
	return p.Role == RoleGenerator && g != "" && p.Generator == g
}

// Scope bounds what a repository method sees. Exactly one of the fields is set; the zero Scope sees nothing.
type Scope struct {
	All       bool        // admin, and the control plane's own loops
	Generator GeneratorID // what this generator owns, and agents with which it has an approved registration
	Agent     AgentID     // this agent and what is assigned to it
}

// Everything is the scope of admins and of the control plane itself.
func Everything() Scope { return Scope{All: true} }

// ScopeOf returns the scope in which p reads.
func ScopeOf(p Principal) Scope {
	switch p.Role {
	case RoleAdmin, RoleOperator, RoleViewer:
		return Scope{All: true}
	case RoleGenerator:
		return Scope{Generator: p.Generator}
	case RoleAgent:
		return Scope{Agent: p.Agent}
	default:
		return Scope{}
	}
}

// Owns reports whether something of generator g is inside s as its owner sees it.
func (s Scope) Owns(g GeneratorID) bool { return s.All || (g != "" && s.Generator == g) }

// RegistrationState is where a registration stands.
type RegistrationState string

// The states. Nothing crosses between agent and generator unless Approved.
const (
	RegistrationPending  RegistrationState = "pending"
	RegistrationApproved RegistrationState = "approved"
)

// Registration is the consent between an agent and a generator.
type Registration struct {
	ID           RegistrationID
	Agent        AgentID
	Generator    GeneratorID
	State        RegistrationState
	RegisteredAt time.Time
}

// Request returns the state of a registration that an agent asks for itself, or Forbidden if the generator is closed.
func (p RegistrationPolicy) Request() (RegistrationState, error) {
	switch p {
	case PolicyOpen:
		return RegistrationApproved, nil
	case PolicyClosed:
		return "", fault.New(fault.Forbidden, "forbidden", "the generator accepts no registrations (registration_policy closed)")
	case PolicyApproval:
		return RegistrationPending, nil
	default:
		return RegistrationPending, nil
	}
}
