package identity

import (
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Who may call a route: words joined by "|", the same in the route tables of all services and in the OpenAPI document
// (x-brokkr-access). A word admits a role, so what is refused by it says nothing about what exists; the use case then
// checks whose the thing is, and what is not the caller's is not there.
const (
	Public        = "public"                               // anybody, without a credential
	Authenticated = "any"                                  // every valid credential
	Admin         = "admin"                                // admins
	AgentItself   = "agent-self"                           // the agent that the path names, nobody else
	AgentAssigned = "agent-assigned"                       // agents, for what is assigned to them
	AgentSelf     = "admin|agent-self"                     // admins and the agent that the path names
	Agent         = "admin|agent"                          // and agents, for themselves
	Generator     = "admin|generator"                      // and generators, for what is theirs
	GeneratorSelf = "admin|generator-self"                 // and the generator that the path names
	StackOwner    = "admin|generator-owner"                // and the generator that owns the thing
	StackReader   = "admin|generator-owner|agent-assigned" // and the agents that have it
)

// Operate is access, an access that admins have, for operators too: the changes of every day.
func Operate(access string) string { return strings.Replace(access, "admin", "admin|operator", 1) }

// View is access, an access that admins have, for operators and viewers too: what shows no secret and changes nothing.
func View(access string) string { return strings.Replace(access, "admin", "admin|operator|viewer", 1) }

// roleOf returns the role that a word of an access admits; empty for one that admits none.
func roleOf(word string) tenancy.Role {
	switch word {
	case "admin", "operator", "viewer":
		return tenancy.Role(word)
	case "generator", "generator-self", "generator-owner":
		return tenancy.RoleGenerator
	case "agent", "agent-self", "agent-assigned":
		return tenancy.RoleAgent
	default:
		return ""
	}
}

// Words returns the words of an access, and false if one of them is unknown.
func Words(access string) ([]string, bool) {
	words := strings.Split(access, "|")
	if len(words) == 1 && (access == Public || access == Authenticated) {
		return words, true
	}
	return words, !slices.ContainsFunc(words, func(w string) bool { return roleOf(w) == "" })
}

// Admit returns nil if the access admits the role, and else a Forbidden that says who is admitted. An access with a
// word that is unknown admits nobody.
func Admit(access string, role tenancy.Role) error {
	words, known := Words(access)
	if known && (access == Public || access == Authenticated && slices.Contains(tenancy.Roles(), role)) {
		return nil
	}
	if known && slices.ContainsFunc(words, func(w string) bool { return roleOf(w) == role }) {
		return nil
	}
	has := func(word string) bool { return slices.Contains(words, word) }
	staff := "an admin"
	if has("operator") {
		staff = "an admin or operator"
	}
	switch {
	case role == tenancy.RoleViewer && has("operator"):
		return fault.New(fault.Forbidden, "operator_required", "only "+staff+" may do this; a viewer's credential reads, and sees no manifests or secrets")
	case (role == tenancy.RoleViewer || role == tenancy.RoleOperator) && has("admin"):
		return fault.Newf(fault.Forbidden, "admin_required", "only an admin may do this; this credential is of role %s", role)
	case has("generator"):
		return fault.New(fault.Forbidden, "generator_required", "only "+staff+" or a generator may do this")
	case has("generator-self"):
		return fault.New(fault.Forbidden, "not_authorized", "only "+staff+" or the generator itself may do this")
	case has("generator-owner") && has("agent-assigned"):
		return fault.New(fault.Forbidden, "stack_not_accessible", "only "+staff+", the owner or an assigned agent may do this")
	case has("generator-owner"):
		return fault.New(fault.Forbidden, "stack_not_accessible", "only "+staff+" or the generator that owns the stack may do this")
	case has("agent-self") && !has("admin"), has("agent-assigned"):
		return fault.New(fault.Forbidden, "agent_pak_required", "this needs the PAK of the agent itself")
	case has("agent-self"):
		return fault.New(fault.Forbidden, "agent_pak_required", "only "+staff+" or the agent itself may do this")
	case has("agent"):
		return fault.New(fault.Forbidden, "forbidden", "only an agent, for itself, or "+staff+" may do this")
	default:
		return fault.New(fault.Forbidden, "admin_required", "only "+staff+" may do this")
	}
}
