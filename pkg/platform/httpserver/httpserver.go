// Package httpserver is the HTTP plumbing that every service shares: a listener that binds early and drains
// late, and the outer middlewares (request id, trace, recover, limits, access log).
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// RequestID is the header that names a request in answers and logs.
const RequestID = "X-Request-Id"

// Server is a bound listener with its handler.
type Server struct {
	name string
	ln   net.Listener
	srv  *http.Server
	log  *slog.Logger
	// drain is how long requests in flight may take after the stop.
	drain time.Duration
}

// Config of a server.
type Config struct {
	Name  string // in logs: "api", "gateway", "admin"
	Addr  string // host:port; port 0 picks a free one
	TLS   *tls.Config
	Drain time.Duration // default 10 s
	// Headers is how long the headers of a request may take before its connection is closed; default 10 s.
	Headers time.Duration
	// Answers is how long a client may take for a part of an answer, 64 KiB, before its connection is closed; default 30 s.
	Answers time.Duration
	Log     *slog.Logger
}

// Listen binds the address. A port in use is an error that names address and setting.
func Listen(c Config, h http.Handler) (*Server, error) {
	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s: address %s is in use by another process; stop it or set another address", c.Name, c.Addr)
		}
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the rest of it says the address once more
		}
		return nil, fmt.Errorf("%s: cannot listen on %q, give host:port of this machine: %w", c.Name, c.Addr, err)
	}
	if c.TLS != nil {
		ln = tls.NewListener(ln, c.TLS)
	}
	if c.Headers == 0 {
		c.Headers = 10 * time.Second
	}
	if c.Answers == 0 {
		c.Answers = answerPause
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	return &Server{name: c.Name, ln: ln, log: c.Log, drain: c.Drain, srv: &http.Server{
		Handler: patientAnswers(c.Answers, h), ReadHeaderTimeout: c.Headers, IdleTimeout: 2 * time.Minute,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: c.Answers}, // streams have deadlines of their own; this is the connection's
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}}, nil
}

// Addr is the address that the server is bound to.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Run serves until ctx ends, then waits for requests in flight.
func (s *Server) Run(ctx context.Context) error {
	s.log.InfoContext(ctx, "listening", "server", s.name, "address", s.Addr())
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.srv.BaseContext = func(net.Listener) context.Context { return base }
	failed := make(chan error, 1)
	go func() { failed <- s.srv.Serve(s.ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.name, err)
	case <-ctx.Done():
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer stop()
	if err := s.srv.Shutdown(end); err != nil {
		cancel() // requests that hang see their context end
		return errors.Join(fmt.Errorf("drain %s: %w", s.name, err), s.srv.Close())
	}
	return nil
}

// Middleware wraps a handler.
type Middleware func(http.Handler) http.Handler

// Chain applies middlewares, outermost first.
func Chain(h http.Handler, m ...Middleware) http.Handler {
	for i := len(m) - 1; i >= 0; i-- {
		h = m[i](h)
	}
	return h
}

type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Standard is the outer chain of a public listener: trace, request id, access log, recover, body limit (bytes).
// quiet paths are logged at debug level only.
func Standard(log *slog.Logger, service string, bodyLimit int64, onError func(context.Context, http.ResponseWriter, error), quiet ...string) Middleware {
	return func(next http.Handler) http.Handler {
		return Chain(next,
			func(h http.Handler) http.Handler {
				return otelhttp.NewHandler(h, service, otelhttp.WithFilter(func(r *http.Request) bool { return !isQuiet(r.URL.Path, quiet) }))
			},
			requestID, access(log, quiet), recovered(log, onError), limitBody(bodyLimit), PatientBody(bodyPause, bodyTime))
	}
}

func isQuiet(path string, quiet []string) bool {
	for _, q := range quiet {
		if strings.HasSuffix(path, q) {
			return true
		}
	}
	return false
}

func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestID)
		if len(id) == 0 || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return c <= 0x20 || c > 0x7e }) {
			id = uuid.NewString()
			r.Header.Set(RequestID, id)
		}
		w.Header().Set(RequestID, id)
		propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(w.Header()))
		next.ServeHTTP(w, r)
	})
}

func access(log *slog.Logger, quiet []string) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec, start := &recorder{ResponseWriter: w}, time.Now()
			next.ServeHTTP(rec, r)
			level := slog.LevelInfo
			if isQuiet(r.URL.Path, quiet) {
				level = slog.LevelDebug
			}
			log.Log(r.Context(), level, "request", "method", r.Method, "path", r.URL.Path, "status", rec.status,
				"bytes", rec.bytes, "ms", float64(time.Since(start).Microseconds())/1000, "request_id", r.Header.Get(RequestID), "remote", r.RemoteAddr)
		})
	}
}

func recovered(log *slog.Logger, onError func(context.Context, http.ResponseWriter, error)) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					if err != http.ErrAbortHandler { //nolint:errorlint // the very value says that there is nothing to log
						log.ErrorContext(r.Context(), "answer broken off", "error", err.Error())
					}
					panic(http.ErrAbortHandler)
				}
				log.ErrorContext(r.Context(), "panic", "value", fmt.Sprint(v), "stack", string(debug.Stack()))
				onError(r.Context(), w, fault.New(fault.Internal, "internal_error", "internal error"))
			}()
			next.ServeHTTP(w, r)
		})
	}
}

func limitBody(limit int64) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
			next.ServeHTTP(w, r)
		})
	}
}

// NotFound answers what the router does not know, in the contract's error shape.
func NotFound(onError func(context.Context, http.ResponseWriter, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		onError(r.Context(), w, fault.Newf(fault.NotFound, "not_found", "there is no %s", strconv.Quote(r.URL.Path)))
	})
}
