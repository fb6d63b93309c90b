// Package api is the face of the api service: the public REST routes for generators, agents, stacks and deployment
// objects. It holds no state that another replica needs. Every change is one transaction with its events.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/api/openapi"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api/internal/app"
	transport "github.com/colliery-io/brokkr/services/api/internal/transport/http"
)

// Config of the api's behaviour: what it accepts, and for how long.
type Config struct {
	Body           int64         `koanf:"body"`            // bytes of a request body
	Bundle         int64         `koanf:"bundle"`          // bytes of a bundle
	Timeout        time.Duration `koanf:"timeout"`         // of one operation
	AuthFailures   int           `koanf:"auth_failures"`   // that one source may make in a minute
	TrustedProxies []string      `koanf:"trusted_proxies"` // CIDRs whose X-Forwarded-For is believed
	SourceRate     int           `koanf:"source_rate"`     // requests a second of one source without a known credential; 0: any number
	CredentialRate int           `koanf:"credential_rate"` // requests a second of one credential; 0: any number
	Plans          int           `koanf:"plans"`           // plans, previews and differences that are worked out at a time
	PlansEach      int           `koanf:"plans_each"`      // of them by one generator, or one key of others
	NoSwaggerUI    bool          `koanf:"no_swagger_ui"`   // do not serve the document as a page
}

// Defaults returns the configuration that is used where nothing else is said.
func Defaults() Config {
	plans := max(2, runtime.GOMAXPROCS(0)/2)
	return Config{Body: 17 << 20, Bundle: bundle.DefaultLimits().Bytes, Timeout: 30 * time.Second, AuthFailures: 60,
		SourceRate: 200, CredentialRate: 200, Plans: plans, PlansEach: plans / 2}
}

// Validate reports every value that cannot work.
func (c Config) Validate() error {
	var p config.Problems
	p.Add(c.Body < 1024, "limits.body", "is %d bytes, less than 1024", c.Body)
	p.Add(c.Bundle < 1024, "limits.bundle", "is %d bytes, less than 1024", c.Bundle)
	p.Add(c.Timeout < time.Second, "limits.timeout", "is %s, less than 1s", c.Timeout)
	p.Add(c.AuthFailures < 1, "limits.auth_failures", "is %d, less than 1", c.AuthFailures)
	p.Add(c.SourceRate < 0 || c.SourceRate > identity.MaxRate, "limits.source_rate", "is %d, not between 0 and %d", c.SourceRate, identity.MaxRate)
	p.Add(c.CredentialRate < 0 || c.CredentialRate > identity.MaxRate, "limits.credential_rate", "is %d, not between 0 and %d", c.CredentialRate, identity.MaxRate)
	p.Add(c.Plans < 1, "limits.plans", "is %d, less than 1", c.Plans)
	p.Add(c.PlansEach < 1, "limits.plans_each", "is %d, less than 1", c.PlansEach)
	for _, s := range c.TrustedProxies {
		_, err := netip.ParsePrefix(s)
		p.Add(err != nil, "limits.trusted_proxies", "has %q, which is not a CIDR such as 10.0.0.0/8", s)
	}
	return p.Err()
}

// orDefaults fills what is zero, but for rates: there it means that there is no limit.
func (c Config) orDefaults() Config {
	d := Defaults()
	if c.Body == 0 {
		c.Body = d.Body
	}
	if c.Bundle == 0 {
		c.Bundle = d.Bundle
	}
	if c.Timeout == 0 {
		c.Timeout = d.Timeout
	}
	if c.AuthFailures == 0 {
		c.AuthFailures = d.AuthFailures
	}
	if c.Plans == 0 {
		c.Plans = d.Plans
	}
	if c.PlansEach == 0 {
		c.PlansEach = d.PlansEach
	}
	return c
}

func (c Config) guard(certs bool) identity.GuardConfig {
	out := identity.GuardConfig{AgentCertificates: certs, Service: "brokkr-api", PerMinute: c.AuthFailures, SourceRate: c.SourceRate, CredentialRate: c.CredentialRate}
	for _, s := range c.TrustedProxies {
		if prefix, err := netip.ParsePrefix(s); err == nil { // Validate has refused others
			out.TrustedProxies = append(out.TrustedProxies, prefix)
		}
	}
	return out
}

// Deps are what the api works with.
type Deps struct {
	Store   ports.Store
	Wakeups ports.Wakeups // tell of events, of webhooks that are due and of revocations
	// Verifier is shared with other services of the process and run by whoever made it; nil: the api makes and runs one.
	Verifier  *identity.Verifier
	Sender    ports.WebhookSender
	Webhooks  Webhooks       // zero fields mean the defaults
	Channels  ports.Channels // by which gateways tell who is connected; nil: nobody is
	Telemetry *telemetry.Telemetry
	Clock     func() time.Time // time.Now if nil
	Version   string
	Retention time.Duration // of events and logs; the longest if zero
	// CEL reads the expressions of policies; nil: a policy with one is refused.
	CEL func(expression string) (placement.Expr, error)
	// HealthRules says what is wrong with the expression of a health rule; nil: a treatment with one is refused.
	HealthRules func(expression string) error
	// Brake is the scheduler's, by which plans foretell what would be held; that of its defaults if zero.
	Brake             placement.Brake
	KeepDeletedStacks time.Duration // the scheduler's: how long at least a deleted stack can be restored
	// Reload reads the configuration of the process anew; nil: it has no file to read.
	Reload func(ctx context.Context) config.Outcome
	// AgentCertificates: agents have to show a certificate on their connection, which the listener has verified.
	AgentCertificates bool
}

