package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Kubernetes says what it serves in two documents since 1.26; older and simpler servers answer with the lists of groups,
// each of which has to be asked.
const (
	aggregatedKind = "APIGroupDiscoveryList"
	aggregated     = "application/json;g=apidiscovery.k8s.io;v=v2;as=" + aggregatedKind + ",application/json;g=apidiscovery.k8s.io;v=v2beta1;as=" + aggregatedKind + ",application/json"
	discoverers    = 8
)

// offer is what the cluster says about one resource.
type offer struct {
	mapping cluster.Mapping
	verbs   []string
	place   int // of its version in its group: 0 is the preferred one, the others follow in the order in which the cluster has them
}

// offers is what the cluster says about all; broken are the APIs that it has and cannot tell about.
type offers struct {
	list   []offer
	broken []schema.GroupVersion
}

// discovery asks what a cluster serves. It is written here because client-go's links every kind that Kubernetes has:
// half of the program's size, and 10 MB of resident memory.
type discovery struct {
	client rest.Interface
	accept string
}

// discover returns what can be found out; an error means that nothing could.
func (d discovery) discover(ctx context.Context) (offers, error) {
	var all offers
	for _, root := range []string{"/api", "/apis"} {
		body, err := d.get(ctx, root)
		if err != nil {
			return offers{}, err
		}
		var head metav1.TypeMeta
		if err := json.Unmarshal(body, &head); err != nil {
			return offers{}, fmt.Errorf("read the answer at %s: %w", root, err)
		}
		if head.Kind == aggregatedKind {
			err = all.readAggregated(body)
		} else {
			err = d.readGroups(ctx, &all, body)
		}
		if err != nil {
			return offers{}, fmt.Errorf("read the answer at %s: %w", root, err)
		}
	}
	return all, nil
}

func (d discovery) get(ctx context.Context, path string) ([]byte, error) {
	return body(d.client.Get().AbsPath(path).SetHeader("Accept", d.accept).Do(ctx))
}

// aggregatedList is what is of interest in an APIGroupDiscoveryList, v2 and v2beta1 alike.
type aggregatedList struct {
	Items []struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Versions []struct {        // the preferred one first
			Version   string `json:"version"`
			Freshness string `json:"freshness"`
			Resources []struct {
				Resource     string                   `json:"resource"`
				ResponseKind *metav1.GroupVersionKind `json:"responseKind"`
				Scope        string                   `json:"scope"`
				Verbs        []string                 `json:"verbs"`
			} `json:"resources"`
		} `json:"versions"`
	} `json:"items"`
}

func (o *offers) readAggregated(body []byte) error {
	var list aggregatedList
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for _, g := range list.Items {
		for i, v := range g.Versions {
			gv := schema.GroupVersion{Group: g.Metadata.Name, Version: v.Version}
			if v.Freshness == "Stale" {
				o.broken = append(o.broken, gv)
				continue
			}
			for _, r := range v.Resources {
				if r.ResponseKind != nil {
					o.add(gv, r.Resource, r.ResponseKind.Kind, r.Scope == "Namespaced", r.Verbs, i)
				}
			}
		}
	}
	return nil
}

func (o *offers) add(gv schema.GroupVersion, resource, kind string, namespaced bool, verbs []string, place int) {
	if kind == "" || strings.Contains(resource, "/") { // a subresource
		return
	}
	o.list = append(o.list, offer{
		mapping: cluster.Mapping{Kind: gv.WithKind(kind), Resource: gv.WithResource(resource), Namespaced: namespaced},
		verbs:   verbs, place: place,
	})
}

// groupList is what is of interest in an APIGroupList, or in APIVersions, which are those of the group without a name.
type groupList struct {
	Versions []string          `json:"versions"`
	Groups   []metav1.APIGroup `json:"groups"`
}

func (d discovery) readGroups(ctx context.Context, all *offers, body []byte) error {
	var list groupList
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(discoverers)
	ask := func(path string, gv schema.GroupVersion, place int) {
		g.Go(func() error {
			body, err := d.get(ctx, path)
			if ctx.Err() != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			var resources metav1.APIResourceList
			switch {
			case apierrors.IsNotFound(err):
				return nil // it went meanwhile
			case err == nil:
				err = json.Unmarshal(body, &resources)
			}
			if err != nil {
				all.broken = append(all.broken, gv)
				return nil //nolint:nilerr // others can be told about
			}
			for _, r := range resources.APIResources {
				all.add(gv, r.Name, r.Kind, r.Namespaced, r.Verbs, place)
			}
			return nil
		})
	}
	for i, v := range list.Versions {
		ask("/api/"+v, schema.GroupVersion{Version: v}, i)
	}
	for _, group := range list.Groups {
		preferred := slices.IndexFunc(group.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == group.PreferredVersion.Version })
		for i, v := range group.Versions {
			place := i
			switch {
			case i == preferred:
				place = 0
			case i < preferred:
				place = i + 1
			}
			ask("/apis/"+v.GroupVersion, schema.GroupVersion{Group: group.Name, Version: v.Version}, place)
		}
	}
	return g.Wait()
}
