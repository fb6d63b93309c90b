package kube

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// maxImpersonated bounds the clients that are kept for service accounts.
const maxImpersonated = 256

// clients are what one identity asks the cluster with.
type clients struct {
	dynamic  dynamic.Interface
	metadata metadata.Interface
}

func newClients(cfg *rest.Config, h *http.Client) (clients, error) {
	d, err := dynamic.NewForConfigAndClient(cfg, h)
	if err != nil {
		return clients{}, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	m, err := metadata.NewForConfigAndClient(cfg, h)
	if err != nil {
		return clients{}, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	return clients{dynamic: d, metadata: m}, nil
}

// newPlainClient returns a client for paths: it knows no kinds but Status, which errors are told with.
func newPlainClient(cfg *rest.Config, h *http.Client) (rest.Interface, error) {
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	cfg.GroupVersion = &schema.GroupVersion{}
	c, err := rest.UnversionedRESTClientForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client: %w", err)
	}
	return c, nil
}

// body returns what a path answered; only Error finds the status in an answer that says what is wrong.
func body(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, translate(err, false)
	}
	b, err := r.Raw()
	return b, translate(err, false)
}

// impersonation keeps the clients of service accounts. All share the agent's connections: clients with configurations of
// their own would have connections of their own wherever client-go cannot tell that two configurations are alike.
type impersonation struct {
	config    *rest.Config
	transport http.RoundTripper

	mu   sync.Mutex
	kept map[cluster.Identity]clients
}

func (i *impersonation) clients(as cluster.Identity) (clients, error) {
	namespace, name, ok := strings.Cut(string(as), "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return clients{}, fault.Newf(fault.Invalid, "invalid_service_account", "service account %q is not <namespace>/<name>", as)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if c, ok := i.kept[as]; ok {
		return c, nil
	}
	// Without groups: the API server adds those of the service account itself, while naming them would take the right to
	// impersonate groups, which no namespace bounds.
	c, err := newClients(i.config, &http.Client{Transport: transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
	}, i.transport)})
	if err != nil {
		return clients{}, err
	}
	if len(i.kept) >= maxImpersonated {
		clear(i.kept)
	}
	i.kept[as] = c
	return c, nil
}
