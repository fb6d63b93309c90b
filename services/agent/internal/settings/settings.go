// Package settings holds the agent's configuration.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

const (
	podNamespace     = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	defaultNamespace = "brokkr-system"
	systemNamespace  = "kube-system"
	leastResync      = time.Second
	leastStatusEvery = 5 * time.Second
	mostPodLogs      = 1000
)

// Settings of an agent process.
type Settings struct {
	Agent Agent `koanf:"agent"`
	Log   Log   `koanf:"log"`
	OTLP  OTLP  `koanf:"otlp"`
}

// Agent is what only the agent has.
type Agent struct {
	PAK        config.Secret `koanf:"pak"`         // says which agent this is; empty: the Secret does, or a join
	BrokerURL  string        `koanf:"broker_url"`  // of the gateway, http or https
	CAFile     string        `koanf:"ca_file"`     // authorities of the broker's certificate; empty: those of the system
	ClientCert string        `koanf:"client_cert"` // file: shown to the broker; empty: none
	ClientKey  string        `koanf:"client_key"`  // file: of ClientCert
	Addr       string        `koanf:"addr"`        // host:port of health and metrics
	Kubeconfig string        `koanf:"kubeconfig"`  // path; empty: $KUBECONFIG, the pod's own access, ~/.kube/config
	Namespace  string        `koanf:"namespace"`   // for lease and inventories
	Namespaced bool          `koanf:"namespaced"`  // nothing outside of Namespace is touched or looked at
	Resync     time.Duration `koanf:"resync"`      // between full looks at a stack that nothing happens to
	PodLogs    int           `koanf:"pod_logs"`    // containers whose logs are followed at a time; 0: none

	WebhookNetworks []string `koanf:"webhook_networks"` // CIDRs that webhooks may call though they are this machine's or a cloud's own

	ProtectedNamespaces []string `koanf:"protected_namespaces"` // in which nothing is changed by the agent's own rights; unset: see Protected

	ServiceAccounts       []string `koanf:"service_accounts"`        // as which stacks may ask to be applied: namespace/name, namespace/*, generator-id=namespace/name
	DefaultServiceAccount string   `koanf:"default_service_account"` // namespace/name: as which stacks are applied that ask for none; empty: the agent itself

	HealthRules config.Lines `koanf:"health_rules"` // Kind.group=expression in CEL: how custom resources are of which a stack does not say it itself

	StatusEvery time.Duration `koanf:"status_every"` // between looks at the cluster as a whole
	Facts       string        `koanf:"facts"`        // of the cluster, for placement: zone=north,price=2.5

	JoinToken   config.Secret `koanf:"join_token"`   // by which the agent joins where neither PAK nor Secret has its key
	Name        string        `koanf:"name"`         // of the agent that joins
	ClusterName string        `koanf:"cluster_name"` // of the agent that joins
	KeySecret   string        `koanf:"key_secret"`   // in Namespace, with the key; empty: after Name
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

// Load reads the settings: flags (by key) over environment over file over defaults.
func Load(environ []string, flags map[string]any) (*Settings, error) {
	namespace, err := ownNamespace(podNamespace)
	if err != nil {
		return nil, err
	}
	s := &Settings{
		Agent: Agent{Addr: ":8080", Namespace: namespace, Resync: 10 * time.Minute, PodLogs: 100, StatusEvery: time.Minute},
		Log:   Log{Level: "info", Format: "json"},
		OTLP:  OTLP{Sample: 1},
	}
	if err := config.Load(s, config.Source{
		Environ: environ, Flags: flags, Aliases: map[string]string{"BROKER_URL": "agent.broker_url", "LOG_LEVEL": "log.level"},
		Foreign: []string{"database", "redis", "secrets", "admin", "broker", "api", "limits", "webhooks", "cors", "gateway", "scheduler", "telemetry"},
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// ownNamespace is that of the pod, as Kubernetes tells in a file.
func ownNamespace(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultNamespace, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the pod's namespace: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Validate reports every value that cannot work. It does not repeat the PAK.
func (s *Settings) Validate() error {
	var p config.Problems
	if s.Agent.PAK == "" {
		s.checkJoin(&p)
	} else {
		_, err := pak.Parse(s.Key())
		p.Add(err != nil, "agent.pak", "is not a Brokkr PAK (brokkr_<short>_<long>): set BROKKR__AGENT__PAK to the key that `brokkr agent create` printed")
	}
	if s.Agent.BrokerURL == "" {
		p.Add(true, "agent.broker_url", "is empty: set BROKKR__AGENT__BROKER_URL to where the broker is, such as http://localhost:3000")
	} else if _, err := broker.ParseURL(s.Agent.BrokerURL); err != nil {
		p.Add(true, "agent.broker_url", "is %q, %v", redacted(s.Agent.BrokerURL), err)
	}
	p.Add((s.Agent.ClientCert == "") != (s.Agent.ClientKey == ""), "agent.client_key", "and agent.client_cert belong together; give both or none")
	p.Add(s.Agent.Addr == "", "agent.addr", "is empty; give host:port")
	p.Add(len(validation.IsDNS1123Label(s.Agent.Namespace)) > 0, "agent.namespace", "is %q, not a name that a namespace can have", s.Agent.Namespace)
	p.Add(s.Agent.Resync < leastResync, "agent.resync", "is %s, less than %s", s.Agent.Resync, leastResync)
	p.Add(s.Agent.PodLogs < 0 || s.Agent.PodLogs > mostPodLogs, "agent.pod_logs", "is %d, not 0 to %d", s.Agent.PodLogs, mostPodLogs)
	for _, n := range s.Agent.WebhookNetworks {
		_, err := netip.ParsePrefix(n)
		p.Add(err != nil, "agent.webhook_networks", "has %q, which is not a CIDR such as 127.0.0.1/32", n)
	}
	for _, n := range s.Agent.ProtectedNamespaces {
		p.Add(len(validation.IsDNS1123Label(n)) > 0, "agent.protected_namespaces", "has %q, not a name that a namespace can have", n)
	}
	for _, entry := range s.Agent.ServiceAccounts {
		_, err := account.Parse(entry)
		p.Add(err != nil, "agent.service_accounts", "%v", err)
	}
	p.Add(s.Agent.DefaultServiceAccount != "" && !account.Valid(s.Agent.DefaultServiceAccount), "agent.default_service_account", "is %q, not namespace/name", s.Agent.DefaultServiceAccount)
	s.Rules(Compiler(), func(i int, why string) { p.Add(true, fmt.Sprintf("agent.health_rules[%d]", i), "%s", why) })
	p.Add(s.Agent.StatusEvery < leastStatusEvery, "agent.status_every", "is %s, less than %s", s.Agent.StatusEvery, leastStatusEvery)
	if _, err := cluster.ParseFacts(s.Agent.Facts); err != nil {
		p.Add(true, "agent.facts", "is not a list such as zone=north,price=2.5: %v", err)
	}
	var level slog.Level
	p.Add(level.UnmarshalText([]byte(s.Log.Level)) != nil, "log.level", "is %q, not debug, info, warn or error", s.Log.Level)
	p.Add(s.Log.Format != "json" && s.Log.Format != "text", "log.format", "is %q, not json or text", s.Log.Format)
	u, err := url.Parse(s.OTLP.Endpoint)
	p.Add(s.OTLP.Endpoint != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == ""),
		"otlp.endpoint", "is %q, not an http:// or https:// URL", s.OTLP.Endpoint)
	p.Add(s.OTLP.Sample <= 0 || s.OTLP.Sample > 1, "otlp.sample", "is %v, not above 0 and at most 1", s.OTLP.Sample)
	return p.Err()
}

// checkJoin reports what is missing where no PAK is given.
func (s *Settings) checkJoin(p *config.Problems) {
	a := s.Agent
	if a.JoinToken == "" && a.Name == "" && a.KeySecret == "" {
		p.Add(true, "agent.pak", "is empty: set BROKKR__AGENT__PAK to the key that `brokkr agent create` printed, or BROKKR__AGENT__JOIN_TOKEN to the token that `brokkr join-token create` printed")
		return
	}
	if a.JoinToken != "" {
		_, err := join.Parse(s.Token())
		p.Add(err != nil, "agent.join_token", "is not a join token (brokkrjoin_<short>_<long>): set BROKKR__AGENT__JOIN_TOKEN to what `brokkr join-token create` printed")
		p.Add(a.Name == "", "agent.name", "is empty: set BROKKR__AGENT__NAME to the name with which the agent joins")
		p.Add(a.ClusterName == "", "agent.cluster_name", "is empty: set BROKKR__AGENT__CLUSTER_NAME to the name of the cluster with which the agent joins")
	}
	if a.Name == "" && a.KeySecret == "" {
		return
	}
	bad := len(validation.IsDNS1123Subdomain(s.Secret())) > 0
	p.Add(bad && a.KeySecret != "", "agent.key_secret", "is %q, not a name that a Secret can have", a.KeySecret)
	p.Add(bad && a.KeySecret == "", "agent.key_secret", "is empty, and %q, after agent.name, is not a name that a Secret can have: set BROKKR__AGENT__KEY_SECRET", s.Secret())
}

// StatedFacts are those of the configuration, which has been validated.
func (s *Settings) StatedFacts() map[string]cluster.Fact {
	facts, err := cluster.ParseFacts(s.Agent.Facts)
	if err != nil {
		return nil
	}
	return facts
}

// Secret is the name of the Secret with the agent's key, for agents without PAK.
func (s *Settings) Secret() string {
	if s.Agent.KeySecret != "" {
		return s.Agent.KeySecret
	}
	return "brokkr-agent-" + s.Agent.Name
}

// Token is the join token without blanks and line ends.
func (s *Settings) Token() string { return strings.TrimSpace(s.Agent.JoinToken.Reveal()) }

// Protected returns the namespaces in which nothing is changed by the agent's own rights. nameless is where objects go that name no namespace.
// Unless they are set, they are kube-system and the agent's own, where the broker's keys may be; but the own one is for stacks if it is where nameless
// objects go, and of an agent that has no other one none is protected.
func (s *Settings) Protected(nameless string) []string {
	switch {
	case s.Agent.ProtectedNamespaces != nil:
		return s.Agent.ProtectedNamespaces
	case s.Agent.Namespaced:
		return nil
	case s.Agent.Namespace == nameless || s.Agent.Namespace == systemNamespace:
		return []string{systemNamespace}
	default:
		return []string{systemNamespace, s.Agent.Namespace}
	}
}

// Networks returns WebhookNetworks.
func (s *Settings) Networks() []netip.Prefix {
	var out []netip.Prefix
	for _, n := range s.Agent.WebhookNetworks {
		if p, err := netip.ParsePrefix(n); err == nil { // Validate has refused others
			out = append(out, p)
		}
	}
	return out
}

// Accounts returns as whom stacks may be applied.
func (s *Settings) Accounts() account.Rules {
	r := account.Rules{Default: s.Agent.DefaultServiceAccount}
	for _, entry := range s.Agent.ServiceAccounts {
		if a, err := account.Parse(entry); err == nil { // Validate has refused others
			r.Allowed = append(r.Allowed, a)
		}
	}
	return r
}

// Rules returns HealthRules, and reports those that cannot be used to bad.
func (s *Settings) Rules(compile health.Compile, bad func(i int, why string)) health.Rules {
	return health.Parse(s.Agent.HealthRules, compile, bad)
}

// Compiler returns what reads expressions of health rules.
func Compiler() health.Compile {
	c := healthrule.New()
	return func(expression string) (health.Rule, error) {
		r, err := c.Compile(expression)
		if err != nil {
			return nil, err
		}
		return r.Health, nil
	}
}

// Key is the PAK without the blanks and line ends that files of secrets tend to have.
func (s *Settings) Key() string { return strings.TrimSpace(s.Agent.PAK.Reveal()) }

// redacted takes a password out of what may be a URL.
func redacted(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return raw
}
