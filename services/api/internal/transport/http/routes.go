// Package http is the api's transport: one table of routes a group, the messages of the contract, and who may call.
package http

import (
	"context"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// Prefix of the versioned routes.
const Prefix = "/api/v1"

// Routes returns every route of the api. A new group is one more line here.
func Routes(a *app.App, version string) []rpc.Route {
	var out []rpc.Route
	for _, group := range [][]rpc.Route{
		metaRoutes(a, version),
		observationRoutes(a),
		templateRoutes(a), templatePartRoutes(a),
		agentRoutes(a), agentPartRoutes(a), clusterRoutes(a), clusterListRoutes(a),
		generatorRoutes(a), registrationRoutes(a), credentialRoutes(a), joinRoutes(a),
		stackRoutes(a), stackPartRoutes(a), objectRoutes(a), stackViewRoutes(a), rolloutRoutes(a),
		policyRoutes(a), policyReachRoutes(a), planRoutes(a),
		webhookRoutes(a),
		insightRoutes(a), diagnosticRoutes(a),
		auditRoutes(a), configurationRoutes(a),
		workOrderRoutes(a),
	} {
		out = append(out, group...)
	}
	return out
}

func get[Req, Res any](op, path, access string, d rpc.Decoder[Req], h rpc.Handler[Req, Res]) rpc.Route {
	return rpc.New(rpc.Info{Op: op, Method: http.MethodGet, Path: Prefix + path, Status: http.StatusOK, Access: access}, d, h)
}

// list is a GET of a list, in pages or whole.
func list[Req, T, J any](op, path, access string, l page.List[T], d rpc.Decoder[Req], use rpc.Lister[Req, T], to func(T) J) rpc.Route {
	return rpc.ListOf(listInfo(op, path, access), l, d, use, to)
}

func listInfo(op, path, access string) rpc.Info {
	return rpc.Info{Op: op, Method: http.MethodGet, Path: Prefix + path, Status: http.StatusOK, Access: access}
}

// post is a route that makes something: 201.
func post[Req, Res any](op, path, access string, d rpc.Decoder[Req], h rpc.Handler[Req, Res]) rpc.Route {
	return rpc.New(rpc.Info{Op: op, Method: http.MethodPost, Path: Prefix + path, Status: http.StatusCreated, Access: access}, d, h)
}

// act is a POST that answers 200.
func act[Req, Res any](op, path, access string, d rpc.Decoder[Req], h rpc.Handler[Req, Res]) rpc.Route {
	return rpc.New(rpc.Info{Op: op, Method: http.MethodPost, Path: Prefix + path, Status: http.StatusOK, Access: access}, d, h)
}

func put[Req, Res any](op, path, access string, d rpc.Decoder[Req], h rpc.Handler[Req, Res]) rpc.Route {
	return rpc.New(rpc.Info{Op: op, Method: http.MethodPut, Path: Prefix + path, Status: http.StatusOK, Access: access}, d, h)
}

// del answers 204 without a body.
func del[Req any](op, path, access string, d rpc.Decoder[Req], h func(context.Context, Req) error) rpc.Route {
	return rpc.New(rpc.Info{Op: op, Method: http.MethodDelete, Path: Prefix + path, Status: http.StatusNoContent, Access: access}, d,
		func(ctx context.Context, req Req) (rpc.Empty, error) { return rpc.Empty{}, h(ctx, req) })
}

// named is an id, for the cursors of a list, of what has none: always the same for what has this name among its kind.
func named(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(kind+"/"+name)).String()
}

// tenants is GeneratorList without the choice of those that are none.
func tenants() page.List[tenancy.Generator] {
	out := tenancy.GeneratorList()
	out.Filters = slices.DeleteFunc(out.Filters, func(f page.Filter[tenancy.Generator]) bool { return f.Name == "system" })
	return out
}

type versionJSON struct {
	Version string `json:"version"`
	API     string `json:"api"`
}

func metaRoutes(a *app.App, version string) []rpc.Route {
	return []rpc.Route{
		get("get_version", "/version", Public, none, func(context.Context, struct{}) (versionJSON, error) {
			return versionJSON{Version: version, API: "v1"}, nil
		}),
		act("verify_pak", "/auth/pak", Authenticated, none, func(ctx context.Context, _ struct{}) (authJSON, error) {
			return authOf(who(ctx)), nil
		}),
		list("list_paks", "/paks", view(Admin), tenants(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[tenancy.Generator], error) {
			return a.Tenants(ctx, q)
		}, func(g tenancy.Generator) pakJSON { return pakJSON{ID: g.ID, Name: g.Name} }),
	}
}

func authOf(p tenancy.Principal) authJSON {
	out := authJSON{Admin: p.IsAdmin(), ReadOnly: p.Role == tenancy.RoleViewer, Role: string(p.Role)}
	if p.Agent != "" {
		v := string(p.Agent)
		out.Agent = &v
	}
	if p.Generator != "" {
		v := string(p.Generator)
		out.Generator = &v
	}
	return out
}
