// Package wiring builds the gateway process: configuration, stores, listeners.
package wiring

import (
	"context"
	"io"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/gateway"
)

// Settings of a gateway process.
type Settings struct {
	process.Common `koanf:",squash"`
	Gateway        struct {
		gateway.Config   `koanf:",squash"`
		Addr             string `koanf:"addr"`
		process.AgentTLS `koanf:",squash"`
	} `koanf:"gateway"`
	CORS process.CORS `koanf:"cors"`
}

// Validate reports every value that cannot work.
func (s *Settings) Validate() error {
	var p config.Problems
	for _, err := range []error{s.Common.Validate(), s.CheckDatabase(), s.Gateway.Validate()} {
		if err != nil {
			p = append(p, err)
		}
	}
	s.Gateway.Check(&p, "gateway")
	s.CORS.Check(&p)
	p.Add(s.Gateway.Addr == "", "gateway.addr", "is empty")
	return p.Err()
}

func load(environ []string) (*Settings, error) {
	s := &Settings{Common: process.Defaults("127.0.0.1:9091")}
	s.Gateway.Config, s.Gateway.Addr = gateway.Defaults(), ":8080"
	if err := config.Load(s, config.Source{Environ: environ, Aliases: process.Aliases(),
		Foreign: []string{"broker", "api", "limits", "webhooks", "scheduler", "agent"}}); err != nil {
		return nil, err
	}
	return s, nil
}

// Main runs a gateway process until ctx ends. It takes its configuration from environ and logs to out.
func Main(ctx context.Context, version string, environ []string, out io.Writer) error {
	s, err := load(environ)
	if err != nil {
		return err
	}
	p, err := process.Open(ctx, "brokkr-gateway", version, s.Common, out)
	if err != nil {
		return err
	}
	log := p.Telemetry.Log
	log.InfoContext(ctx, "starting", "version", version, "configuration", config.Effective(s))
	signals := p.Signals
	if s.Redis.URL == "" {
		signals = nil // those in memory would reach nobody else
		log.WarnContext(ctx, "no redis.url: schedulers cannot signal this process, so it asks the database every second; "+
			"run one replica only, or set REDIS_URL")
	}
	certs, err := p.AddCertificates("gateway", s.Gateway.AgentTLS)
	if err != nil {
		return err
	}
	svc, err := gateway.New(ctx, s.Gateway.Config, gateway.Deps{
		Store: p.Store, Wakeups: p.Wakeups, Signals: signals, Targets: p.Targets, Live: p.Live, Channels: p.Channels, Verifier: p.Verifier,
		Telemetry: p.Telemetry, Clock: time.Now, Version: version, AgentCertificates: certs.OfAgents(),
	})
	if err != nil {
		return err
	}
	live := config.NewLive(s, func() (*Settings, error) { return load(environ) })
	live.On(func(next *Settings) (func(), error) { return p.LogLevel(next.Common) }, "log.level")
	live.On(func(next *Settings) (func(), error) {
		return func() { svc.Configure(next.Gateway.Config) }, nil
	}, gateway.Reloadable()...)
	live.On(func(next *Settings) (func(), error) { return certs.Prepare(next.Gateway.AgentTLS) }, certs.Keys()...)
	p.AddReload(live)
	p.Group.Add("gateway", svc.Run)
	if err := p.AddAdmin(s.Common); err != nil {
		return err
	}
	public, allow := process.Public(svc.Handler(), s.CORS)
	live.On(func(next *Settings) (func(), error) {
		return func() { allow(next.CORS) }, nil
	}, process.CORSKeys()...)
	ln, err := httpserver.Listen(httpserver.Config{Name: "gateway (gateway.addr)", Addr: s.Gateway.Addr, TLS: certs.Config(), Log: log}, public)
	if err != nil {
		return err
	}
	p.Group.Add("listener", ln.Run)
	p.Group.AddClose("drain", func(context.Context) error {
		svc.Drain()
		return nil
	})
	return p.Group.Run(ctx)
}
