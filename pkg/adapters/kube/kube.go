// Package kube does what package cluster asks for, with client-go, in a real Kubernetes cluster.
//
// It applies by server-side apply through the dynamic client. The library github.com/fluxcd/pkg/ssa is kept to the tests,
// as the judge of what has drifted: linked, it brings kubectl, kustomize and 25 MB of resident memory with it, which is as
// much as the whole agent may use.
package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// callTimeout bounds one request; the API server gives admission webhooks at most 30 s.
const callTimeout = 40 * time.Second

// Access says how to reach a cluster.
type Access struct {
	Kubeconfig string // path; empty: the usual places ($KUBECONFIG, in-cluster, ~/.kube/config)
	UserAgent  string
}

// Config returns a REST configuration. It fails if there is none to be found, saying where it looked.
func Config(a Access) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.Kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("no Kubernetes cluster: give --kubeconfig, set KUBECONFIG, or run in a pod")
		}
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	cfg.UserAgent = a.UserAgent
	cfg.QPS = -1 // the API server's own fairness limits us; a limit here would only add latency
	cfg.WarningHandler = rest.NoWarnings{}
	return cfg, nil
}

// Options of a Cluster.
type Options struct {
	Agent     string // id; inventories carry it
	Namespace string // of the agent: inventories and lease live there
	// Only confines the agent to Namespace: no request leaves it.
	Only bool
	Log  *slog.Logger
}

// Cluster implements Kinds, Objects, Contents and Prober of package cluster.
type Cluster struct {
	options   Options
	config    *rest.Config
	dynamic   dynamic.Interface
	metadata  metadata.Interface
	discovery *discovery.DiscoveryClient
	kinds     kinds

	mu           sync.Mutex
	impersonated map[cluster.Identity]dynamic.Interface
}

var (
	_ cluster.Kinds    = (*Cluster)(nil)
	_ cluster.Objects  = (*Cluster)(nil)
	_ cluster.Contents = (*Cluster)(nil)
	_ cluster.Prober   = (*Cluster)(nil)
)

// New returns a cluster; nothing is asked of it yet.
func New(cfg *rest.Config, o Options) (*Cluster, error) {
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	c := &Cluster{options: o, config: cfg, impersonated: map[cluster.Identity]dynamic.Interface{}}
	if c.dynamic, err = dynamic.NewForConfigAndClient(cfg, httpClient); err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	if c.metadata, err = metadata.NewForConfigAndClient(cfg, httpClient); err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	if c.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, httpClient); err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	c.kinds.fetch = c.discovery.ServerGroupsAndResources
	return c, nil
}

// Host returns the address of the API server, for logs.
func (c *Cluster) Host() string { return c.config.Host }
