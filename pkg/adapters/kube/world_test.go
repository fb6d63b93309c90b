package kube_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Kinds that tests use.
var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

	configMap = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

	secret     = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	deployment = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	namespace  = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
)

// world is one test's namespace in a real cluster, with an adapter that has an agent's identity of its own.
type world struct {
	testing.TB
	config    *rest.Config // administrator
	admin     dynamic.Interface
	namespace string
	agent     string
	c         *kube.Cluster
}

func newWorld(t testing.TB) *world {
	t.Helper()
	cfg, err := kube.Config(kube.Access{Kubeconfig: testenv.Kubeconfigs(t, 1)[0], UserAgent: "brokkr-test"})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, config: cfg, admin: admin, namespace: "kube-" + strings.ToLower(uuid.NewString()[:13]), agent: uuid.NewString()}
	w.c = w.cluster(cfg, kube.Options{})
	w.makeNamespace(w.namespace)
	return w
}

// makeNamespace makes a namespace that goes with the test. Its deletion is not waited for.
func (w *world) makeNamespace(name string) {
	w.Helper()
	u := object(namespace, "", name, nil)
	r := w.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	if _, err := r.Create(w.Context(), u, metav1.CreateOptions{}); err != nil {
		w.Fatalf("make namespace: %v", err)
	}
	w.removeNamespace(name)
}

// removeNamespace has a namespace go with the test.
func (w *world) removeNamespace(name string) {
	r := w.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			w.Errorf("delete namespace: %v", err)
		}
	})
}

// cluster returns an adapter for this world's namespace and agent.
func (w *world) cluster(cfg *rest.Config, o kube.Options) *kube.Cluster {
	w.Helper()
	o.Agent, o.Namespace = w.agent, w.namespace
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := kube.New(cfg, o)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) mapping(kind schema.GroupVersionKind) cluster.Mapping {
	w.Helper()
	m, err := w.c.Mapping(w.Context(), kind)
	if err != nil {
		w.Fatalf("mapping: %v", err)
	}
	return m
}

// object makes an object of the world's namespace; fields are added at its top.
func (w *world) object(kind schema.GroupVersionKind, name string, fields map[string]any) *unstructured.Unstructured {
	return object(kind, w.namespace, name, fields)
}

func object(kind schema.GroupVersionKind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	for k, v := range fields {
		u.Object[k] = v
	}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}
