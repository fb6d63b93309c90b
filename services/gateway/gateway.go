// Package gateway is the face of the gateway service: the edge that agents talk to. It authenticates them, parks their
// syncs until their target state changes, and makes their reports durable. Replicas share nothing but the store, the
// signals and a cache, and any of them may go at any time.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/certificate"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/trail"
	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
	"github.com/colliery-io/brokkr/services/gateway/internal/beat"
	"github.com/colliery-io/brokkr/services/gateway/internal/bundle"
	"github.com/colliery-io/brokkr/services/gateway/internal/channels"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
	"github.com/colliery-io/brokkr/services/gateway/internal/intake"
	"github.com/colliery-io/brokkr/services/gateway/internal/live"
	"github.com/colliery-io/brokkr/services/gateway/internal/push"
	"github.com/colliery-io/brokkr/services/gateway/internal/roster"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
	"github.com/colliery-io/brokkr/services/gateway/internal/target"
	"github.com/colliery-io/brokkr/services/gateway/internal/transport"
	"github.com/colliery-io/brokkr/services/gateway/internal/watch"
)

// Config of the gateway's behaviour.
type Config struct {
	ProxyAdmin     bool     `koanf:"proxy_admin"`      // pass everything else on to the api, so that one URL serves all
	APIURL         string   `koanf:"api_url"`          // where the api is, for proxy_admin
	APICAFile      string   `koanf:"api_ca_file"`      // authorities of the api's certificate; empty: those of the system
	BlobCacheBytes int64    `koanf:"blob_cache_bytes"` // of manifests kept compressed in memory
	AuthFailures   int      `koanf:"auth_failures"`    // that one source may make in a minute
	TrustedProxies []string `koanf:"trusted_proxies"`  // networks (CIDR) whose X-Forwarded-For is believed
	SourceRate     int      `koanf:"source_rate"`      // requests a second of one source without a known credential; 0: any number
	CredentialRate int      `koanf:"credential_rate"`  // requests a second of one credential, beside syncs and heartbeats; 0: any number
	SyncRate       int      `koanf:"sync_rate"`        // syncs and heartbeats a second of one agent; 0: any number
	AgentSockets   int      `koanf:"agent_sockets"`    // agents that may be connected by WebSocket at a time
	LiveWatchers   int      `koanf:"live_watchers"`    // connections that may watch live at a time
	TargetStates   int      `koanf:"target_states"`    // that are written with their contents at a time
}

// Defaults returns the configuration that is used where nothing else is said.
func Defaults() Config {
	return Config{APIURL: "http://127.0.0.1:3000", BlobCacheBytes: 64 << 20, AuthFailures: 60,
		SourceRate: 1_000, CredentialRate: 200, SyncRate: 200,
		AgentSockets: 20_000, LiveWatchers: 1_000, TargetStates: 32}
}

// Validate reports every value that cannot work.
func (c Config) Validate() error {
	var p config.Problems
	u, err := url.Parse(c.APIURL)
	p.Add(c.ProxyAdmin && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == ""),
		"gateway.api_url", "is %q, not an http:// or https:// URL", c.APIURL)
	p.Add(c.BlobCacheBytes < 0, "gateway.blob_cache_bytes", "is %d, less than 0", c.BlobCacheBytes)
	p.Add(c.AuthFailures < 1, "gateway.auth_failures", "is %d, less than 1", c.AuthFailures)
	p.Add(c.SourceRate < 0 || c.SourceRate > identity.MaxRate, "gateway.source_rate", "is %d, not between 0 and %d", c.SourceRate, identity.MaxRate)
	p.Add(c.CredentialRate < 0 || c.CredentialRate > identity.MaxRate, "gateway.credential_rate", "is %d, not between 0 and %d", c.CredentialRate, identity.MaxRate)
	p.Add(c.SyncRate < 0 || c.SyncRate > identity.MaxRate, "gateway.sync_rate", "is %d, not between 0 and %d", c.SyncRate, identity.MaxRate)
	p.Add(c.AgentSockets < 0, "gateway.agent_sockets", "is %d, less than 0", c.AgentSockets)
	p.Add(c.TargetStates < 1, "gateway.target_states", "is %d, less than 1", c.TargetStates)
	p.Add(c.LiveWatchers < 0, "gateway.live_watchers", "is %d, less than 0", c.LiveWatchers)
	for _, t := range c.TrustedProxies {
		_, err := netip.ParsePrefix(t)
		p.Add(err != nil, "gateway.trusted_proxies", "has %q, not a network like 10.0.0.0/8", t)
	}
	return p.Err()
}

