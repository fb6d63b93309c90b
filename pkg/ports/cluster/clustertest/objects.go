package clustertest

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func objectCases() map[string]func(*world) {
	return map[string]func(*world){
		"an apply makes the object":               applyMakes,
		"an apply of the same writes nothing":     applySame,
		"an apply takes back what it gave":        applyTakesBack,
		"a dry run changes nothing":               dryRun,
		"objects outside of namespaces":           applyClusterWide,
		"the given object is not changed":         applyLeavesArgument,
		"the applied fields have the one manager": applyManager,
		"what is not there is not found":          getUnknown,
		"a release takes the stamps off":          releaseTakes,
		"a release of another object is refused":  releaseOther,
		"a release of nothing":                    releaseNothing,
		"a cancelled context":                     objectCancelled,
	}
}

func data(u *unstructured.Unstructured) map[string]string {
	m, _, _ := unstructured.NestedStringMap(u.Object, "data") // none: nil
	return m
}

func applyMakes(w *world) {
	got := w.apply(w.text("a", "one"))
	if got.GetUID() == "" || got.GetResourceVersion() == "" {
		w.Fatalf("applied: got %v, want an object that the cluster has", got.Object)
	}
	wantSame(w.T, "data", data(got), map[string]string{"text": "one"})
	wantSame(w.T, "what was applied and what is there", w.see(got).Object, got.Object)
}

func applySame(w *world) {
	for _, u := range []*unstructured.Unstructured{w.text("a", "one"), w.application("a", "nginx")} {
		first := w.apply(u)
		second := w.apply(u)
		wantSame(w.T, "uid", second.GetUID(), first.GetUID())
		wantSame(w.T, "generation", second.GetGeneration(), first.GetGeneration())
		if u.GetKind() == configMap.Kind { // nobody else writes to that
			wantSame(w.T, "resource version", second.GetResourceVersion(), first.GetResourceVersion())
		}
	}
}

// application makes a Deployment.
func (w *world) application(name, image string) *unstructured.Unstructured {
	labels := func() map[string]any { return map[string]any{"app": name} }
	return w.object(deployment, name, map[string]any{"spec": map[string]any{
		"replicas": int64(0), "selector": map[string]any{"matchLabels": labels()},
		"template": map[string]any{"metadata": map[string]any{"labels": labels()}, "spec": map[string]any{
			"containers": []any{map[string]any{"name": "main", "image": image}}}},
	}})
}

func applyTakesBack(w *world) {
	u := w.object(configMap, "a", map[string]any{"data": map[string]any{"kept": "1", "dropped": "2"}})
	u.SetLabels(map[string]string{"kept": "1", "dropped": "2"})
	w.apply(u)
	u = w.object(configMap, "a", map[string]any{"data": map[string]any{"kept": "1", "new": "3"}})
	u.SetLabels(map[string]string{"kept": "1"})
	got := w.apply(u)
	wantSame(w.T, "data", data(got), map[string]string{"kept": "1", "new": "3"})
	wantSame(w.T, "labels", got.GetLabels(), map[string]string{"kept": "1"})
}

func dryRun(w *world) {
	m := w.mapping(configMap)
	got, err := w.Apply(w.ctx, "", m, w.text("a", "one"), true)
	wantNone(w.T, "dry run of a new object", err)
	wantSame(w.T, "data", data(got), map[string]string{"text": "one"})
	_, err = w.Get(w.ctx, "", w.target(got))
	wantKind(w.T, "get after a dry run", err, fault.NotFound)

	live := w.apply(w.text("a", "one"))
	got, err = w.Apply(w.ctx, "", m, w.text("a", "two"), true)
	wantNone(w.T, "dry run of a change", err)
	wantSame(w.T, "data", data(got), map[string]string{"text": "two"})
	wantSame(w.T, "uid", got.GetUID(), live.GetUID())
	wantSame(w.T, "what is there after a dry run", w.see(live).Object, live.Object)

	got, err = w.Apply(w.ctx, "", m, w.text("a", "one"), true)
	wantNone(w.T, "dry run of the same", err)
	wantSame(w.T, "what an apply of the same would make", got.Object, live.Object)
}

func applyClusterWide(w *world) {
	name := w.otherNamespace()
	u := w.object(namespace, name, nil)
	u.SetNamespace("")
	live := w.see(u)
	wantSame(w.T, "namespace of a namespace", live.GetNamespace(), "")
	u.SetLabels(map[string]string{"brokkr.test/changed": "yes"})
	wantSame(w.T, "uid", w.apply(u).GetUID(), live.GetUID())
}

