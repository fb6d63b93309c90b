// Package transport puts the gateway's use cases on HTTP.
package transport

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-kit/kit/endpoint"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/trail"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
	"github.com/colliery-io/brokkr/services/gateway/internal/live"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

// service is what spans and metrics of the gateway are labelled with.
const service = "brokkr-gateway"

// bodyLimit of the gateway's own routes, in bytes: reports of some ten thousand stacks.
const bodyLimit = 8 << 20

// Config of the handler.
type Config struct {
	Gateway     *app.Gateway
	Guard       *identity.Guard
	Health      *health.Checker
	Metrics     http.Handler
	Registry    prometheus.Registerer
	Log         *slog.Logger
	Sockets     *sockets.Registry
	Live        *live.Hub
	Fleet       *live.Fleet
	Revocations *live.Revocations
	Fallback    http.Handler // what the gateway does not serve itself; nil: answered as not found
	// Edge: the fallback is another process, which sees this one in the caller's place. So limits, keys that fail and agents'
	// certificates are looked at here. Else the fallback looks itself.
	Edge bool
}

// SyncInfo describes the one route that is not in Routes, because its parked requests should hold little memory.
func SyncInfo() rpc.Info {
	return rpc.Info{Op: "sync_agent", Method: http.MethodPost, Path: "/api/v1/agents/{id}/sync", Status: http.StatusOK, Access: identity.AgentItself}
}

// Routes is the table of the gateway's endpoints.
func Routes(g *app.Gateway) []rpc.Route {
	return append(slices.Concat(webhookRoutes(g), diagnosticRoutes(g), workOrderRoutes(g)), []rpc.Route{
		rpc.New(rpc.Info{Op: "verify_pak", Method: http.MethodPost, Path: "/api/v1/auth/pak", Status: http.StatusOK, Access: identity.Authenticated},
			nothing, func(ctx context.Context, _ struct{}) (authResponse, error) { return authOf(identity.Of(ctx)), nil }),
		rpc.New(rpc.Info{Op: "record_heartbeat", Method: http.MethodPost, Path: "/api/v1/agents/{id}/heartbeat", Status: http.StatusNoContent, Access: identity.AgentItself},
			body(rpc.Maybe(rpc.LooseJSON[heartbeatReport])), func(ctx context.Context, r with[heartbeatReport]) (rpc.Empty, error) {
				return rpc.Empty{}, g.Heartbeat(ctx, identity.Of(ctx), r.id, r.body.K8sReachable, r.body.K8sAPILatencyMS)
			}),
		rpc.New(rpc.Info{Op: "get_target_state", Method: http.MethodGet, Path: "/api/v1/agents/{id}/target-state", Status: http.StatusOK, Access: identity.Operate(identity.AgentSelf)},
			mode, func(ctx context.Context, r with[string]) (rpc.Streamed, error) {
				list, err := g.TargetState(ctx, identity.Of(ctx), r.id, r.body)
				return targetState(g, identity.Of(ctx), list), err
			}),
		rpc.ListOf(rpc.Info{Op: "list_events", Method: http.MethodGet, Path: "/api/v1/agents/{id}/events", Status: http.StatusOK, Access: identity.View(identity.AgentSelf)},
			eventsOfOne(), path, func(ctx context.Context, id string, q page.Query) (page.Page[agent.Event], error) {
				return g.Events(ctx, identity.Of(ctx), id, q)
			}, eventOf),
		rpc.New(rpc.Info{Op: "create_event", Method: http.MethodPost, Path: "/api/v1/agents/{id}/events", Status: http.StatusCreated, Access: identity.AgentSelf},
			body(rpc.LooseJSON[wire.AgentEventFrame]), func(ctx context.Context, r with[wire.AgentEventFrame]) (wire.AgentEvent, error) {
				e, err := g.AddEvent(ctx, identity.Of(ctx), r.id, app.NewEvent{
					Agent: r.body.AgentID, Object: r.body.DeploymentObjectID, Type: r.body.EventType, Status: r.body.Status, Message: r.body.Message,
				})
				return eventOf(e), err
			}),
		rpc.New(rpc.Info{Op: "update_health_status", Method: http.MethodPatch, Path: "/api/v1/agents/{id}/health-status", Status: http.StatusOK, Access: identity.AgentSelf},
			body(rpc.LooseJSON[healthStatusUpdate]), func(ctx context.Context, r with[healthStatusUpdate]) (rpc.Empty, error) {
				return rpc.Empty{}, g.Health(ctx, identity.Of(ctx), r.id, each(r.body.DeploymentObjects, healthOf))
			}),
		rpc.New(rpc.Info{Op: "report_telemetry", Method: http.MethodPost, Path: "/api/v1/agents/{id}/telemetry", Status: http.StatusOK, Access: identity.AgentItself},
			body(rpc.LooseJSON[wire.TelemetryRequest]), func(ctx context.Context, r with[wire.TelemetryRequest]) (wire.TelemetryResponse, error) {
				return g.Telemetry(ctx, identity.Of(ctx), r.id, r.body)
			}),
		rpc.New(rpc.Info{Op: "list_ws_connections", Method: http.MethodGet, Path: "/api/v1/admin/ws/connections", Status: http.StatusOK, Access: identity.View(identity.Admin)},
			nothing, func(ctx context.Context, _ struct{}) (connectionsAnswer, error) { return connections(ctx, g), nil }),
		rpc.New(rpc.Info{Op: "get_manifest", Method: http.MethodGet, Path: "/api/v1/manifests/{sha256}", Status: http.StatusOK, Access: identity.AgentAssigned},
			manifest, func(ctx context.Context, r manifestRequest) (manifestAnswer, error) {
				b, err := g.Manifest(ctx, identity.Of(ctx), r.sum)
				return manifestAnswer{bundle: b, request: r}, err
			}),
	}...)
}

