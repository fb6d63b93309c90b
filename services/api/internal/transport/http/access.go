package http

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/trail"
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
	case "list_stacks", "list_deleted_stacks":
		code = "stacks_list_denied"
	case "create_stack":
		code = "stack_create_denied"
	case "list_templates", "create_template":
		code = "templates_not_accessible"
	case "get_template", "templates_list_labels", "templates_list_annotations":
		return fault.New(fault.Forbidden, "template_not_accessible", "only an admin or a generator that sees the template may do this")
	case "update_template", "delete_template", "templates_add_label", "templates_remove_label", "templates_add_annotation", "templates_remove_annotation":
		return fault.New(fault.Forbidden, "template_not_owned", "only an admin or the generator that owns the template may do this")
	case "add_target", "remove_target":
		code = "target_create_denied"
	}
	return fault.New(fault.Forbidden, code, f.Message)
}

// authenticator says who makes a request.
type authenticator interface {
	// Limit lets no more requests pass than are allowed, but for free ones.
	Limit(onError func(context.Context, http.ResponseWriter, error), free func(*http.Request, tenancy.Principal) bool) func(http.Handler) http.Handler
	Authenticate(r *http.Request) (tenancy.Principal, error)
	// Try runs f, unless the source of r has failed too often; a refusal by f (fault.Forbidden) counts as a failure.
	Try(r *http.Request, f func() error) error
	// Client is the address that r comes from.
	Client(r *http.Request) netip.Addr
}

// authorize authenticates and admits by role. A route whose access word is unknown is denied to everybody.
func authorize(guard authenticator) rpc.Middleware {
	return func(i rpc.Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			if i.Op == joinOp {
				return guarded(guard, i, next)
			}
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
				by := asked(guard, i, p, req.WithContext(ctx))
				by.Again = func(ctx context.Context) error {
					_, err := guard.Authenticate(req.WithContext(ctx))
					return err
				}
				return next(trail.With(identity.With(ctx, p), by), request)
			}
		}
	}
}

// guarded is a route that anybody may call, and whose refusals are counted against their source like failed
// authentications: it takes a secret of another kind than a PAK.
func guarded(guard authenticator, i rpc.Info, next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		req, ok := request.(*http.Request)
		if !ok {
			return nil, fmt.Errorf("%s: request is %T", i.Op, request)
		}
		var out any
		err := guard.Try(req, func() (err error) {
			out, err = next(trail.With(ctx, joining(guard, i, req.WithContext(ctx))), request)
			return err
		})
		return out, err
	}
}

// joining is what the audit log notes of an agent that is none yet.
func joining(guard authenticator, i rpc.Info, r *http.Request) *trail.Request {
	out := asked(guard, i, tenancy.Principal{}, r)
	out.Actor = audit.Actor{Type: audit.System}
	return out
}

// asked is what the audit log notes of a request, beside what the use case says.
func asked(guard authenticator, i rpc.Info, p tenancy.Principal, r *http.Request) *trail.Request {
	out := &trail.Request{Actor: audit.ActorOf(p), Source: audit.Source{
		RequestID: r.Header.Get(httpserver.RequestID), UserAgent: r.UserAgent(), Traceparent: telemetry.TraceParent(r.Context()),
	}}
	if ip := guard.Client(r); ip.IsValid() {
		out.Source.IP = ip.String()
	}
	if changes(i) {
		out.Operation = i.Op
	}
	if v := rpc.Var(r, "id"); id.Valid(v) {
		out.Resource = v
	}
	return out
}

// changes reports whether a route changes something, so that its transactions leave an entry in the audit log.
func changes(i rpc.Info) bool {
	return i.Method != http.MethodGet && i.Op != "verify_pak" && i.Op != planOp
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