// Deps are what the gateway works with. Whoever makes the Verifier runs it. Signals may be nil when no scheduler could
// reach this process by them: then parked syncs are compared with the store every second.
type Deps struct {
	Store     ports.Store
	Wakeups   ports.Wakeups
	Signals   ports.Signals
	Targets   ports.TargetCache
	Live      ports.Live
	Channels  ports.Channels // where the fleet view learns who is connected
	Verifier  *identity.Verifier
	Telemetry *telemetry.Telemetry
	Clock     func() time.Time
	Version   string
	Admin     http.Handler // the api in the same process, for all other routes; nil when it is apart
	// AgentCertificates: agents have to show a certificate on their connection, which the listener has verified.
	AgentCertificates bool
}

// Service is a gateway replica.
type Service struct {
	log      *slog.Logger
	hub      *hub.Hub
	beats    *beat.Buffer
	intake   *intake.Intake
	targets  *target.Reader
	watcher  *watch.Watcher
	live     *live.Hub
	sockets  *sockets.Registry
	fleet    *live.Fleet
	channels *channels.Announcer
	pusher   *push.Pusher
	orders   *push.Orders
	health   *health.Checker
	guard    *identity.Guard
	certs    bool // agents have to show one
	handler  http.Handler
}

// Reloadable are the settings of the gateway that may change while it runs.
func Reloadable() []string {
	return []string{"gateway.auth_failures", "gateway.trusted_proxies", "gateway.source_rate", "gateway.credential_rate", "gateway.sync_rate"}
}

// Configure puts into force those settings of c, which Validate has passed, that are Reloadable.
func (s *Service) Configure(c Config) { s.guard.Configure(c.guard(s.certs)) }

// New builds a replica; nothing runs yet. It hooks itself to the verifier, so it comes before the verifier runs.
func New(_ context.Context, c Config, d Deps) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	log := d.Telemetry.Log.With("component", "gateway")
	s := &Service{log: log, hub: hub.New(d.Store.Assignments(), d.Store.Works(), d.Clock)}
	var metrics *app.Metrics
	s.beats = beat.New(d.Store.Agents(), log, func(n int) { metrics.Heartbeats.Add(float64(n)) })
	metrics = app.NewMetrics(d.Telemetry.Registry, s.hub, s.beats.Pending)
	s.intake = intake.New(d.Store.Observations(), d.Clock, log, func(_ context.Context, parcels []observation.Parcel, receipts []observation.Receipt) {
		metrics.Observed(parcels, receipts)
		s.live.Offer(live.Frames(parcels, receipts))
	})
	s.live = live.New(d.Live, c.LiveWatchers, live.Gap, d.Clock, log)
	s.sockets = sockets.New(d.Live, s.live.Offer, c.AgentSockets, s.live.Subscribers, d.Clock)
	s.fleet = live.NewFleet(d.Store.Insights(), d.Channels, d.Clock, log)
	s.channels = channels.New(d.Channels, d.Clock, log, s.sockets.Connected, s.hub.Connected)
	s.pusher = push.New(d.Signals, d.Store, s.sockets, d.Clock, log)
	app.Watch(d.Telemetry.Registry, s.sockets.Count, s.live.Subscribers, s.intake.Waiting, s.live.Dropped)
	revocations := live.NewRevocations()
	d.Verifier.OnRevoked(s.sockets.Revoked)
	d.Verifier.OnRevoked(revocations.Revoked)
	agents := roster.New(d.Store.Agents(), d.Clock)
	s.targets = target.New(d.Store.Assignments(), d.Targets, s.hub, log, d.Clock, metrics.CountCache)
	s.watcher = watch.New(d.Signals, d.Wakeups, s.hub, agents, func(a agent.ID) {
		s.hub.Refuse(a)
		s.sockets.Doubt(a)
	}, metrics, log, d.Clock)
	s.health = health.New(d.Version, log,
		health.Check{Name: "database", Required: true, Private: true, Reason: "database unavailable", Probe: d.Store.Ping},
		health.Check{Name: "signals", Probe: s.watcher.Probe},
		health.Check{Name: "target_cache", Probe: s.targets.Probe},
	)
	d.Verifier.OnRevoked(s.hub.Revoked)
	s.certs = d.AgentCertificates
	s.guard = identity.NewGuard(d.Verifier, c.guard(s.certs), d.Telemetry)
	fallback, err := c.fallback(d.Admin, log)
	if err != nil {
		return nil, err
	}
	bundles := bundle.New(d.Store.Blobs(), c.BlobCacheBytes, metrics.CountBlob)
	s.orders = &push.Orders{Wakeups: d.Wakeups, Works: d.Store.Works(), Store: d.Store.WorkOrders(), Bundles: bundles, Sockets: s.sockets, Now: d.Clock, Log: log}
	s.handler = transport.New(transport.Config{
		Gateway: app.New(app.Parts{
			Store: trail.Store(d.Store, d.Clock), Hub: s.hub, Beats: s.beats, Roster: agents, Targets: s.targets,
			Bundles: bundles, Intake: s.intake, Sockets: s.sockets,
			Deliveries: app.Deliveries(c.TargetStates, func(o turn.Outcome) { metrics.States.WithLabelValues(string(o)).Inc() }),
			Metrics:    metrics, Tracer: d.Telemetry.Tracer("gateway"), Log: log, Now: d.Clock,
		}),
		Guard:  s.guard,
		Health: s.health, Metrics: d.Telemetry.Metrics(), Registry: d.Telemetry.Registry, Log: log,
		Sockets: s.sockets, Live: s.live, Fleet: s.fleet, Revocations: revocations,
		Fallback: fallback, Edge: d.Admin == nil && c.ProxyAdmin,
	})
	return s, nil
}