// Service is one replica of the api.
type Service struct {
	handler http.Handler
	guard   *identity.Guard
	certs   bool // agents have to show one
	health  *health.Checker
	log     *slog.Logger
	parts   []part // what runs beside requests, innermost first
}

// New builds a replica; nothing runs yet. Zero fields of c mean their defaults. It registers metrics with the
// telemetry's registry, so it is called once a registry.
func New(_ context.Context, c Config, d Deps) (*Service, error) {
	c = c.orDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Retention == 0 {
		d.Retention = observation.Ceiling
	}
	log := d.Telemetry.Log.With("component", "api")
	connected := &channels{port: d.Channels, log: log}
	s := &Service{log: log, health: health.New(d.Version, log,
		health.Check{Name: "database", Required: true, Private: true, Reason: "database unavailable", Probe: d.Store.Ping},
		health.Check{Name: "channels", Private: true, Reason: "who is connected is not known; the fleet view shows agents as not connected", Probe: connected.probe})}
	verifier := d.Verifier
	if verifier == nil {
		verifier = identity.NewVerifier(d.Store.Credentials(), d.Wakeups, d.Clock)
		s.parts = append(s.parts, part{"verify credentials", verifier.Run})
	}
	if err := s.addWebhooks(d); err != nil {
		return nil, err
	}
	cases := useCases(d.Store, d.Clock, rand.Reader, c.Bundle, d.Retention)
	if d.CEL != nil {
		cases.Language = placement.Deps{CEL: d.CEL}
		cases.Policies = policies{cel: func(expression string) (uint64, error) {
			x, err := d.CEL(expression)
			if err != nil {
				return 0, err
			}
			return x.Cost(), nil
		}}
	}
	if d.HealthRules != nil {
		cases.Rules = d.HealthRules
	}
	if cases.Brake = d.Brake; d.Brake.Share == 0 && d.Brake.Fleet == nil {
		cases.Brake = UsualBrake()
	}
	cases.KeepDeleted = d.KeepDeletedStacks
	cases.Sender, cases.Reload = d.Sender, reloader(d.Reload)
	cases.Connected, cases.Turns = connected.since, foresight(c, d.Telemetry)
	s.certs = d.AgentCertificates
	s.guard = identity.NewGuard(verifier, c.guard(s.certs), d.Telemetry)
	s.handler = transport.New(transport.Parts{
		Routes:    transport.Routes(cases, d.Version),
		Guard:     s.guard,
		Health:    s.health,
		Telemetry: d.Telemetry,
		OpenAPI:   sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(openapi.YAML()) }),
		BodyLimit: c.Body,
		Timeout:   c.Timeout,
		UI:        !c.NoSwaggerUI,
		Ledger:    cases,
		Clock:     d.Clock,
	})
	return s, nil
}

// Reloadable are the settings of the api that may change while it runs.
func Reloadable() []string {
	return []string{"limits.auth_failures", "limits.trusted_proxies", "limits.source_rate", "limits.credential_rate"}
}

// Configure puts into force those settings of c, which Validate has passed, that are Reloadable.
func (s *Service) Configure(c Config) { s.guard.Configure(c.orDefaults().guard(s.certs)) }

func reloader(reload func(ctx context.Context) config.Outcome) app.Reloader {
	if reload == nil {
		return nil
	}
	return func(ctx context.Context) app.Reload {
		o := reload(ctx)
		out := app.Reload{Done: o.Err == nil, Restart: o.Restart, Message: o.Message()}
		for _, c := range o.Changes {
			out.Changes = append(out.Changes, app.SettingChange(c))
		}
		return out
	}
}

// Handler serves the public routes, health, metrics and the OpenAPI document.
func (s *Service) Handler() http.Handler { return s.handler }

// Run runs what the api needs beside requests until ctx ends; from then on /readyz says no. Webhooks that are on their way
// when it ends have a few seconds.
func (s *Service) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: s.log}
	for _, p := range s.parts {
		g.Add(p.name, p.run)
	}
	g.AddClose("readiness", func(context.Context) error {
		s.health.Drain()
		return nil
	})
	if err := g.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// checkBundle returns the check of what is published, of at most limit bytes.
func checkBundle(limit int64) app.BundleCheck {
	return func(content []byte) (int, error) {
		l := bundle.DefaultLimits()
		l.Bytes = limit
		objects, err := bundle.Parse(content, l)
		return len(objects), err
	}
}
