package identity_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
)

func request(from, authorization string, forwarded ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = from
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	return r
}

// counters counts by label.
type counters map[string]int

func (c counters) CountBy(_, _, _, _ string, values ...string) func(string) {
	for _, v := range values {
		c[v] = 0
	}
	return func(value string) { c[value]++ }
}

// kind is how the guard answers.
func kind(g *identity.Guard, r *http.Request) string {
	_, err := g.Authenticate(r)
	if err == nil {
		return "ok"
	}
	return fault.KindOf(err).String()
}

func TestGuardLimitsFailuresOfASource(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		failures := counters{}
		g := identity.NewGuard(f.v, identity.GuardConfig{Service: "s", PerMinute: 3}, failures)
		known, fresh := f.credential(nil), f.credential(nil)
		if got := kind(g, request("192.0.2.1:1", "Bearer "+known.Reveal())); got != "ok" {
			t.Fatalf("good key: got %s", got)
		}
		for range 3 {
			if got := kind(g, request("192.0.2.1:2", "Bearer nonsense")); got != "unauthenticated" {
				t.Fatalf("bad key: got %s, want unauthenticated", got)
			}
		}
		_, err := g.Authenticate(request("192.0.2.1:3", ""))
		limited, ok := fault.As(err)
		if !ok || limited.Kind != fault.Limited || limited.RetryAfter <= 0 || limited.RetryAfter > 21*time.Second {
			t.Fatalf("after 3 failures: got %v, want Limited with a time of at most 20s", err)
		}
		before := f.creds.lookups
		if got := kind(g, request("192.0.2.1:4", fresh.Reveal())); got != "ok" || f.creds.lookups != before+1 {
			t.Errorf("a good key of a limited source that is not known here: got %s and %d look-ups, want ok and one", got, f.creds.lookups-before)
		}
		if got := kind(g, request("192.0.2.1:5", known.Reveal())); got != "ok" {
			t.Errorf("a known key of a limited source: got %s, want ok", got)
		}
		if got := kind(g, request("192.0.2.2:1", fresh.Reveal())); got != "ok" {
			t.Errorf("another source: got %s, want ok", got)
		}
		time.Sleep(limited.RetryAfter)
		if got := kind(g, request("192.0.2.1:6", "Bearer nonsense")); got != "unauthenticated" {
			t.Errorf("after the time: got %s, want one more try", got)
		}
		time.Sleep(2 * time.Minute)
		for range 3 {
			kind(g, request("192.0.2.1:7", "Bearer nonsense"))
		}
		if got := kind(g, request("192.0.2.1:8", "Bearer nonsense")); got != "limited" {
			t.Errorf("whole again: got %s after 3 failures, want no more than 3", got)
		}
		if failures["malformed"] != 7 || failures["limited"] != 2 || len(failures) != len(identity.Reasons())+3 {
			t.Errorf("counted: got %v, want 7 malformed, 2 limited and a place for each reason", failures)
		}
	})
}

func TestGuardTakesOtherLimitsAtWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g := identity.NewGuard(f.v, identity.GuardConfig{Service: "s", PerMinute: 1}, counters{})
		bad := func() string { return kind(g, request("192.0.2.1:1", "Bearer nonsense", "198.51.100.7")) }
		bad()
		if got := bad(); got != "limited" {
			t.Fatalf("after one failure: got %s, want limited", got)
		}
		g.Configure(identity.GuardConfig{Service: "s", PerMinute: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		if got := bad(); got != "unauthenticated" {
			t.Errorf("the peer is trusted now: got %s, want another source", got)
		}
		g.Configure(identity.GuardConfig{Service: "s", PerMinute: 120})
		time.Sleep(time.Second)
		for range 2 {
			if got := bad(); got != "unauthenticated" {
				t.Errorf("two a second: got %s, want unauthenticated", got)
			}
		}
		if got := bad(); got != "limited" {
			t.Errorf("what failed before counts on: got %s, want limited", got)
		}
	})
}

