package process

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/platform/certificate"
	"github.com/colliery-io/brokkr/pkg/platform/config"
)

// TLS says with which certificate a listener speaks TLS; empty: it speaks plain HTTP.
type TLS struct {
	Cert string `koanf:"tls_cert"` // file: the chain in PEM, its own certificate first
	Key  string `koanf:"tls_key"`  // file
}

// AgentTLS is TLS of a listener that agents connect to.
type AgentTLS struct {
	TLS      `koanf:",squash"`
	ClientCA string `koanf:"tls_client_ca"` // file: agents have to show a certificate of one of these authorities; empty: none
}

func (t AgentTLS) files() certificate.Files {
	return certificate.Files{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA}
}

// Check reports what cannot work; section is that of the keys.
func (t AgentTLS) Check(p *config.Problems, section string) {
	p.Add((t.Cert == "") != (t.Key == ""), section+".tls_key", "and %s.tls_cert belong together; give both or none", section)
	p.Add(t.ClientCA != "" && t.Cert == "", section+".tls_client_ca", "is set without %s.tls_cert: certificates of clients need TLS", section)
}

// Certificates are those of one listener; nil: it speaks plain HTTP.
type Certificates struct {
	section string
	source  *certificate.Source
	agents  bool
}

// AddCertificates reads the certificates of a listener and sees to it that changed files are used without a restart. They
// are nil if there are none.
func (p *Process) AddCertificates(section string, t AgentTLS) (*Certificates, error) {
	if t.Cert == "" {
		return nil, nil //nolint:nilnil // without certificates there are none
	}
	source, err := certificate.Load(t.files(), p.Telemetry.Log)
	if err != nil {
		return nil, fmt.Errorf("%s.tls_cert: %w", section, err)
	}
	p.Telemetry.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "brokkr_tls_certificate_ends_timestamp_seconds", Help: "When the listener's certificate ends.", ConstLabels: prometheus.Labels{"listener": section},
	}, func() float64 { return float64(source.Until().Unix()) }))
	p.Group.Add("certificates", func(ctx context.Context) error { return source.Run(ctx) })
	return &Certificates{section: section, source: source, agents: t.ClientCA != ""}, nil
}

// Config is that of the listener; nil without certificates.
func (c *Certificates) Config() *tls.Config {
	if c == nil {
		return nil
	}
	return c.source.Config()
}

// OfAgents reports whether agents have to show certificates.
func (c *Certificates) OfAgents() bool { return c != nil && c.agents }

// Keys are the settings that Prepare takes over while the process runs. Whether there is TLS at all is none of them.
func (c *Certificates) Keys() []string {
	if c == nil {
		return nil
	}
	keys := []string{c.section + ".tls_cert", c.section + ".tls_key"}
	if c.agents {
		keys = append(keys, c.section+".tls_client_ca")
	}
	return keys
}

// Prepare is the part of a live configuration that changes the certificates.
func (c *Certificates) Prepare(t AgentTLS) (commit func(), err error) {
	switch {
	case c == nil:
		return func() {}, nil
	case t.Cert == "":
		return nil, fmt.Errorf("%s.tls_cert is empty now: a listener stops to speak TLS only when the process starts anew", c.section)
	case c.agents && t.ClientCA == "":
		return nil, fmt.Errorf("%s.tls_client_ca is empty now: that agents need no certificate any more comes into force only when the process starts anew", c.section)
	case !c.agents:
		t.ClientCA = "" // needs a restart
	}
	commit, err = c.source.Prepare(t.files())
	if err != nil {
		return nil, fmt.Errorf("%s.tls_cert: %w", c.section, err)
	}
	return commit, nil
}
