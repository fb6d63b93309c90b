// Package wiring builds the agent's process: configuration, cluster, broker, and what works between them.
package wiring

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/heart"
	"github.com/colliery-io/brokkr/services/agent/internal/settings"
)

// Together less than the 30 s that Kubernetes gives a pod.
const (
	workGrace  = 15 * time.Second // for the requests in hand; the last reports come after it
	stopGrace  = 25 * time.Second
	probeDrain = 2 * time.Second
)

// Main runs an agent process until ctx ends. It takes its configuration from flags (by key) and environ, and logs to out.
func Main(ctx context.Context, version string, environ []string, flags map[string]any, out io.Writer) error {
	s, err := settings.Load(environ, flags)
	if err != nil {
		return err
	}
	tel, err := telemetry.New(ctx, telemetry.Config{Service: "brokkr-agent", Version: version, LogLevel: s.Log.Level, LogFormat: s.Log.Format,
		OTLPEndpoint: s.OTLP.Endpoint, SampleRatio: s.OTLP.Sample, Output: out})
	if err != nil {
		return err
	}
	to, err := newPeers(s, version, tel.Log)
	if err != nil {
		return err
	}
	a := &agent{
		settings: s, version: version, telemetry: tel, peers: to, heart: heart.New(to.cluster, tel.Log),
	}
	checks := a.checks()
	ln, err := httpserver.Listen(httpserver.Config{Name: "health (agent.addr)", Addr: s.Agent.Addr, Drain: probeDrain, Log: tel.Log}, endpoints(checks, tel))
	if err != nil {
		return err
	}
	tel.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "brokkr_agent_kubernetes_up", Help: "1 while the cluster's API server answers.",
	}, func() float64 { return one(a.heart.Err() == nil) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "brokkr_agent_acting", Help: "1 while this process holds the agent's lease, so that it acts.",
	}, func() float64 { return one(a.office.check(ctx) == nil) }))
	tel.Log.InfoContext(ctx, "starting", "version", version, "cluster", to.cluster.Host(), "configuration", config.Effective(s))

	g := lifecycle.Group{Log: tel.Log, Grace: stopGrace}
	g.AddClose("telemetry", tel.Shutdown)
	g.Add("health", ln.Run)
	g.Add("heart", a.heart.Run)
	g.Add("agent", a.run)
	g.AddClose("drain", func(context.Context) error {
		checks.Drain()
		return nil
	})
	return g.Run(ctx)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func endpoints(c *health.Checker, tel *telemetry.Telemetry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", c.Live)
	mux.HandleFunc("GET /readyz", c.Ready)
	mux.HandleFunc("GET /health", c.Detail)
	mux.Handle("GET /metrics", tel.Metrics())
	return mux
}

// peers are what an agent talks to, before it is known which agent it is: that the broker has to tell, but whether the API server
// answers can be found out before.
type peers struct {
	access  *rest.Config
	cluster *kube.Cluster
	base    *url.URL    // of the broker
	trust   *tls.Config // to it
}

func newPeers(s *settings.Settings, version string, log *slog.Logger) (p peers, err error) {
	if p.access, err = kube.Config(kube.Access{Kubeconfig: s.Agent.Kubeconfig, UserAgent: "brokkr-agent/" + version}); err != nil {
		return p, err
	}
	if p.cluster, err = kube.New(p.access, kube.Options{Namespace: s.Agent.Namespace, Only: s.Agent.Namespaced, Log: log}); err != nil {
		return p, err
	}
	if p.base, err = broker.ParseURL(s.Agent.BrokerURL); err != nil {
		return p, err
	}
	p.trust, err = broker.Trust(s.Agent.CAFile, s.Agent.ClientCert, s.Agent.ClientKey)
	return p, err
}