func TestAnAgentsKeyNeedsItsCertificate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g := identity.NewGuard(f.v, identity.GuardConfig{Service: "s", AgentCertificates: true}, counters{})
		admin := f.credential(nil)
		a := agent.Agent{ID: agent.ID(uuid.NewString()), Name: "a", ClusterName: "c", Status: agent.Active, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := f.store.Agents().Insert(f.Context(), a); err != nil {
			t.Fatal(err)
		}
		ofAgent := f.credential(func(c *tenancy.Credential) { c.Role, c.Agent = tenancy.RoleAgent, a.ID })
		ask := func(key pak.PAK, state *tls.ConnectionState) string {
			r := request("192.0.2.1:1", key.Reveal())
			r.TLS = state
			_, err := g.Authenticate(r)
			return fault.CodeOf(err)
		}
		verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
		if got := []string{ask(ofAgent, nil), ask(ofAgent, &tls.ConnectionState{}), ask(ofAgent, verified), ask(admin, nil)}; got[0] != "client_certificate_required" ||
			got[1] != "client_certificate_required" || got[2] != fault.CodeOf(nil) || got[3] != fault.CodeOf(nil) {
			t.Errorf("got %q, want agents without a verified certificate refused and nobody else", got)
		}
	})
}

func TestGuardKnowsItsSources(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, tt := range map[string]struct {
		first, second *http.Request
		same          bool
	}{
		"OneIPv6Network":      {request("[2001:db8::1]:1", "x"), request("[2001:db8::2]:1", "x"), true},
		"TwoIPv6Networks":     {request("[2001:db8::1]:1", "x"), request("[2001:db8:0:1::1]:1", "x"), false},
		"MappedIPv4":          {request("[::ffff:192.0.2.1]:1", "x"), request("192.0.2.1:1", "x"), true},
		"BehindATrustedProxy": {request("10.0.0.1:1", "x", "192.0.2.1"), request("10.0.0.1:1", "x", "192.0.2.2"), false},
		"ClientsOwnHeader":    {request("10.0.0.1:1", "x", "198.51.100.1, 192.0.2.1"), request("10.0.0.1:1", "x", "198.51.100.2, 192.0.2.1"), true},
		"TwoHeaders":          {request("10.0.0.1:1", "x", "192.0.2.1", "10.1.1.1"), request("10.0.0.2:1", "x", "192.0.2.1"), true},
		"HeaderWithoutAProxy": {request("192.0.2.1:1", "x", "198.51.100.1"), request("192.0.2.1:1", "x", "198.51.100.2"), true},
		"ProxyWithoutAHeader": {request("10.0.0.1:1", "x"), request("10.0.0.2:1", "x"), false},
		"NonsenseFromAProxy":  {request("10.0.0.1:1", "x", "nonsense"), request("10.0.0.1:1", "x"), true},
		"NoAddress":           {request("@", "x"), request("pipe", "x"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(f *fixture) {
				g := identity.NewGuard(f.v, identity.GuardConfig{PerMinute: 1, TrustedProxies: proxies}, counters{})
				kind(g, tt.first)
				if got := kind(g, tt.second) == "limited"; got != tt.same {
					t.Errorf("second is limited: got %v, want %v", got, tt.same)
				}
			})
		})
	}
}

func TestGuardForgetsTheOldestSource(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g := identity.NewGuard(f.v, identity.GuardConfig{PerMinute: 1, MaxSources: 2}, counters{})
		for i := range 3 {
			kind(g, request(fmt.Sprintf("192.0.2.%d:1", i), "x"))
		}
		for i, want := range []string{"limited", "limited"} {
			if got := kind(g, request(fmt.Sprintf("192.0.2.%d:1", i+1), "x")); got != want {
				t.Errorf("source %d: got %s, want %s", i+1, got, want)
			}
		}
		if got := kind(g, request("192.0.2.0:1", "x")); got != "unauthenticated" {
			t.Errorf("the oldest: got %s, want it forgotten", got)
		}
	})
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		g := identity.NewGuard(f.v, identity.GuardConfig{}, counters{})
		var seen error
		h := g.Middleware(func(_ context.Context, w http.ResponseWriter, err error) {
			seen = err
			w.WriteHeader(http.StatusTeapot)
		})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, identity.Of(r.Context()).Role)
		}))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, request("192.0.2.1:1", f.credential(nil).Reveal()))
		if rec.Body.String() != "admin" {
			t.Errorf("with a key: got %q, want the principal in the context", rec.Body)
		}
		rec = httptest.NewRecorder()
		h.ServeHTTP(rec, request("192.0.2.1:1", ""))
		if rec.Code != http.StatusTeapot || identity.ReasonOf(seen) != identity.ReasonMissing {
			t.Errorf("without: got %d and %v, want the error writer with reason missing", rec.Code, seen)
		}
		if p := identity.Of(f.Context()); p.Role != "" || p.IsAdmin() {
			t.Errorf("no principal: got %+v, want nobody", p)
		}
		if _, err := f.v.Verify(f.Context(), pak.PAK{}); err == nil {
			t.Error("the zero key was verified")
		}
	})
}
