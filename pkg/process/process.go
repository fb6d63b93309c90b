// Package process is what every server process of Brokkr has in common: the shared part of the configuration, and the
// stores, signals and telemetry that it opens. It is the one place outside the services that knows all adapters.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/observed"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/adapters/redis"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Off as an address means: no such listener.
const Off = "off"

// Common is the part of the configuration that all servers share.
type Common struct {
	Database Database `koanf:"database"`
	Redis    Redis    `koanf:"redis"`
	Secrets  Secrets  `koanf:"secrets"`
	Log      Log      `koanf:"log"`
	OTLP     OTLP     `koanf:"otlp"`
	Admin    Admin    `koanf:"admin"`

	Telemetry Telemetry `koanf:"telemetry"`
}

// Telemetry says how long the Kubernetes events and log lines are kept that agents send.
type Telemetry struct {
	Retention time.Duration `koanf:"retention"` // 1 minute to 6 hours
}

// Database says where the system of record is.
type Database struct {
	URL            config.Secret `koanf:"url"`             // postgres://user:password@host:port/name?sslmode=...
	MaxConnections int           `koanf:"max_connections"` // that requests and loops share; a few more listen and ask whether it answers
}

// Redis says where signals and cached target states live; empty: in this process's memory, for a single process only.
type Redis struct {
	URL    config.Secret `koanf:"url"`     // redis://[:password@]host:port/db or rediss://
	Prefix string        `koanf:"prefix"`  // before a colon it begins every key and channel
	CAFile string        `koanf:"ca_file"` // authorities of rediss:// in PEM; empty: those that the system trusts
}

// Log of the process, on standard error.
type Log struct {
	Level  string `koanf:"level"`  // debug | info | warn | error
	Format string `koanf:"format"` // json | text
}

// OTLP says where traces go; empty: nowhere.
type OTLP struct {
	Endpoint string  `koanf:"endpoint"` // http://collector:4318
	Sample   float64 `koanf:"sample"`   // share of the traces that begin here, above 0 to 1
}

// Admin is the listener for /metrics and /debug/pprof.
type Admin struct {
	Addr string `koanf:"addr"` // host:port, or "off"
	// PProf shows profiles to whoever reaches the listener; without it they are there on a loopback address alone.
	PProf bool `koanf:"pprof"`
}

// Bounds of database.max_connections.
const (
	minConnections = 4
	maxConnections = 1000
)

// Defaults returns the common configuration where nothing else is said.
func Defaults(adminAddr string) Common {
	return Common{Database: Database{MaxConnections: 20}, Redis: Redis{Prefix: "brokkr"}, Log: Log{Level: "info", Format: "json"}, OTLP: OTLP{Sample: 1}, Admin: Admin{Addr: adminAddr},
		Telemetry: Telemetry{Retention: observation.Ceiling}}
}

// Aliases are the plain environment names that are understood beside BROKKR__SECTION__KEY.
func Aliases() map[string]string {
	return map[string]string{"DATABASE_URL": "database.url", "REDIS_URL": "redis.url", "LOG_LEVEL": "log.level"}
}

// Validate reports every value that cannot work. A database URL is asked for by those who need one: CheckDatabase.
func (c Common) Validate() error {
	var p config.Problems
	var level slog.Level
	p.Add(level.UnmarshalText([]byte(c.Log.Level)) != nil, "log.level", "is %q, not debug, info, warn or error", c.Log.Level)
	p.Add(c.Log.Format != "json" && c.Log.Format != "text", "log.format", "is %q, not json or text", c.Log.Format)
	p.Add(c.OTLP.Sample <= 0 || c.OTLP.Sample > 1, "otlp.sample", "is %v, not above 0 and at most 1", c.OTLP.Sample)
	p.Add(c.OTLP.Endpoint != "" && !hasScheme(c.OTLP.Endpoint, "http", "https"), "otlp.endpoint", "is %q, not an http:// or https:// URL", c.OTLP.Endpoint)
	p.Add(c.Redis.URL != "" && !hasScheme(c.Redis.URL.Reveal(), "redis", "rediss", "unix"), "redis.url", "is not a redis:// or rediss:// URL")
	p.Add(!redisPrefix(c.Redis.Prefix), "redis.prefix", "is %q, not 1 to 64 letters, digits, dots, dashes and underscores", c.Redis.Prefix)
	p.Add(c.Database.MaxConnections < minConnections || c.Database.MaxConnections > maxConnections, "database.max_connections",
		"is %d, not between %d and %d", c.Database.MaxConnections, minConnections, maxConnections)
	p.Add(c.Redis.CAFile != "" && !hasScheme(c.Redis.URL.Reveal(), "rediss"), "redis.ca_file", "is set, and redis.url is no rediss:// URL: without TLS there is no certificate to check")
	c.Secrets.validate(&p)
	p.Add(c.Telemetry.Retention < time.Minute || c.Telemetry.Retention > observation.Ceiling, "telemetry.retention",
		"is %s, not between 1m and %s", c.Telemetry.Retention, observation.Ceiling)
	p.Add(c.Admin.Addr == "", "admin.addr", "is empty; give host:port or %q", Off)
	return p.Err()
}

// CheckDatabase reports a missing database URL, and says how to give one.
func (c Common) CheckDatabase() error {
	if c.Database.URL == "" {
		return fmt.Errorf("no database: set DATABASE_URL (or BROKKR__DATABASE__URL) to postgres://user:password@host:5432/brokkr")
	}
	return nil
}

