package httpserver

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// Secure tells browsers what they must not make of any answer: guess its type, show it in a frame, or say where a link in it
// was followed from; and, where the answer came by TLS, to come without TLS any more.
func Secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// CORS lets the pages of some origins call a server from browsers. Credentials of browsers (cookies) are never allowed: keys
// travel in Authorization. It is safe for concurrent use.
type CORS struct {
	origins atomic.Pointer[map[string]bool]
}

// NewCORS allows these origins, scheme://host[:port], and no others; without any nothing is allowed.
func NewCORS(origins []string) *CORS {
	c := &CORS{}
	c.Configure(origins)
	return c
}

// Configure allows other origins from now on.
func (c *CORS) Configure(origins []string) {
	m := make(map[string]bool, len(origins))
	for _, o := range origins {
		m[o] = true
	}
	c.origins.Store(&m)
}

// CheckOrigin says why a text is not an origin that can be allowed.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case strings.Contains(origin, "*"):
		return fmt.Errorf("%q has a wildcard: name each origin", origin)
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.String() != u.Scheme+"://"+u.Host:
		return fmt.Errorf("%q is not scheme://host or scheme://host:port", origin)
	case strings.ToLower(origin) != origin:
		return fmt.Errorf("%q has capital letters; browsers send origins without", origin)
	default:
		return nil
	}
}

// What pages of allowed origins may send and read beside what browsers allow anyway.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id, Traceparent, Tracestate"
	corsExposed = "ETag, Link, Location, Retry-After, X-Total-Count, X-Request-Id, Traceparent, Idempotency-Replayed"
	corsMaxAge  = "600" // seconds
)

// Middleware answers browsers that ask whether they may, and tells them that they may read the answer.
func (c *CORS) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := *c.origins.Load()
		if len(allowed) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); allowed[origin] {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExposed)
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", corsMethods)
				h.Set("Access-Control-Allow-Headers", corsHeaders)
				h.Set("Access-Control-Max-Age", corsMaxAge)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// ForBrowsers are the headers that Secure and CORS set. Whoever passes on an answer of another server drops that server's.
func ForBrowsers() []string {
	return []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Strict-Transport-Security", "Access-Control-Allow-Origin",
		"Access-Control-Expose-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"}
}
