package clustertest

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func kindCases() map[string]func(*world) {
	return map[string]func(*world){
		"kinds are as the cluster serves them":         kindServed,
		"a kind that is not served says so":            kindUnknown,
		"any version will do":                          kindAny,
		"a definition that comes and goes is seen":     kindComesAndGoes,
		"many ask at once, while others forget":        kindConcurrent,
		"a cancelled context":                          kindCancelled,
		"the API server is probed":                     probed,
		"what was known of a kind is seen to be wrong": kindGone,
	}
}

func kindServed(w *world) {
	for kind, want := range map[schema.GroupVersionKind]cluster.Mapping{
		configMap:  {Kind: configMap, Resource: configMap.GroupVersion().WithResource("configmaps"), Namespaced: true},
		namespace:  {Kind: namespace, Resource: namespace.GroupVersion().WithResource("namespaces")},
		deployment: {Kind: deployment, Resource: deployment.GroupVersion().WithResource("deployments"), Namespaced: true},
		definition: {Kind: definition, Resource: definition.GroupVersion().WithResource("customresourcedefinitions")},
	} {
		wantSame(w.T, kind.String(), w.mapping(kind), want)
	}
}

func kindUnknown(w *world) {
	for _, kind := range []schema.GroupVersionKind{
		{Group: "absent.brokkr.test", Version: "v1", Kind: "Widget"},
		{Group: "apps", Version: "v9", Kind: "Deployment"},
		{Version: "v1", Kind: "Widget"},
	} {
		_, err := w.Mapping(w.ctx, kind)
		wantCode(w.T, kind.String(), err, fault.NotFound, cluster.CodeKindNotServed)
		for _, part := range []string{kind.Kind, kind.GroupVersion().String()} {
			if !strings.Contains(err.Error(), part) {
				w.Errorf("%s: got %q, want that it names %s", kind, err, part)
			}
		}
	}
}

func kindAny(w *world) {
	for kind, want := range map[schema.GroupVersionKind]schema.GroupVersionKind{
		deployment: deployment,
		{Group: "apps", Version: "v1beta1", Kind: "Deployment"}:                 deployment,
		{Version: "v9", Kind: "ConfigMap"}:                                      configMap,
		{Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler"}:  {Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler"},
		{Group: "autoscaling", Version: "v2b", Kind: "HorizontalPodAutoscaler"}: {Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	} {
		got, err := w.Any(w.ctx, kind)
		wantNone(w.T, kind.String(), err)
		wantSame(w.T, kind.String(), got.Kind, want)
	}
	_, err := w.Any(w.ctx, schema.GroupVersionKind{Group: "absent.brokkr.test", Version: "v1", Kind: "Widget"})
	wantCode(w.T, "any version of nothing", err, fault.NotFound, cluster.CodeKindNotServed)
}

func kindComesAndGoes(w *world) {
	w.mapping(configMap) // so that something is known
	kind, crd := w.define()
	w.Forget()
	wantSame(w.T, "mapping after all was forgotten", w.mapping(kind).Resource, kind.GroupVersion().WithResource("widgets"))
	w.remove(crd)
	await(w.T, "the kind is not served any more", func() bool {
		w.Forget()
		_, err := w.Mapping(w.ctx, kind)
		return fault.CodeOf(err) == cluster.CodeKindNotServed
	})
}

// kindGone uses a mapping after the definition went: whoever is refused because of it makes it be looked up anew.
func kindGone(w *world) {
	kind, crd := w.define()
	widget := w.object(kind, "a", nil)
	t := w.target(widget)
	w.remove(crd)
	await(w.T, "the kind is not served any more", func() bool {
		_, err := w.Get(w.ctx, "", t)
		return fault.CodeOf(err) == cluster.CodeKindNotServed
	})
	_, err := w.Mapping(w.ctx, kind)
	wantCode(w.T, "mapping", err, fault.NotFound, cluster.CodeKindNotServed)
	_, err = w.Apply(w.ctx, "", t.Mapping, widget, false)
	wantCode(w.T, "apply", err, fault.NotFound, cluster.CodeKindNotServed)
	_, err = w.Instances(w.ctx, "", t.Mapping, nil, 1)
	wantCode(w.T, "instances", err, fault.NotFound, cluster.CodeKindNotServed)
	wantNone(w.T, "delete", w.Delete(w.ctx, "", t))
	wantNone(w.T, "release", w.Release(w.ctx, "", t))
}

func kindConcurrent(w *world) {
	for _, err := range race(24, func(i int) error {
		if i%4 == 0 {
			w.Forget()
		}
		kind := []schema.GroupVersionKind{configMap, deployment, definition}[i%3]
		m, err := w.Mapping(w.ctx, kind)
		if err == nil && m.Kind != kind {
			w.Errorf("mapping of %s: got %s", kind, m.Kind)
		}
		return err
	}) {
		wantNone(w.T, "mapping", err)
	}
}

func kindCancelled(w *world) {
	_, err := w.Mapping(cancelled(w.ctx), configMap)
	wantCancelled(w.T, "mapping", err)
	_, err = w.Any(cancelled(w.ctx), configMap)
	wantCancelled(w.T, "any", err)
	w.mapping(configMap) // the next caller is not concerned
}

func probed(w *world) {
	latency, err := w.Probe(w.ctx)
	wantNone(w.T, "probe", err)
	if latency <= 0 {
		w.Fatalf("latency: got %v, want a positive one", latency)
	}
	_, err = w.Probe(cancelled(w.ctx))
	wantCancelled(w.T, "probe", err)
}