// redisPrefix reports whether keys and channels may begin with s: it holds no colon, so that none is the beginning of another one.
func redisPrefix(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}

func hasScheme(raw string, schemes ...string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return true
		}
	}
	return false
}

// Process is what the parts of one server process work with.
type Process struct {
	Name      string // of the program
	Telemetry *telemetry.Telemetry
	Store     ports.Store
	Wakeups   ports.Wakeups
	Signals   ports.Signals
	Targets   ports.TargetCache
	Live      ports.Live
	Channels  ports.Channels
	Verifier  *identity.Verifier
	Group     *lifecycle.Group
}

const (
	targetTTL       = time.Hour
	targetMemory    = 256 << 20
	stopGrace       = 15 * time.Second
	migratePatience = 5 * time.Minute // with a database that is away, and with others who migrate
)

// Open sets up telemetry (logs go to out), migrates the database, opens the stores, and starts a group that will close
// them last. On an error everything that was opened is closed again.
func Open(ctx context.Context, name, version string, c Common, out io.Writer) (_ *Process, err error) {
	tel, err := telemetry.New(ctx, telemetry.Config{Service: name, Version: version, LogLevel: c.Log.Level, LogFormat: c.Log.Format,
		OTLPEndpoint: c.OTLP.Endpoint, SampleRatio: c.OTLP.Sample, Output: out})
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, Telemetry: tel, Group: &lifecycle.Group{Log: tel.Log, Grace: stopGrace}}
	p.Group.AddClose("telemetry", tel.Shutdown)
	keys, err := c.Secrets.keyring()
	if err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, c.Database.URL.Reveal(), tel.Log, postgres.Patience(migratePatience)); err != nil {
		return nil, AboutDatabase(err)
	}
	store, err := postgres.Open(ctx, c.Database.URL.Reveal(), postgres.Options{ApplicationName: name, Keys: keys, MaxOpen: c.Database.MaxConnections})
	if err != nil {
		return nil, AboutDatabase(err)
	}
	if err := store.CheckKeys(ctx); err != nil {
		return nil, aboutKeys(errors.Join(err, store.Close()))
	}
	if keys == nil {
		tel.Log.WarnContext(ctx, "manifests are stored readable: secrets.keys is plaintext")
	}
	p.Store, p.Wakeups = observed.Store(store, tel.Tracer("store"), tel.Registry), store
	p.Group.AddClose("store", func(context.Context) error { return store.Close() })
	pool{
		inUse: func() float64 { return float64(store.Stats().InUse) }, idle: func() float64 { return float64(store.Stats().Idle) },
		most:  func() float64 { return float64(store.Stats().MaxOpenConnections) },
		waits: func() float64 { return float64(store.Stats().WaitCount) }, waited: func() float64 { return store.Stats().WaitDuration.Seconds() },
	}.watch(tel.Registry, "database", "PostgreSQL")
	if c.Redis.URL == "" {
		p.Signals, p.Targets, p.Live = memory.NewSignals(), memory.NewTargetCache(targetMemory), memory.NewLive()
		p.Channels = memory.NewChannels(time.Now)
	} else {
		client, err := redis.Open(c.Redis.URL.Reveal(), c.Redis.CAFile)
		if err != nil {
			_ = store.Close()
			return nil, err
		}
		prefix := redis.WithPrefix(c.Redis.Prefix + ":")
		p.Signals, p.Targets = redis.NewSignals(client, tel.Log, prefix), redis.NewTargetCache(client, targetTTL, prefix, redis.WithKeys(keys))
		p.Live, p.Channels = redis.NewLive(client, tel.Log, prefix), redis.NewChannels(client, prefix)
		p.Group.AddClose("redis", func(context.Context) error { return client.Close() })
		stats := client.PoolStats
		pool{
			inUse: func() float64 { now := stats(); return max(float64(now.TotalConns)-float64(now.IdleConns), 0) }, idle: func() float64 { return float64(stats().IdleConns) },
			most:  func() float64 { return float64(client.Options().PoolSize) },
			waits: func() float64 { return float64(stats().WaitCount) }, waited: func() float64 { return time.Duration(stats().WaitDurationNs).Seconds() },
		}.watch(tel.Registry, "redis", "Redis")
	}
	p.Verifier = identity.NewVerifier(p.Store.Credentials(), store, time.Now)
	p.Group.Add("identity", p.Verifier.Run)
	return p, nil
}

// AboutDatabase adds to err what a person can do about it, if it says that the database cannot be used as it is configured.
func AboutDatabase(err error) error {
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Invalid) {
		return fmt.Errorf("%w (check the server, and database.url: DATABASE_URL)", err)
	}
	return err
}

// AddAdmin adds the listener for metrics and profiles, unless it is off. Profiles are shown on a loopback address, and elsewhere if admin.pprof says so.
func (p *Process) AddAdmin(c Common) error {
	if c.Admin.Addr == Off {
		return nil
	}
	profiles := c.Admin.PProf || loopback(c.Admin.Addr)
	s, err := httpserver.Listen(httpserver.Config{Name: "admin (admin.addr)", Addr: c.Admin.Addr, Log: p.Telemetry.Log}, p.Telemetry.Admin(profiles))
	if err != nil {
		return err
	}
	p.Group.Add("admin", s.Run)
	return nil
}

// loopback says whether only this machine reaches a listener at addr. A name is none of which this can be known but localhost.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
