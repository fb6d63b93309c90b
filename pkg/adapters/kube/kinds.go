package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// refreshGap is the shortest time between two looks at what the cluster serves, unless Forget asked for one.
const refreshGap = 2 * time.Second

// kinds keeps what the cluster serves. Callers that want to know it anew share one look, and each waits no longer than
// its own context.
type kinds struct {
	discover func(context.Context) (offers, error)

	mu     sync.Mutex
	known  *known // nil: nothing
	flight *flight
}

// known is what one look found, boiled down to what is needed. It is not changed any more.
type known struct {
	served    map[schema.GroupVersionKind]cluster.Mapping
	deletable []cluster.Mapping // namespaced kinds that can be listed and deleted, see inANamespace
	broken    []schema.GroupVersion
	at        time.Time
}

// flight is a look in progress; the rest is set when done is closed.
type flight struct {
	done  chan struct{}
	known *known
	err   error
}

// Mapping implements cluster.Kinds.
func (c *Cluster) Mapping(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	return c.kinds.mapping(ctx, kind)
}

// Any implements cluster.Kinds.
func (c *Cluster) Any(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	return c.kinds.any(ctx, kind)
}

// Forget implements cluster.Kinds.
func (c *Cluster) Forget() {
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	c.kinds.known, c.kinds.flight = nil, nil // who waits for the flight asked before
}

func (k *kinds) mapping(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	now, err := k.get(ctx, func(now *known) bool {
		_, ok := now.served[kind]
		return ok
	})
	if err != nil {
		return cluster.Mapping{}, err
	}
	if m, ok := now.served[kind]; ok {
		return m, nil
	}
	if slices.Contains(now.broken, kind.GroupVersion()) {
		return cluster.Mapping{}, unserved([]schema.GroupVersion{kind.GroupVersion()})
	}
	return cluster.Mapping{}, notServed(kind)
}

func (k *kinds) any(ctx context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	now, err := k.get(ctx, func(now *known) bool {
		_, ok := now.whatever(kind)
		return ok
	})
	if err != nil {
		return cluster.Mapping{}, err
	}
	if found, ok := now.whatever(kind); ok {
		return found, nil
	}
	for _, gv := range now.broken {
		if gv.Group == kind.Group {
			return cluster.Mapping{}, unserved([]schema.GroupVersion{gv})
		}
	}
	return cluster.Mapping{}, notServed(kind)
}

// whatever returns the mapping of a kind in the given version or else in the most mature one.
func (n *known) whatever(kind schema.GroupVersionKind) (cluster.Mapping, bool) {
	if m, ok := n.served[kind]; ok {
		return m, true
	}
	var found cluster.Mapping
	for k, m := range n.served {
		if k.GroupKind() == kind.GroupKind() && (found.Kind.Kind == "" || version.CompareKubeAwareVersionStrings(k.Version, found.Kind.Version) > 0) {
			found = m
		}
	}
	return found, found.Kind.Kind != ""
}

// namespaced returns the kinds of objects that a namespace can hold, as they are now.
func (k *kinds) namespaced(ctx context.Context) ([]cluster.Mapping, error) {
	now, err := k.get(ctx, func(*known) bool { return false })
	if err != nil {
		return nil, err
	}
	if len(now.broken) > 0 {
		return nil, unserved(now.broken)
	}
	return now.deletable, nil
}

// serves reports whether the cluster says that it has a resource, as it is now.
func (k *kinds) serves(ctx context.Context, r schema.GroupVersionResource) (bool, error) {
	now, err := k.get(ctx, func(*known) bool { return false })
	if err != nil {
		return false, err
	}
	if slices.Contains(now.broken, r.GroupVersion()) {
		return false, unserved([]schema.GroupVersion{r.GroupVersion()})
	}
	for _, m := range now.served {
		if m.Resource == r {
			return true, nil
		}
	}
	return false, nil
}

// get returns what is known if it is enough or was just found out, else what a new look finds.
func (k *kinds) get(ctx context.Context, enough func(*known) bool) (*known, error) {
	if err := ctx.Err(); err != nil {
		return nil, translate(err, false)
	}
	k.mu.Lock()
	if now := k.known; now != nil && (enough(now) || time.Since(now.at) <= refreshGap) {
		k.mu.Unlock()
		return now, nil
	}
	f := k.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		k.flight = f
		go k.look(context.WithoutCancel(ctx), f)
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.known, f.err
	case <-ctx.Done():
		return nil, translate(ctx.Err(), false)
	}
}

func (k *kinds) look(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer close(f.done)
	var found offers
	if found, f.err = k.discover(ctx); f.err != nil {
		f.err = fmt.Errorf("ask what the cluster serves: %w", f.err)
	} else {
		f.known = boil(found)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != f {
		return // Forget came between: what was found may be what is to be forgotten
	}
	k.flight = nil
	if f.err == nil {
		k.known = f.known
	}
}

func boil(found offers) *known {
	now := &known{served: make(map[schema.GroupVersionKind]cluster.Mapping, len(found.list)), broken: found.broken, at: time.Now()}
	for _, o := range found.list {
		if _, have := now.served[o.mapping.Kind]; !have {
			now.served[o.mapping.Kind] = o.mapping
		}
	}
	now.deletable = inANamespace(found.list)
	slices.SortFunc(now.broken, func(a, b schema.GroupVersion) int { return strings.Compare(a.String(), b.String()) })
	return now
}

// inANamespace returns the kinds of objects that a namespace can hold and that can be listed and deleted, each once: in the
// version that its group prefers, or else in the first one that has it. A group prefers one version for all of its kinds,
// also for those that it has in others only.
func inANamespace(list []offer) []cluster.Mapping {
	list = slices.DeleteFunc(slices.Clone(list), func(o offer) bool {
		return !o.mapping.Namespaced || !slices.Contains(o.verbs, "list") || !slices.Contains(o.verbs, "delete")
	})
	slices.SortStableFunc(list, func(a, b offer) int { return a.place - b.place })
	var out []cluster.Mapping
	have := make(map[schema.GroupResource]bool, len(list))
	for _, o := range list {
		if r := o.mapping.Resource.GroupResource(); !have[r] {
			have[r] = true
			out = append(out, o.mapping)
		}
	}
	return out
}

func notServed(kind schema.GroupVersionKind) error {
	return fault.Newf(fault.NotFound, cluster.CodeKindNotServed,
		"the cluster does not have the kind %s in %s: install its definition (CRD) or use a version that it serves", kind.Kind, kind.GroupVersion())
}

func unserved(broken []schema.GroupVersion) error {
	names := make([]string, len(broken))
	for i, gv := range broken {
		names[i] = gv.String()
	}
	return fault.Newf(fault.Unavailable, "cluster_api_unavailable", "the cluster has APIs whose servers do not answer: %s: see `kubectl get apiservices`", strings.Join(names, ", "))
}
