// Package kube does what package cluster asks for, with client-go, in a real Kubernetes cluster.
//
// It applies by server-side apply through the dynamic client. The library github.com/fluxcd/pkg/ssa is kept to the tests,
// as the judge of what has drifted: linked, it brings kubectl, kustomize and 25 MB of resident memory with it, which is as
// much as the whole agent may use. For the same reason client-go's discovery, informers and typed clients are not used:
// they link all that Kubernetes has. BenchmarkFootprint tells what is resident.
package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
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
		if clientcmd.IsEmptyConfig(err) && a.Kubeconfig != "" {
			return nil, fmt.Errorf("the kubeconfig %s leads to no cluster: its current-context must name one of its contexts, and that one of its clusters", a.Kubeconfig)
		}
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
	options       Options
	host          string
	clients       // of the agent itself
	plain         rest.Interface
	impersonation impersonation
	kinds         kinds
	owners        owners
	fence         fence
}

var (
	_ cluster.Kinds    = (*Cluster)(nil)
	_ cluster.Objects  = (*Cluster)(nil)
	_ cluster.Contents = (*Cluster)(nil)
	_ cluster.Prober   = (*Cluster)(nil)
	_ cluster.Tenure   = (*Cluster)(nil)
)

// New returns a cluster; nothing is asked of it yet.
func New(cfg *rest.Config, o Options) (*Cluster, error) {
	t, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("set up the connection to Kubernetes: %w", err)
	}
	h := &http.Client{Transport: t} // without a timeout, which would end watches: each call brings its own
	c := &Cluster{options: o, host: cfg.Host, impersonation: impersonation{config: cfg, transport: t, kept: map[cluster.Identity]clients{}},
		owners: owners{kept: map[string]belonging{}}}
	if c.clients, err = newClients(cfg, h); err != nil {
		return nil, err
	}
	if c.plain, err = newPlainClient(cfg, h); err != nil {
		return nil, err
	}
	c.kinds.discover = discovery{client: c.plain, accept: aggregated}.discover
	return c, nil
}

// Host returns the address of the API server, for logs.
func (c *Cluster) Host() string { return c.host }

// as returns the clients of an identity.
func (c *Cluster) as(id cluster.Identity) (clients, error) {
	if id == "" {
		return c.clients, nil
	}
	return c.impersonation.clients(id)
}

// confine fails for what lies outside of the namespace that the agent is confined to, if it is. An empty namespace is that
// of what belongs to none.
func (c *Cluster) confine(what, namespace string) error {
	if !c.options.Only || namespace == c.options.Namespace {
		return nil
	}
	where := "namespace " + namespace
	if namespace == "" {
		where = "the cluster as a whole"
	}
	return fault.Newf(fault.Forbidden, "outside_namespace", "%s of %s: the agent is confined to namespace %s", what, where, c.options.Namespace)
}