// eventsOfOne is agent.EventList without the filter that the path is.
func eventsOfOne() page.List[agent.Event] {
	out := agent.EventList()
	out.Filters = slices.DeleteFunc(out.Filters, func(f page.Filter[agent.Event]) bool { return f.Name == "agent_id" })
	return out
}

// New returns the handler of a gateway.
func New(c Config) http.Handler {
	errors := onError(problem.Writer{Log: c.Log})
	own := mux.NewRouter()
	rpc.Mount(own, Routes(c.Gateway), errors, rpc.Trace(c.Gateway.Tracer), rpc.Measure(c.Registry, service), admit, noted(c.Guard))
	for i, prepare := range []func(*http.Request, tenancy.Principal) (func(context.Context, *session), error){agentSocket(c), stackSocket(c), fleetSocket(c)} {
		info := SocketInfos()[i]
		own.Handle(info.Path, socket(c, info, errors, prepare)).Methods(info.Method).Name(info.Op)
	}
	own.Handle(SyncInfo().Path, syncHandler(c, errors)).Methods(SyncInfo().Method).Name(SyncInfo().Op)
	outer := httpserver.Standard(c.Log, service, bodyLimit, errors, "/healthz", "/readyz", "/health", "/metrics", "/sync", "/heartbeat", "/telemetry", "/live", "/ws/agent")
	limited := c.Guard.Limit(errors, pulse)
	private := outer(keyFromProtocol(limited(c.Guard.Middleware(errors)(own))))

	open := http.NewServeMux()
	open.HandleFunc("GET /healthz", c.Health.Live)
	open.HandleFunc("GET /readyz", c.Health.Ready)
	open.HandleFunc("GET /health", c.Health.Detail)
	open.Handle("GET /metrics", c.Metrics)
	public := outer(open)

	fallback := c.Fallback
	if fallback == nil {
		fallback = outer(limited(httpserver.NotFound(errors)))
	} else if c.Edge {
		fallback = edge(c.Guard, outer, errors, limited(fallback))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var match mux.RouteMatch
		if own.Match(r, &match) && match.MatchErr == nil {
			private.ServeHTTP(w, r)
			return
		}
		if _, pattern := open.Handler(r); pattern != "" {
			public.ServeHTTP(w, r)
			return
		}
		fallback.ServeHTTP(w, r)
	})
}

