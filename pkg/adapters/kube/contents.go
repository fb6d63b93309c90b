package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

const (
	listPage = 500
	listers  = 8
	maxPods  = 200
)

// Strangers implements cluster.Contents. It lists every kind of the namespace, metadata only, and gives up with an error
// if one of them cannot be listed: not knowing is not the same as empty.
func (c *Cluster) Strangers(ctx context.Context, as cluster.Identity, namespace string, mine map[string]bool, limit int) ([]cluster.Key, error) {
	if err := c.confine("the contents", namespace); err != nil {
		return nil, err
	}
	own, err := c.as(as)
	if err != nil {
		return nil, err
	}
	kinds, err := c.kinds.namespaced(ctx)
	if err != nil {
		return nil, err
	}
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(m cluster.Mapping) bool { return isNoise(m.Resource.GroupResource()) })
	var mu sync.Mutex
	var found []cluster.Key
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listers)
	for _, m := range kinds {
		g.Go(func() error {
			err := c.eachMetadata(ctx, own.metadata, m, namespace, func(o *metav1.PartialObjectMetadata) bool {
				mu.Lock()
				defer mu.Unlock()
				if !mine[string(o.UID)] && isStranger(o, m, kinds) {
					found = append(found, cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: namespace, Name: o.Name})
				}
				return len(found) < limit
			})
			if fault.CodeOf(err) == cluster.CodeKindNotServed {
				return nil // its definition has just gone, and all objects with it
			}
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
func (c *Cluster) Instances(ctx context.Context, as cluster.Identity, m cluster.Mapping, mine map[string]bool, limit int) ([]cluster.Key, error) {
	namespace := metav1.NamespaceAll
	if c.options.Only && m.Namespaced {
		namespace = c.options.Namespace
	}
	if err := c.confine(m.Kind.Kind, namespace); err != nil {
		return nil, err
	}
	own, err := c.as(as)
	if err != nil {
		return nil, err
	}
	var found []cluster.Key
	err = c.eachMetadata(ctx, own.metadata, m, namespace, func(o *metav1.PartialObjectMetadata) bool {
		if !mine[string(o.UID)] {
			found = append(found, cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: o.Namespace, Name: o.Name})
		}
		return len(found) < limit
	})
	return found, err
}

// eachMetadata lists page by page until there is no more or more says that it has enough.
func (c *Cluster) eachMetadata(ctx context.Context, client metadata.Interface, m cluster.Mapping, namespace string, more func(*metav1.PartialObjectMetadata) bool) error {
	o := metav1.ListOptions{Limit: listPage}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		list, err := client.Resource(m.Resource).Namespace(namespace).List(call, o)
		cancel()
		if err != nil {
			return c.translate(ctx, err, m)
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

// isStranger leaves out what belongs to another object of the namespace (which is looked at itself, for it is of one of
// the kinds), and what Kubernetes puts into each namespace.
func isStranger(o *metav1.PartialObjectMetadata, m cluster.Mapping, kinds []cluster.Mapping) bool {
	for _, owner := range o.OwnerReferences {
		kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
		if slices.ContainsFunc(kinds, func(m cluster.Mapping) bool { return m.Kind.GroupKind() == kind }) {
			return false
		}
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

// Pods implements cluster.Contents; it returns at most 200. The answer is read into pods directly: by way of the dynamic
// client it would take several times the memory.
func (c *Cluster) Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	if err := c.confine("the pods", namespace); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := body(c.plain.Get().AbsPath("/api/v1/namespaces", namespace, "pods").
		Param("labelSelector", selector).Param("limit", strconv.Itoa(maxPods)).Do(ctx))
	if err != nil {
		return nil, err
	}
	var list corev1.PodList
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the pods of namespace %s: %w", namespace, err)
	}
	return list.Items, nil
}
