package http

import (
	"context"
	"fmt"
	"net/http"
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
	Public         = identity.Public
	Authenticated  = identity.Authenticated
	Admin          = identity.Admin
	AgentSelf      = identity.AgentSelf
	Agent          = identity.Agent
	Generator      = identity.Generator
	GeneratorSelf  = identity.GeneratorSelf
	GeneratorOwner = identity.StackOwner
	StackReader    = identity.StackReader
)

// operate lets operators call too, view operators and viewers.
func operate(access string) string { return identity.Operate(access) }
func view(access string) string    { return identity.View(access) }

// denial is the refusal of a principal that a route does not admit, with the code that the contract has for some.
func denial(op string, p tenancy.Principal, refused error) error {
	f, ok := fault.As(refused)
	if !ok || p.IsStaff() {
		return refused
	}
	code := f.Code
	switch op {
	case "list_stacks":
		code = "stacks_list_denied"
	case "create_stack":
		code = "stack_create_denied"
	case "add_target", "remove_target":
		code = "target_create_denied"
	}
	return fault.New(fault.Forbidden, code, f.Message)
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
			return func(ctx context.Context, request any) (any, error) {
				req, ok := request.(*http.Request)
				if !ok {
					return nil, fmt.Errorf("%s: request is %T", i.Op, request)
				}
				p, err := guard.Authenticate(req.WithContext(ctx))
				if err != nil {
					return nil, err
				}
				if err := identity.Admit(i.Access, p.Role); err != nil {
					return nil, denial(i.Op, p, err)
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
