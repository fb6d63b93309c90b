// Package wiring builds the api process: configuration, store, listeners.
package wiring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/api"
)

// Settings of an api process.
type Settings struct {
	process.Common `koanf:",squash"`
	API            struct {
		Addr        string `koanf:"addr"` // host:port of the public listener
		process.TLS `koanf:",squash"`
	} `koanf:"api"`
	Limits   api.Config   `koanf:"limits"`
	Webhooks api.Webhooks `koanf:"webhooks"`
	CORS     process.CORS `koanf:"cors"`
	// What plans foretell with, and what is said of deleted stacks: the scheduler's, of which it has more.
	Scheduler struct {
		BrakeShare   float64       `koanf:"brake_share"`
		BrakeAtLeast int           `koanf:"brake_at_least"`
		BrakeFleet   int           `koanf:"brake_fleet_floor"`
		BrakeWindow  time.Duration `koanf:"brake_window"`

		KeepDeletedStacks time.Duration `koanf:"keep_deleted_stacks"`
	} `koanf:"scheduler"`
	Broker struct {
		PAKHash   config.Secret `koanf:"pak_hash"`   // of an admin's PAK; empty: the first start mints one and prints it
		JoinToken config.Secret `koanf:"join_token"` // by which agents join on the first day of a database; empty: none
	} `koanf:"broker"`
}

// Validate reports every value that cannot work.
func (s *Settings) Validate() error {
	var p config.Problems
	for _, err := range []error{s.Common.Validate(), s.CheckDatabase(), s.Limits.Validate(), s.Webhooks.Validate()} {
		if err != nil {
			p = append(p, err)
		}
	}
	process.AgentTLS{TLS: s.API.TLS}.Check(&p, "api")
	s.CORS.Check(&p)
	p.Add(s.Scheduler.BrakeShare <= 0 || s.Scheduler.BrakeShare > 1, "scheduler.brake_share", "is %v, not above 0 and at most 1", s.Scheduler.BrakeShare)
	p.Add(s.Scheduler.BrakeAtLeast < 1, "scheduler.brake_at_least", "is %d, less than 1", s.Scheduler.BrakeAtLeast)
	p.Add(s.Scheduler.BrakeFleet < 1, "scheduler.brake_fleet_floor", "is %d, less than 1", s.Scheduler.BrakeFleet)
	p.Add(s.Scheduler.BrakeWindow < time.Second, "scheduler.brake_window", "is %s, less than 1s", s.Scheduler.BrakeWindow)
	p.Add(s.Scheduler.KeepDeletedStacks < 0, "scheduler.keep_deleted_stacks", "is %s, less than 0", s.Scheduler.KeepDeletedStacks)
	p.Add(s.API.Addr == "", "api.addr", "is empty; give host:port")
	return p.Err()
}

func load(environ []string) (*Settings, error) {
	s := &Settings{Common: process.Defaults("127.0.0.1:9090"), Limits: api.Defaults(), Webhooks: api.WebhookDefaults()}
	s.API.Addr = ":3000"
	usual := api.UsualBrake()
	s.Scheduler.BrakeShare, s.Scheduler.BrakeAtLeast = usual.Share, usual.AtOne
	s.Scheduler.BrakeFleet, s.Scheduler.BrakeWindow = usual.Fleet.Floor, usual.Fleet.Length
	s.Scheduler.KeepDeletedStacks = stack.RestorableFor
	if err := config.Load(s, config.Source{Environ: environ, Aliases: process.Aliases(),
		Foreign: []string{"broker.addr", "broker.state_dir", "broker.tls_cert", "broker.tls_key", "broker.tls_client_ca", "gateway", "scheduler", "agent"}}); err != nil {
		return nil, err
	}
	return s, nil
}

// Main runs an api process until ctx ends. It takes its configuration from environ and logs to out; the first start on
// an empty database prints the admin PAK there, once.
func Main(ctx context.Context, version string, environ []string, out io.Writer) error {
	s, err := load(environ)
	if err != nil {
		return err
	}
	p, err := process.Open(ctx, "brokkr-api", version, s.Common, out)
	if err != nil {
		return err
	}
	p.Telemetry.Log.InfoContext(ctx, "starting", "version", version, "configuration", config.Effective(s))
	live := config.NewLive(s, func() (*Settings, error) { return load(environ) })
	admin, err := assemble(ctx, p, s, live, version, config.HasFile(environ))
	if err != nil {
		return errors.Join(err, p.Store.Close())
	}
	if admin != nil {
		fmt.Fprintf(out, "This database is new. The admin's PAK, shown this once; keep it safe:\n\n    %s\n\n", admin.Reveal())
	}
	return p.Group.Run(ctx)
}

// assemble binds the listeners before the admin PAK is made, so that a start that fails there shows no key in vain.
func assemble(ctx context.Context, p *process.Process, s *Settings, live *config.Live[Settings], version string, file bool) (*pak.PAK, error) {
	expressions, err := cel.New()
	if err != nil {
		return nil, err
	}
	deps := api.Deps{
		Store: p.Store, Wakeups: p.Wakeups, Verifier: p.Verifier, Sender: outbound.ToTheWorld(s.Webhooks.Networks()), Webhooks: s.Webhooks, Channels: p.Channels,
		Telemetry: p.Telemetry, Clock: time.Now, Version: version,
		Retention: s.Telemetry.Retention, CEL: expressions.Compile, HealthRules: healthrule.New().Check,
		Brake: api.BrakeOf(s.Scheduler.BrakeShare, s.Scheduler.BrakeAtLeast, s.Scheduler.BrakeFleet, s.Scheduler.BrakeWindow), KeepDeletedStacks: s.Scheduler.KeepDeletedStacks,
	}
	if reload := p.AddReload(live); file {
		deps.Reload = reload.Reload
	}
	svc, err := api.New(ctx, s.Limits, deps)
	if err != nil {
		return nil, err
	}
	live.On(func(next *Settings) (func(), error) { return p.LogLevel(next.Common) }, "log.level")
	live.On(func(next *Settings) (func(), error) {
		return func() { svc.Configure(next.Limits) }, nil
	}, api.Reloadable()...)
	certs, err := p.AddCertificates("api", process.AgentTLS{TLS: s.API.TLS})
	if err != nil {
		return nil, err
	}
	live.On(func(next *Settings) (func(), error) { return certs.Prepare(process.AgentTLS{TLS: next.API.TLS}) }, certs.Keys()...)
	public, allow := process.Public(svc.Handler(), s.CORS)
	live.On(func(next *Settings) (func(), error) {
		return func() { allow(next.CORS) }, nil
	}, process.CORSKeys()...)
	ln, err := httpserver.Listen(httpserver.Config{Name: "api (api.addr)", Addr: s.API.Addr, TLS: certs.Config(), Log: p.Telemetry.Log}, public)
	if err != nil {
		return nil, err
	}
	if err := p.AddAdmin(s.Common); err != nil {
		return nil, err
	}
	p.Group.Add("listener", ln.Run)
	p.Group.Add("api", svc.Run) // outermost: not ready first, then no intake
	return api.Prepare(ctx, p.Store, time.Now, rand.Reader, api.Preset{PAKHash: s.Broker.PAKHash.Reveal(), JoinToken: s.Broker.JoinToken.Reveal()})
}
