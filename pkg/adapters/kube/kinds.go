package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// refreshGap is the shortest time between two looks at what the cluster serves, unless Forget asked for one.
const refreshGap = 2 * time.Second

// kinds keeps what the cluster serves, boiled down to what is needed.
type kinds struct {
	fetch func() ([]*metav1.APIGroup, []*metav1.APIResourceList, error)

	mu        sync.Mutex
	served    map[schema.GroupVersionKind]cluster.Mapping
	deletable []cluster.Mapping // namespaced kinds that can be listed and deleted, one version each
	broken    map[schema.GroupVersion]error
	fetched   time.Time
}

// Mapping implements cluster.Kinds.
func (c *Cluster) Mapping(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	return c.kinds.mapping(ctx, kind)
}

// Any implements cluster.Kinds.
func (c *Cluster) Any(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	m, err := c.kinds.mapping(ctx, kind)
	if err == nil || fault.CodeOf(err) != cluster.CodeKindNotServed {
		return m, err
	}
	if m, ok := c.kinds.other(kind.GroupKind()); ok {
		return m, nil
	}
	return cluster.Mapping{}, err
}

// Forget implements cluster.Kinds.
func (c *Cluster) Forget() {
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	c.kinds.fetched = time.Time{}
}

func (k *kinds) mapping(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Mapping{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m, ok := k.served[kind]; ok {
		return m, nil
	}
	if time.Since(k.fetched) > refreshGap {
		if err := k.refresh(); err != nil {
			return cluster.Mapping{}, err
		}
		if m, ok := k.served[kind]; ok {
			return m, nil
		}
	}
	if err := k.broken[kind.GroupVersion()]; err != nil {
		return cluster.Mapping{}, fault.Newf(fault.Unavailable, "cluster_unreachable", "the API %s does not answer: %s", kind.GroupVersion(), err).Because(err)
	}
	return cluster.Mapping{}, fault.Newf(fault.NotFound, cluster.CodeKindNotServed,
		"the cluster does not have the kind %s in %s: install its definition (CRD) or use a version that it serves", kind.Kind, kind.GroupVersion())
}

// other returns the mapping of any version of a kind that is served.
func (k *kinds) other(gk schema.GroupKind) (cluster.Mapping, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found cluster.Mapping
	for kind, m := range k.served {
		if kind.GroupKind() == gk && (found.Resource.Resource == "" || version.CompareKubeAwareVersionStrings(kind.Version, found.Kind.Version) > 0) {
			found = m
		}
	}
	return found, found.Resource.Resource != ""
}

// namespaced returns the kinds of objects that a namespace can hold.
func (k *kinds) namespaced(ctx context.Context) ([]cluster.Mapping, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.fetched) > refreshGap {
		if err := k.refresh(); err != nil {
			return nil, err
		}
	}
	if len(k.broken) > 0 {
		return nil, fault.Newf(fault.Unavailable, "cluster_unreachable", "%d APIs of the cluster do not answer", len(k.broken))
	}
	return slices.Clone(k.deletable), nil
}

func (k *kinds) refresh() error {
	groups, lists, err := k.fetch()
	broken := map[schema.GroupVersion]error{}
	var failed *discovery.ErrGroupDiscoveryFailed
	switch {
	case errors.As(err, &failed):
		broken = failed.Groups
	case err != nil:
		return translate(err, false)
	}
	k.served, k.deletable, k.broken, k.fetched = map[schema.GroupVersionKind]cluster.Mapping{}, nil, broken, time.Now()
	preferred := map[string]string{}
	for _, g := range groups {
		preferred[g.Name] = g.PreferredVersion.Version
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // not an API that anybody could name
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue // a subresource
			}
			m := cluster.Mapping{Kind: gv.WithKind(r.Kind), Resource: gv.WithResource(r.Name), Namespaced: r.Namespaced}
			if _, have := k.served[m.Kind]; !have {
				k.served[m.Kind] = m
			}
			if r.Namespaced && preferred[gv.Group] == gv.Version && slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "delete") {
				k.deletable = append(k.deletable, m)
			}
		}
	}
	return nil
}