// edge lets requests pass on whose key is good, and those without one, which the process behind knows what to do with.
func edge(guard *identity.Guard, outer func(http.Handler) http.Handler, errors func(context.Context, http.ResponseWriter, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			if _, err := guard.Authenticate(r); err != nil {
				outer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { errors(r.Context(), w, err) })).ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// pulse tells the requests by which agents live from all others: an agent whose pulse is refused looks dead, so that they have a rate of
// their own that none in order reaches.
func pulse(r *http.Request, p tenancy.Principal) bool {
	return p.Role == tenancy.RoleAgent && (strings.HasSuffix(r.URL.Path, "/sync") || strings.HasSuffix(r.URL.Path, "/heartbeat"))
}

// admit lets only those roles pass that the route's access names.
func admit(i rpc.Info) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if err := identity.Admit(i.Access, identity.Of(ctx).Role); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

// noted lets the audit log know of what anybody else than the agent itself does here. What agents report of themselves leaves
// no entry: it is in their events and statuses, and there would be one for each of them every few seconds.
func noted(guard *identity.Guard) rpc.Middleware {
	return func(i rpc.Info) endpoint.Middleware {
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, request any) (any, error) {
				p := identity.Of(ctx)
				r, ok := request.(*http.Request)
				if !ok || p.Role == tenancy.RoleAgent {
					return next(ctx, request)
				}
				asked := &trail.Request{Actor: audit.ActorOf(p), Source: audit.Source{
					RequestID: r.Header.Get(httpserver.RequestID), UserAgent: r.UserAgent(), Traceparent: telemetry.TraceParent(ctx),
				}, Again: func(ctx context.Context) error {
					_, err := guard.Authenticate(r.WithContext(ctx))
					return err
				}}
				if ip := guard.Client(r); ip.IsValid() {
					asked.Source.IP = ip.String()
				}
				if i.Method != http.MethodGet && i.Op != "verify_pak" {
					asked.Operation = i.Op
				}
				if v := rpc.Var(r, "id"); id.Valid(v) {
					asked.Resource = v
				}
				return next(trail.With(ctx, asked), request)
			}
		}
	}
}

// onError is the problem writer, with a Retry-After also where waiting helps against a refusal.
func onError(p problem.Writer) func(context.Context, http.ResponseWriter, error) {
	return func(ctx context.Context, w http.ResponseWriter, err error) {
		if f, ok := fault.As(err); ok && f.Kind == fault.Forbidden && f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		}
		p.Write(ctx, w, err)
	}
}

func syncHandler(c Config, onError func(context.Context, http.ResponseWriter, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := answerSync(c, r)
		if c.Gateway.Hub.Draining() {
			w.Header().Set("Connection", "close") // the next one goes to another replica
		}
		if err != nil {
			onError(r.Context(), w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer) // an agent that went away asks again
	})
}

func answerSync(c Config, r *http.Request) ([]byte, error) {
	if err := identity.Admit(SyncInfo().Access, identity.Of(r.Context()).Role); err != nil {
		return nil, err
	}
	req, err := rpc.LooseJSON[wire.SyncRequest](r)
	if err != nil {
		return nil, err
	}
	caller := app.Caller{Principal: identity.Of(r.Context()), Again: func(context.Context) (tenancy.Principal, error) { return c.Guard.Authenticate(r) }}
	res, err := c.Gateway.Sync(r.Context(), caller, rpc.Var(r, "id"), req)
	if err != nil {
		return nil, err
	}
	return json.Marshal(res)
}
