package http

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

// Who may call a route. The middleware admits by role alone, so what it refuses says nothing about what exists; the use
// case then checks whose the thing is, and what is not the caller's is not there (404).
const (
	Public         = "public"                               // anybody, without a credential
	Authenticated  = "any"                                  // every valid credential
	Admin          = "admin"                                // admins
	AgentSelf      = "admin|agent-self"                     // and the agent that the path names
	Agent          = "admin|agent"                          // and agents, for themselves
	Generator      = "admin|generator"                      // and generators, for what is theirs
	GeneratorSelf  = "admin|generator-self"                 // and the generator that the path names
	GeneratorOwner = "admin|generator-owner"                // and the generator that owns the stack
	StackReader    = "admin|generator-owner|agent-assigned" // and the agents that have the stack
)

type rule struct {
	roles         []tenancy.Role
	code, message string // for those who are not admitted
}

// ruleOf returns what an access word means; false for a word that is none.
func ruleOf(access string) (rule, bool) {
	admin, generator, agent := tenancy.RoleAdmin, tenancy.RoleGenerator, tenancy.RoleAgent
	switch access {
	case Authenticated:
		return rule{roles: tenancy.Roles()}, true
	case Admin:
		return rule{[]tenancy.Role{admin}, "admin_required", "only an admin may do this"}, true
	case AgentSelf:
		return rule{[]tenancy.Role{admin, agent}, "agent_pak_required", "only an admin or the agent itself may do this"}, true
	case Agent:
		return rule{[]tenancy.Role{admin, agent}, "forbidden", "only an agent, for itself, or an admin may do this"}, true
	case Generator:
		return rule{[]tenancy.Role{admin, generator}, "generator_required", "only an admin or a generator may do this"}, true
	case GeneratorSelf:
		return rule{[]tenancy.Role{admin, generator}, "not_authorized", "only an admin or the generator itself may do this"}, true
	case GeneratorOwner:
		return rule{[]tenancy.Role{admin, generator}, "stack_not_accessible", "only an admin or the generator that owns the stack may do this"}, true
	case StackReader:
		return rule{[]tenancy.Role{admin, generator, agent}, "stack_not_accessible", "only an admin, the owner or an assigned agent may do this"}, true
	default:
		return rule{}, false
	}
}

// denial is the code for those whom a route does not admit, where the contract has one of its own.
func denial(op string, r rule) error {
	code := r.code
	switch op {
	case "list_stacks":
		code = "stacks_list_denied"
	case "create_stack":
		code = "stack_create_denied"
	case "add_target", "remove_target":
		code = "target_create_denied"
	}
	return fault.New(fault.Forbidden, code, r.message)
}

// authenticator says who makes a request.
type authenticator interface {
	Authenticate(r *http.Request) (tenancy.Principal, error)
}

// authorize authenticates and admits by role. A route whose access word is unknown is denied to everybody.
func authorize(guard authenticator) rpc.Middleware {
	return func(i rpc.Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			if i.Access == Public {
				return next
			}
			r, known := ruleOf(i.Access)
			return func(ctx context.Context, request any) (any, error) {
				req, ok := request.(*http.Request)
				if !ok {
					return nil, fmt.Errorf("%s: request is %T", i.Op, request)
				}
				p, err := guard.Authenticate(req.WithContext(ctx))
				if err != nil {
					return nil, err
				}
				if !known || !slices.Contains(r.roles, p.Role) {
					return nil, denial(i.Op, r)
				}
				return next(identity.With(ctx, p), request)
			}
		}
	}
}

// deadline bounds how long an operation may take.
func deadline(d time.Duration) rpc.Middleware {
	return func(rpc.Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, request any) (any, error) {
				ctx, cancel := context.WithTimeout(ctx, d)
				defer cancel()
				return next(ctx, request)
			}
		}
	}
}
