package identity

import (
	"cmp"
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Defaults of a Guard.
const (
	defaultPerMinute  = 60
	defaultMaxSources = 10_000
	maxCredentials    = 100_000 // whose requests are counted at a time
)

// GuardConfig of a Guard.
type GuardConfig struct {
	Service    string // names the service in metrics
	PerMinute  int    // failures that one source may make in a minute; 60 if zero
	MaxSources int    // that are remembered at a time; 10,000 if zero
	// TrustedProxies are believed when they name the client in X-Forwarded-For. Without them the source is the peer.
	TrustedProxies []netip.Prefix
	// Requests that Limit lets pass in a second, on average; 0: as many as come.
	SourceRate     int // of one source, with no credential that is remembered as good
	CredentialRate int // of one credential
	PulseRate      int // of one agent, of those that are free else
	// AgentCertificates: an agent's key is good only on a connection whose certificate was verified.
	AgentCertificates bool
}

// Guard authenticates requests and limits the failures of each source (an IPv4 address or an IPv6 /64): never more are under way
// than it may have still. A source that has failed too often is answered Limited without asking the store, except for keys that
// are known here, and a few a second of keys that have not failed themselves: so a stranger behind the same address
// locks nobody out, whether he was there before or not. It is safe for concurrent use.
type Guard struct {
	verifier *Verifier
	config   atomic.Pointer[GuardConfig]
	count    func(reason string)
	tooMany  func(by string)

	visitors    *buckets[netip.Addr]
	strangers   *buckets[netip.Addr]
	credentials *buckets[tenancy.CredentialID]
	agents      *buckets[tenancy.AgentID]

	mu      sync.Mutex
	bad     map[string]struct{} // hashes of keys that failed
	recent  *list.List          // of *source, most recently failed first
	sources map[netip.Addr]*list.Element
}

// Counters makes metrics; telemetry.Telemetry does.
type Counters interface {
	// CountBy makes a counter of the service with one label, of which all values are known, and returns what counts.
	CountBy(service, name, help, label string, values ...string) func(value string)
}

// NewGuard returns a guard whose failures are counted by reason, never by source.
func NewGuard(v *Verifier, c GuardConfig, metrics Counters) *Guard {
	var reasons []string
	for _, r := range Reasons() {
		reasons = append(reasons, string(r))
	}
	g := &Guard{
		verifier: v, recent: list.New(), sources: map[netip.Addr]*list.Element{}, bad: map[string]struct{}{},
		visitors: newBuckets[netip.Addr](cmp.Or(c.MaxSources, defaultMaxSources)), strangers: newBuckets[netip.Addr](cmp.Or(c.MaxSources, defaultMaxSources)),
		credentials: newBuckets[tenancy.CredentialID](maxCredentials), agents: newBuckets[tenancy.AgentID](maxCredentials),
		tooMany: metrics.CountBy(c.Service, "brokkr_rate_limited_total", "Requests beyond a rate limit, by whose it was.", "by", bySource, byCredential, byAgent),
		count:   metrics.CountBy(c.Service, "brokkr_auth_failures_total", "Failed authentications by reason.", "reason", reasons...),
	}
	g.Configure(c)
	return g
}

// Configure changes the limits and the trusted proxies of a guard at work. What sources have failed so far counts on.
func (g *Guard) Configure(c GuardConfig) {
	if c.PerMinute == 0 {
		c.PerMinute = defaultPerMinute
	}
	if c.MaxSources == 0 {
		c.MaxSources = defaultMaxSources
	}
	g.config.Store(&c)
}

// Middleware lets only authenticated requests pass, with the principal in their context (Of).
func (g *Guard) Middleware(onError func(context.Context, http.ResponseWriter, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := g.Authenticate(r)
			if err != nil {
				onError(r.Context(), w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
		})
	}
}

// Authenticate returns the principal of r: Unauthenticated for a bad key, Forbidden for an agent without a certificate where that is wanted, Limited for a source that failed too
// often, Unavailable if the store cannot be asked.
func (g *Guard) Authenticate(r *http.Request) (tenancy.Principal, error) {
	p, err := g.authenticate(r)
	if err == nil && p.Role == tenancy.RoleAgent && g.config.Load().AgentCertificates && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return tenancy.Principal{}, fault.New(fault.Forbidden, "client_certificate_required",
			"agents connect here with a certificate: give this one agent.client_cert and agent.client_key, of an authority that the gateway was given as tls_client_ca")
	}
	if err != nil {
		g.count(string(ReasonOf(err)))
	}
	return p, err
}

func (g *Guard) authenticate(r *http.Request) (tenancy.Principal, error) {
	from := g.source(r)
	key, err := fromHeader(r)
	if err != nil { // there is nothing to look up, so nothing to wait for
		if wait := g.try(r.Context(), from, func() bool { return true }); wait != nil {
			return tenancy.Principal{}, wait
		}
		return tenancy.Principal{}, err
	}
	if p, ok := g.verifier.Remembered(key); ok {
		return p, nil
	}
	var p tenancy.Principal
	verify := func() bool {
		p, err = g.verifier.Verify(r.Context(), key)
		bad := fault.Is(err, fault.Unauthenticated)
		if bad || err == nil {
			g.note(key, bad)
		}
		return bad
	}
	if _, known := g.verifier.Known(key); known {
		if verify() {
			g.failed(from)
		}
		return p, err
	}
	wait := g.try(r.Context(), from, verify)
	switch {
	case wait == nil:
		return p, err
	case !fault.Is(wait, fault.Limited) || !g.stranger(from, key):
		return tenancy.Principal{}, wait
	}
	if verify() {
		g.failed(from)
	}
	return p, err
}

// try runs f, which reports whether it failed, unless it may not begin.
func (g *Guard) try(ctx context.Context, from netip.Addr, f func() (failed bool)) error {
	s, err := g.begin(ctx, from)
	if err != nil {
		return err
	}
	failed := false
	defer func() { g.end(s, failed) }()
	failed = f()
	return nil
}

// Try runs f, which checks a secret of another kind than a PAK, unless the source of r has failed too often (Limited).
// An error of f that is Forbidden counts as a failure of the source.
func (g *Guard) Try(r *http.Request, f func() error) error {
	var err error
	wait := g.try(r.Context(), g.source(r), func() bool {
		err = f()
		return fault.Is(err, fault.Forbidden)
	})
	if wait != nil {
		if fault.Is(wait, fault.Limited) {
			g.count(string(ReasonLimited))
		}
		return wait
	}
	if fault.Is(err, fault.Forbidden) {
		g.count(string(ReasonWrong))
	}
	return err
}

func limited(wait time.Duration) error {
	f := fault.New(fault.Limited, "too_many_failures", "too many failed authentications from this address").Because(ReasonLimited)
	f.RetryAfter = wait
	return f
}

// source is where r comes from, as far as failures are counted: the client, or its network.
func (g *Guard) source(r *http.Request) netip.Addr {
	addr := g.Client(r)
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

// Client is the address that r comes from: the nearest one that is not a trusted proxy. It is not valid for what does not
// come over TCP.
func (g *Guard) Client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{} // not TCP: all of these are one source
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && g.trusted(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next
	}
	return addr.Unmap().WithZone("")
}

func (g *Guard) trusted(a netip.Addr) bool {
	for _, p := range g.config.Load().TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
