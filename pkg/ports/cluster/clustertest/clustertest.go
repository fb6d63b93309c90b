// Package clustertest proves that an adapter keeps the contract of package cluster: one suite, run by the adapter's tests
// on real API servers. Where a comment of the port leaves room, the suite settles it:
//
//   - a cancelled context comes back as an error that is context.Canceled;
//   - what is absent, or of a kind that is not served any more, is deleted and released without an error;
//   - a watch tells of what was there before it, too;
//   - what belongs to an object outside of a namespace is a stranger in it: nobody else looks at the owner.
package clustertest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Parts are what an adapter implements, in a cluster that works all through the test, with an administrator's rights.
type Parts struct {
	cluster.Kinds
	cluster.Objects
	cluster.Contents
	cluster.Prober
	Inventories cluster.Inventories
	PodLogs     cluster.PodLogs
	// Watches returns watches that run until ctx ends; ended is closed when notify is not called any more.
	Watches func(ctx context.Context, notify func(cluster.Change)) (w cluster.Watches, ended <-chan struct{})
	// Namespace exists, holds nothing but what Kubernetes puts into each, and is the test's alone.
	Namespace string
	// Agent is whose stacks PodLogs looks at.
	Agent string
}

// Cluster checks that an adapter keeps the contract of package cluster. Open returns parts that the test alone uses; it
// cleans up through t.
func Cluster(t *testing.T, open func(t *testing.T) Parts) {
	t.Helper()
	groups := map[string]map[string]func(*world){
		"kinds":       kindCases(),
		"objects":     objectCases(),
		"refusals":    refusalCases(),
		"deletions":   deletionCases(),
		"contents":    contentCases(),
		"inventories": inventoryCases(),
		"watches":     watchCases(),
		"pod logs":    podLogCases(),
	}
	for group, cases := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, run := range cases {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					run(&world{T: t, Parts: open(t), ctx: t.Context()})
				})
			}
		})
	}
}

// Kinds that tests use, as Kubernetes has them.
var (
	configMap  = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}                                               //nolint:gochecknoglobals // constant
	secret     = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}                                                  //nolint:gochecknoglobals // constant
	pod        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}                                                     //nolint:gochecknoglobals // constant
	namespace  = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}                                               //nolint:gochecknoglobals // constant
	deployment = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}                               //nolint:gochecknoglobals // constant
	definition = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"} //nolint:gochecknoglobals // constant
)

// world is one test's parts with short ways to use them.
type world struct {
	*testing.T
	Parts
	ctx context.Context //nolint:containedctx // lives as long as the test
}

func (w *world) mapping(kind schema.GroupVersionKind) cluster.Mapping {
	w.Helper()
	m, err := w.Mapping(w.ctx, kind)
	wantNone(w.T, "mapping", err)
	return m
}

// object makes an object of the test's namespace; fields are added at its top.
func (w *world) object(kind schema.GroupVersionKind, name string, fields map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	for k, v := range fields {
		u.Object[k] = v
	}
	u.SetGroupVersionKind(kind)
	u.SetName(name)
	u.SetNamespace(w.Namespace)
	return u
}

// text makes a ConfigMap with one value.
func (w *world) text(name, value string) *unstructured.Unstructured {
	return w.object(configMap, name, map[string]any{"data": map[string]any{"text": value}})
}

func of(u *unstructured.Unstructured, stack string) *unstructured.Unstructured {
	u.SetLabels(map[string]string{cluster.LabelStack: stack})
	return u
}

// owned makes an object a dependent of another.
func owned(u, owner *unstructured.Unstructured) *unstructured.Unstructured {
	meta := u.Object["metadata"].(map[string]any)
	meta["ownerReferences"] = []any{map[string]any{"apiVersion": owner.GetAPIVersion(), "kind": owner.GetKind(), "name": owner.GetName(),
		"uid": string(owner.GetUID()), "blockOwnerDeletion": true}}
	return u
}

func (w *world) target(u *unstructured.Unstructured) cluster.Target {
	w.Helper()
	return cluster.Target{Mapping: w.mapping(u.GroupVersionKind()), Namespace: u.GetNamespace(), Name: u.GetName()}
}

// apply applies an object as the agent itself and returns it as the cluster has it.
func (w *world) apply(u *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	got, err := w.Apply(w.ctx, "", w.mapping(u.GroupVersionKind()), u, false)
	wantNone(w.T, "apply "+u.GetName(), err)
	return got
}

func (w *world) see(u *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	got, err := w.Get(w.ctx, "", w.target(u))
	wantNone(w.T, "get "+u.GetName(), err)
	return got
}

func (w *world) remove(u *unstructured.Unstructured) {
	w.Helper()
	wantNone(w.T, "delete "+u.GetName(), w.Delete(w.ctx, "", w.target(u)))
}

// removeAtEnd is for what lies outside of the test's namespace.
func (w *world) removeAtEnd(u *unstructured.Unstructured) {
	t := w.target(u)
	w.Cleanup(func() {
		ctx := context.WithoutCancel(w.ctx)
		wantNone(w.T, "clean up", w.Delete(ctx, "", t))
	})
}

// otherNamespace makes one more namespace.
func (w *world) otherNamespace() string {
	w.Helper()
	u := w.object(namespace, "other-"+newName(), nil)
	u.SetNamespace("")
	w.apply(u)
	w.removeAtEnd(u)
	return u.GetName()
}

// define makes a kind of the test's own and waits until it is served.
func (w *world) define() (schema.GroupVersionKind, *unstructured.Unstructured) {
	w.Helper()
	kind := schema.GroupVersionKind{Group: "g" + newName() + ".brokkr.test", Version: "v1", Kind: "Widget"}
	return kind, w.defineAs(kind)
}

// defineAs makes a kind and waits until it is served. The test has its group for itself.
func (w *world) defineAs(kind schema.GroupVersionKind) *unstructured.Unstructured {
	w.Helper()
	singular := strings.ToLower(kind.Kind)
	u := w.object(definition, singular+"s."+kind.Group, map[string]any{"spec": map[string]any{
		"group": kind.Group, "scope": "Namespaced",
		"names": map[string]any{"plural": singular + "s", "singular": singular, "kind": kind.Kind, "listKind": kind.Kind + "List"},
		"versions": []any{map[string]any{"name": kind.Version, "served": true, "storage": true, "schema": map[string]any{
			"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
	}})
	u.SetNamespace("")
	w.apply(u)
	w.removeAtEnd(u)
	await(w.T, "the new kind is served", func() bool {
		m, err := w.Mapping(w.ctx, kind)
		if err != nil {
			return false
		}
		_, err = w.Instances(w.ctx, "", m, nil, 1)
		return err == nil
	})
	return u
}

func newName() string { return uuid.NewString()[:13] }
