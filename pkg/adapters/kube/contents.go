package kube

import (
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

const (
	listPage = 500
	listers  = 8
	maxPods  = 200
)

// Strangers implements cluster.Contents. It lists every kind of the namespace, metadata only, and gives up with an error
// if one of them cannot be listed: not knowing is not the same as empty.
func (c *Cluster) Strangers(ctx context.Context, as cluster.Identity, namespace, stack string, limit int) ([]cluster.Key, error) {
	kinds, err := c.kinds.namespaced(ctx)
	if err != nil {
		return nil, err
	}
	client, err := c.metadataClient(as)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var found []cluster.Key
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listers)
	for _, m := range kinds {
		if isNoise(m.Resource.GroupResource()) {
			continue
		}
		g.Go(func() error {
			keys, err := strangersOf(ctx, client, m, namespace, stack, limit)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, keys...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b cluster.Key) int { return strings.Compare(a.String(), b.String()) })
	return found[:min(len(found), limit)], nil
}

// Instances implements cluster.Contents.
func (c *Cluster) Instances(ctx context.Context, as cluster.Identity, m cluster.Mapping, stack string, limit int) ([]cluster.Key, error) {
	client, err := c.metadataClient(as)
	if err != nil {
		return nil, err
	}
	var found []cluster.Key
	err = eachMetadata(ctx, client, m, metav1.NamespaceAll, func(o *metav1.PartialObjectMetadata) bool {
		if o.Labels[cluster.LabelStack] != stack {
			found = append(found, cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: o.Namespace, Name: o.Name})
		}
		return len(found) < limit
	})
	return found, err
}

func (c *Cluster) metadataClient(as cluster.Identity) (metadata.Interface, error) {
	if as == "" {
		return c.metadata, nil
	}
	if _, err := c.client(as); err != nil { // checks the identity's form
		return nil, err
	}
	namespace, name, _ := strings.Cut(string(as), "/")
	cfg := rest.CopyConfig(c.config)
	cfg.Impersonate.UserName = "system:serviceaccount:" + namespace + ":" + name
	cfg.Impersonate.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	return metadata.NewForConfig(cfg)
}

func strangersOf(ctx context.Context, client metadata.Interface, m cluster.Mapping, namespace, stack string, limit int) ([]cluster.Key, error) {
	var found []cluster.Key
	err := eachMetadata(ctx, client, m, namespace, func(o *metav1.PartialObjectMetadata) bool {
		if isStranger(o, m, stack) {
			found = append(found, cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: namespace, Name: o.Name})
		}
		return len(found) < limit
	})
	return found, err
}

// eachMetadata lists page by page until there is no more or more says that it has enough.
func eachMetadata(ctx context.Context, client metadata.Interface, m cluster.Mapping, namespace string, more func(*metav1.PartialObjectMetadata) bool) error {
	o := metav1.ListOptions{Limit: listPage}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		list, err := client.Resource(m.Resource).Namespace(namespace).List(call, o)
		cancel()
		if err != nil {
			return translate(err, false)
		}
		for i := range list.Items {
			if !more(&list.Items[i]) {
				return nil
			}
		}
		if list.Continue == "" {
			return nil
		}
		o.Continue = list.Continue
	}
}

// isStranger leaves out what belongs to the stack, what belongs to another object (which is looked at itself), and what
// Kubernetes puts into each namespace.
func isStranger(o *metav1.PartialObjectMetadata, m cluster.Mapping, stack string) bool {
	if o.Labels[cluster.LabelStack] == stack || len(o.OwnerReferences) > 0 {
		return false
	}
	switch m.Resource.GroupResource() {
	case schema.GroupResource{Resource: "configmaps"}:
		return o.Name != "kube-root-ca.crt"
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return o.Name != "default"
	case schema.GroupResource{Resource: "secrets"}:
		return o.Annotations[corev1.ServiceAccountNameKey] == ""
	default:
		return true
	}
}

// isNoise are kinds that come and go by themselves.
func isNoise(r schema.GroupResource) bool {
	switch r.String() {
	case "events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io":
		return true
	default:
		return false
	}
}

// Pods implements cluster.Contents; it returns at most 200.
func (c *Cluster) Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: maxPods})
	if err != nil {
		return nil, translate(err, false)
	}
	pods := make([]corev1.Pod, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &pods[i]); err != nil {
			return nil, err
		}
	}
	return pods, nil
}
