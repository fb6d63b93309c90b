package http

import (
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/api/internal/transport/docs"
)

// service names the api in metrics, spans and logs.
const service = "brokkr-api"

// Parts are what the handler is made of.
type Parts struct {
	Routes    []rpc.Route
	Guard     authenticator
	Health    *health.Checker
	Telemetry *telemetry.Telemetry
	OpenAPI   func() ([]byte, error) // the document as JSON
	BodyLimit int64                  // bytes
	Timeout   time.Duration
	UI        bool // serve Swagger UI
	Ledger    ledger
	Clock     func() time.Time
}

// New returns the whole public face of the api. It registers metrics, so it is made once a registry.
func New(p Parts) http.Handler {
	errs := problem.Writer{Log: p.Telemetry.Log}
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	m.NotFoundHandler = httpserver.NotFound(errs.Write)
	m.MethodNotAllowedHandler = http.HandlerFunc(methodNotAllowed)
	m.HandleFunc("/healthz", p.Health.Live).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/readyz", p.Health.Ready).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/health", p.Health.Detail).Methods(http.MethodGet, http.MethodHead)
	m.Handle("/metrics", p.Telemetry.Metrics()).Methods(http.MethodGet)
	m.HandleFunc("/docs/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		document, err := p.OpenAPI()
		if err != nil {
			errs.Write(r.Context(), w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	}).Methods(http.MethodGet)
	if p.UI {
		m.PathPrefix(docs.Prefix).Methods(http.MethodGet, http.MethodHead).Handler(docs.Handler(m.NotFoundHandler))
	}
	rpc.Mount(m, p.Routes, errs.Write,
		rpc.Trace(p.Telemetry.Tracer(service)), rpc.Measure(p.Telemetry.Registry, service), deadline(p.Timeout), authorize(p.Guard), rpc.IfMatch,
		newOnce(p).middleware)
	limited := p.Guard.Limit(errs.Write, func(*http.Request, tenancy.Principal) bool { return false })(m)
	return httpserver.Standard(p.Telemetry.Log, service, p.BodyLimit, errs.Write, "/healthz", "/readyz", "/metrics")(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if aboutProcess(r.URL.Path) {
				m.ServeHTTP(w, r)
				return
			}
			limited.ServeHTTP(w, r)
		}))
}

// aboutProcess tells what probes and monitoring ask, which is never limited.
func aboutProcess(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/health", "/metrics":
		return true
	default:
		return false
	}
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusMethodNotAllowed)
	_, _ = w.Write([]byte(`{"code":"method_not_allowed","message":"` + r.Method + ` is not served here"}` + "\n"))
}
