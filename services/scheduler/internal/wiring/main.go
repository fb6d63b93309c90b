// Package wiring builds the scheduler's process: configuration, adapters, listeners.
package wiring

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// Settings of a scheduler process.
type Settings struct {
	process.Common `koanf:",squash"`
	Scheduler      struct {
		scheduler.Config `koanf:",squash"`
		Addr             string `koanf:"addr"` // of the health endpoints
	} `koanf:"scheduler"`
}

// Validate reports every value that cannot work.
func (s *Settings) Validate() error {
	var p config.Problems
	for _, err := range []error{s.Common.Validate(), s.CheckDatabase(), s.Scheduler.Validate()} {
		if err != nil {
			p = append(p, err)
		}
	}
	p.Add(s.Scheduler.Addr == "", "scheduler.addr", "is empty")
	return p.Err()
}

func load(environ []string) (*Settings, error) {
	s := &Settings{Common: process.Defaults("127.0.0.1:9092")}
	s.Scheduler.Config, s.Scheduler.Addr = scheduler.Defaults(), ":8081"
	if err := config.Load(s, config.Source{Environ: environ, Aliases: process.Aliases(),
		Foreign: []string{"broker", "api", "limits", "webhooks", "cors", "gateway", "agent"}}); err != nil {
		return nil, err
	}
	return s, nil
}

// Main runs a scheduler process until ctx ends.
func Main(ctx context.Context, version string, environ []string, out io.Writer) error {
	s, err := load(environ)
	if err != nil {
		return err
	}
	p, err := process.Open(ctx, "brokkr-scheduler", version, s.Common, out)
	if err != nil {
		return err
	}
	p.Telemetry.Log.InfoContext(ctx, "starting", "version", version, "configuration", config.Effective(s))
	if s.Redis.URL == "" {
		p.Telemetry.Log.WarnContext(ctx, "no redis.url: this process cannot signal gateways, so they ask the database every second; set REDIS_URL on both")
	}
	expressions, err := cel.New()
	if err != nil {
		return err
	}
	svc, err := scheduler.New(ctx, s.Scheduler.Config, scheduler.Deps{Store: p.Store, Wakeups: p.Wakeups, Signals: p.Signals, Telemetry: p.Telemetry, Clock: time.Now, Version: version,
		Retention: s.Telemetry.Retention, CEL: expressions.Compile})
	if err != nil {
		return err
	}
	live := config.NewLive(s, func() (*Settings, error) { return load(environ) })
	live.On(func(next *Settings) (func(), error) { return p.LogLevel(next.Common) }, "log.level")
	p.AddReload(live)
	p.Group.Add("scheduler", svc.Run)
	if err := p.AddAdmin(s.Common); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", svc.Handler())
	mux.Handle("GET /metrics", p.Telemetry.Metrics())
	ln, err := httpserver.Listen(httpserver.Config{Name: "scheduler (scheduler.addr)", Addr: s.Scheduler.Addr, Log: p.Telemetry.Log}, mux)
	if err != nil {
		return err
	}
	p.Group.Add("health", ln.Run)
	return p.Group.Run(ctx)
}