func (c Config) guard(certs bool) identity.GuardConfig {
	g := identity.GuardConfig{AgentCertificates: certs, Service: "brokkr-gateway", PerMinute: c.AuthFailures, SourceRate: c.SourceRate, CredentialRate: c.CredentialRate, PulseRate: c.SyncRate}
	for _, t := range c.TrustedProxies {
		g.TrustedProxies = append(g.TrustedProxies, netip.MustParsePrefix(t)) // Validate has parsed it
	}
	return g
}

// fallback serves what the gateway does not: the api in process, the api behind its URL, or nothing.
func (c Config) fallback(admin http.Handler, log *slog.Logger) (http.Handler, error) {
	if admin != nil || !c.ProxyAdmin {
		return admin, nil
	}
	u, err := url.Parse(c.APIURL)
	if err != nil {
		return nil, fmt.Errorf("gateway.api_url: %w", err)
	}
	var trust *tls.Config
	if c.APICAFile != "" {
		pool, err := certificate.Authorities(c.APICAFile)
		if err != nil {
			return nil, fmt.Errorf("gateway.api_ca_file: %w", err)
		}
		trust = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return transport.Proxy(u, trust, log), nil
}

// Handler serves the gateway's routes, health and metrics, and what the configuration adds.
func (s *Service) Handler() http.Handler { return s.handler }

// Drain answers all parked syncs and says not ready from now on, so that agents and balancers go elsewhere. It comes
// before the listener stops, which else would wait for the parked ones.
func (s *Service) Drain() {
	s.health.Drain()
	s.hub.Drain()
	s.sockets.Drain()
	s.live.Drain()
}

// Run keeps the gateway's knowledge fresh until ctx ends; then it drains and stores the last heartbeats. Stop the listener first.
func (s *Service) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: s.log}
	g.Add("heartbeats", s.beats.Run)
	g.Add("telemetry", s.intake.Run)
	g.Add("live", s.live.Run)
	g.Add("sockets", s.sockets.Run)
	g.Add("fleet", s.fleet.Run)
	g.Add("channels", s.channels.Run)
	g.Add("pushes", s.pusher.Run)
	g.Add("pushed work orders", s.orders.Run)
	g.Add("target cache", s.targets.Run)
	g.Add("signals", s.watcher.Run)
	g.AddClose("drain", func(context.Context) error {
		s.Drain()
		return nil
	})
	if err := g.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}
