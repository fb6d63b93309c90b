// Package settings holds the configuration of the all-in-one broker: the shared part, and a section for each service.
package settings

import (
	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/database"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/api"
	"github.com/colliery-io/brokkr/services/gateway"
	"github.com/colliery-io/brokkr/services/scheduler"
)

// Broker is what only the all-in-one process has.
type Broker struct {
	Addr      string        `koanf:"addr"`       // host:port of everything public
	StateDir  string        `koanf:"state_dir"`  // of the private database, where none is configured
	JoinToken config.Secret `koanf:"join_token"` // by which agents join on the first day of a database; empty: none
	PAKHash   config.Secret `koanf:"pak_hash"`   // of the admin PAK at the first start; empty: one is minted and printed

	process.AgentTLS `koanf:",squash"`
}

// Settings of the broker.
type Settings struct {
	process.Common `koanf:",squash"`
	Broker         Broker           `koanf:"broker"`
	Limits         api.Config       `koanf:"limits"`
	Webhooks       api.Webhooks     `koanf:"webhooks"`
	CORS           process.CORS     `koanf:"cors"`
	Gateway        gateway.Config   `koanf:"gateway"`
	Scheduler      scheduler.Config `koanf:"scheduler"`
}

// Load reads the settings: flags (by key) over environment over file over defaults.
func Load(environ []string, getenv func(string) string, flags map[string]any) (*Settings, error) {
	s := &Settings{Common: process.Defaults("127.0.0.1:9095"), Broker: Broker{Addr: ":3000"},
		Limits: api.Defaults(), Webhooks: api.WebhookDefaults(), Gateway: gateway.Defaults(), Scheduler: scheduler.Defaults()}
	if err := config.Load(s, config.Source{Environ: environ, Aliases: process.Aliases(), Flags: flags,
		Foreign: []string{"api", "gateway.addr", "gateway.tls_cert", "gateway.tls_key", "gateway.tls_client_ca", "scheduler.addr", "agent"}}); err != nil {
		return nil, err
	}
	if s.Broker.StateDir == "" && s.Database.URL == "" {
		dir, err := database.StateDir(getenv)
		if err != nil {
			return nil, err
		}
		s.Broker.StateDir = dir
	}
	return s, nil
}

// Validate reports every value that cannot work.
func (s *Settings) Validate() error {
	var p config.Problems
	for _, err := range []error{s.Common.Validate(), s.Limits.Validate(), s.Webhooks.Validate(), s.Gateway.Validate(), s.Scheduler.Validate()} {
		if err != nil {
			p = append(p, err)
		}
	}
	s.Broker.Check(&p, "broker")
	s.CORS.Check(&p)
	p.Add(s.Broker.Addr == "", "broker.addr", "is empty; give host:port")
	return p.Err()
}