func applyLeavesArgument(w *world) {
	for _, dry := range []bool{true, false} {
		u := w.application("a", "nginx")
		before := u.DeepCopy()
		got, err := w.Apply(w.ctx, "", w.mapping(deployment), u, dry)
		wantNone(w.T, "apply", err)
		got.SetLabels(map[string]string{"changed": "by the caller"})
		wantSame(w.T, "the given object", u.Object, before.Object)
	}
}

func applyManager(w *world) {
	live := w.apply(w.text("a", "one"))
	fields := live.GetManagedFields()
	if len(fields) != 1 || fields[0].Manager != cluster.FieldManager || fields[0].Operation != "Apply" {
		w.Fatalf("managed fields: got %v, want those of %s alone", fields, cluster.FieldManager)
	}
}

func getUnknown(w *world) {
	_, err := w.Get(w.ctx, "", w.target(w.text("absent", "")))
	wantKind(w.T, "get", err, fault.NotFound)
	if !strings.Contains(err.Error(), "absent") {
		w.Errorf("get: got %q, want that it names the object", err)
	}
	elsewhere := w.text("a", "one")
	elsewhere.SetNamespace("absent-" + newName())
	_, err = w.Get(w.ctx, "", w.target(elsewhere))
	wantKind(w.T, "get in a namespace that is not there", err, fault.NotFound)
	for _, dry := range []bool{true, false} {
		_, err = w.Apply(w.ctx, "", w.mapping(configMap), elsewhere, dry)
		wantKind(w.T, "apply in a namespace that is not there", err, fault.NotFound)
	}
}

// stamped makes an object with all that an agent stamps on it and more.
func (w *world) stamped(name string) *unstructured.Unstructured {
	u := w.text(name, "one")
	u.SetLabels(map[string]string{cluster.LabelStack: "s", "mine": "1"})
	u.SetAnnotations(map[string]string{cluster.AnnotationStack: "s", cluster.AnnotationChecksum: "c", cluster.AnnotationObject: "o",
		cluster.AnnotationOwner: "a", cluster.AnnotationAdopted: "true", cluster.AnnotationPrune: cluster.PruneNever, "mine": "2"})
	return u
}

func releaseTakes(w *world) {
	for name, withUID := range map[string]bool{"a": true, "b": false} {
		live := w.apply(w.stamped(name))
		t := w.target(live)
		if withUID {
			t.UID = string(live.GetUID())
		}
		for range 2 { // the second time there is nothing left to do
			wantNone(w.T, "release", w.Release(w.ctx, "", t))
			got := w.see(live)
			wantSame(w.T, "uid", got.GetUID(), live.GetUID())
			wantSame(w.T, "labels", got.GetLabels(), map[string]string{"mine": "1"})
			wantSame(w.T, "annotations", got.GetAnnotations(), map[string]string{cluster.AnnotationPrune: cluster.PruneNever, "mine": "2"})
			wantSame(w.T, "data", data(got), map[string]string{"text": "one"})
		}
	}
	bare := w.apply(w.text("c", "one"))
	wantNone(w.T, "release of what has no stamps", w.Release(w.ctx, "", w.target(bare)))
	wantSame(w.T, "resource version of what had no stamps", w.see(bare).GetResourceVersion(), bare.GetResourceVersion())
}

func releaseOther(w *world) {
	live := w.apply(w.stamped("a"))
	t := w.target(live)
	t.UID = "00000000-0000-0000-0000-000000000000"
	wantKind(w.T, "release", w.Release(w.ctx, "", t), fault.Conflict)
	wantSame(w.T, "what is there", w.see(live).Object, live.Object)
}

func releaseNothing(w *world) {
	t := w.target(w.text("absent", ""))
	wantNone(w.T, "release", w.Release(w.ctx, "", t))
	t.UID = "00000000-0000-0000-0000-000000000000"
	wantNone(w.T, "release of a certain one", w.Release(w.ctx, "", t))
	t.Namespace = "absent-" + newName()
	wantNone(w.T, "release in a namespace that is not there", w.Release(w.ctx, "", t))
}

func objectCancelled(w *world) {
	ctx, live := cancelled(w.ctx), w.apply(w.stamped("a"))
	t := w.target(live)
	_, err := w.Get(ctx, "", t)
	wantCancelled(w.T, "get", err)
	_, err = w.Apply(ctx, "", t.Mapping, w.text("a", "two"), false)
	wantCancelled(w.T, "apply", err)
	wantCancelled(w.T, "delete", w.Delete(ctx, "", t))
	wantCancelled(w.T, "release", w.Release(ctx, "", t))
	wantSame(w.T, "what is there", w.see(live).Object, live.Object)
}
