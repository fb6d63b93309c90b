package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/database"
	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/settings"
	"github.com/colliery-io/brokkr/pkg/adapters/cel"
	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/api"
	"github.com/colliery-io/brokkr/services/gateway"
	"github.com/colliery-io/brokkr/services/scheduler"
)

func (a *app) serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the control plane until SIGINT or SIGTERM",
		Long: `Runs api, gateway and scheduler behind one address. The schema is brought up to date first. The first start on a
database mints the admin's PAK and prints it once, on standard output; logs go to standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.settings()
			if err != nil {
				return err
			}
			live := config.NewLive(s, a.settings)
			return a.run(cmd.Context(), s, live, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	a.setting(cmd, "addr", "broker.addr", `address of everything public (default ":3000")`)
	a.setting(cmd, "admin-addr", "admin.addr", `address of metrics and profiles, or "off" (default "127.0.0.1:9095")`)
	return cmd
}

// run runs the broker until ctx ends. out is for the person at the keyboard, logs are for machines.
func (a *app) run(ctx context.Context, s *settings.Settings, live *config.Live[settings.Settings], out, logs io.Writer) (err error) {
	log, err := startLog(s, logs)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, database.Options{URL: s.Database.URL.Reveal(), StateDir: s.Broker.StateDir, Log: log})
	if err != nil {
		return err
	}
	// The database outlives everything that writes to it, also when the start fails half-way.
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	s.Database.URL = config.Secret(db.URL())
	if db.Private() && s.Secrets.Keys == "" && s.Secrets.KeysFile == "" {
		if s.Secrets.KeysFile, err = database.KeysFile(s.Broker.StateDir); err != nil {
			return err
		}
	}

	p, err := process.Open(ctx, "brokkr-broker", a.version, s.Common, logs)
	if err != nil {
		return err
	}
	p.Telemetry.Log.InfoContext(ctx, "starting", "version", a.version, "private_database", db.Private(), "configuration", config.Effective(s))
	ln, err := a.assemble(ctx, p, s, live)
	if err != nil {
		return errors.Join(err, p.Store.Close())
	}
	// Only now, that nothing else can fail: a key that is made and not shown is lost.
	admin, err := api.Prepare(ctx, p.Store, time.Now, rand.Reader, api.Preset{PAKHash: s.Broker.PAKHash.Reveal(), JoinToken: s.Broker.JoinToken.Reveal()})
	if err != nil {
		return errors.Join(err, p.Store.Close())
	}
	if db.Private() {
		p.Group.Add("private database", db.Watch)
	}
	welcome(out, s.Broker.Cert != "", ln.Addr(), admin)
	return p.Group.Run(ctx)
}

// assemble builds the services into the process's group, innermost first: those that write last are stopped last.
func (a *app) assemble(ctx context.Context, p *process.Process, s *settings.Settings, live *config.Live[settings.Settings]) (*httpserver.Server, error) {
	version := a.version
	certs, err := p.AddCertificates("broker", s.Broker.AgentTLS)
	if err != nil {
		return nil, err
	}
	expressions, err := cel.New()
	if err != nil {
		return nil, err
	}
	sched, err := scheduler.New(ctx, s.Scheduler, scheduler.Deps{
		Store: p.Store, Wakeups: p.Wakeups, Signals: p.Signals, Telemetry: p.Telemetry, Clock: time.Now, Version: version,
		Retention: s.Telemetry.Retention, CEL: expressions.Compile,
	})
	if err != nil {
		return nil, err
	}
	deps := api.Deps{
		Store: p.Store, Wakeups: p.Wakeups, Verifier: p.Verifier, Sender: outbound.ToTheWorld(s.Webhooks.Networks()), Webhooks: s.Webhooks, Channels: p.Channels,
		Telemetry: p.Telemetry, Clock: time.Now, Version: version,
		Retention: s.Telemetry.Retention, AgentCertificates: certs.OfAgents(), CEL: expressions.Compile, HealthRules: healthrule.New().Check,
		Brake: api.BrakeOf(s.Scheduler.BrakeShare, s.Scheduler.BrakeAtLeast, s.Scheduler.BrakeFleet, s.Scheduler.BrakeWindow), KeepDeletedStacks: s.Scheduler.KeepDeletedStacks,
	}
	if reload := p.AddReload(live); config.HasFile(a.environ) {
		deps.Reload = reload.Reload
	}
	admin, err := api.New(ctx, s.Limits, deps)
	if err != nil {
		return nil, err
	}
	edge, err := gateway.New(ctx, s.Gateway, gateway.Deps{
		Store: p.Store, Wakeups: p.Wakeups, Signals: p.Signals, Targets: p.Targets, Live: p.Live, Channels: p.Channels, Verifier: p.Verifier,
		Telemetry: p.Telemetry, Clock: time.Now, Version: version, Admin: admin.Handler(), AgentCertificates: certs.OfAgents(),
	})
	if err != nil {
		return nil, err
	}
	live.On(func(next *settings.Settings) (func(), error) { return p.LogLevel(next.Common) }, "log.level")
	live.On(func(next *settings.Settings) (func(), error) {
		return func() {
			admin.Configure(next.Limits)
			edge.Configure(next.Gateway)
		}, nil
	}, append(api.Reloadable(), gateway.Reloadable()...)...)
	live.On(func(next *settings.Settings) (func(), error) { return certs.Prepare(next.Broker.AgentTLS) }, certs.Keys()...)
	public, allow := process.Public(edge.Handler(), s.CORS)
	live.On(func(next *settings.Settings) (func(), error) {
		return func() { allow(next.CORS) }, nil
	}, process.CORSKeys()...)
	ln, err := httpserver.Listen(httpserver.Config{Name: "broker (--addr)", Addr: s.Broker.Addr, TLS: certs.Config(), Log: p.Telemetry.Log}, public)
	if err != nil {
		return nil, err
	}
	p.Group.Add("scheduler", sched.Run)
	p.Group.Add("api", admin.Run)
	p.Group.Add("gateway", edge.Run)
	p.Group.Add("public", ln.Run)
	if err := p.AddAdmin(s.Common); err != nil {
		return nil, err
	}
	// Outermost: parked syncs are answered before the listener waits for requests in flight.
	p.Group.AddClose("drain", func(context.Context) error {
		edge.Drain()
		return nil
	})
	return ln, nil
}

// welcome says how to get in. The key is shown at the first start only.
// address is the broker's URL for who runs on the same machine.
func address(encrypted bool, addr string) string {
	if encrypted {
		return "https://" + reachable(addr)
	}
	return "http://" + reachable(addr)
}

func welcome(out io.Writer, encrypted bool, addr string, admin *pak.PAK) {
	url := address(encrypted, addr)
	if admin == nil {
		fmt.Fprintf(out, "Brokkr serves on %s\n", url)
		return
	}
	fmt.Fprintf(out, `Brokkr serves on %s

The admin's PAK, shown this once; keep it safe:

    %s

Get in:

    brokkr login --url %s --pak %s

`, url, admin.Reveal(), url, admin.Reveal())
}

// reachable turns a listener's address into one that a client on this machine can use.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
