package clustertest

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func contentCases() map[string]func(*world) {
	return map[string]func(*world){
		"an empty namespace has no strangers":    strangersNone,
		"strangers are what is not the stack's":  strangersFound,
		"strangers of kinds that users defined":  strangersDefined,
		"strangers of versions not preferred":    strangersOfOtherVersions,
		"instances are looked for everywhere":    instancesFound,
		"instances outside of namespaces":        instancesClusterWide,
		"at most as many as asked for":           contentsLimited,
		"pods are those that the selector fits":  podsFound,
		"a selector that is none":                podsInvalid,
		"contents and a context that is no more": contentsCancelled,
		"a namespace that is not there is empty": contentsAbsent,
	}
}

func (w *world) strangers(mine ...*unstructured.Unstructured) []string {
	w.Helper()
	return names(w.strangersIn(w.Namespace, uids(mine), 100))
}

// strangersIn asks again as long as it is not known: other tests define kinds and take them away meanwhile, and a kind that comes or
// goes is said to be there, and is not.
func (w *world) strangersIn(name string, mine map[string]bool, limit int) []cluster.Key {
	w.Helper()
	var found []cluster.Key
	await(w.T, "it is known what is in the namespace", func() bool {
		var err error
		if found, err = w.Strangers(w.ctx, "", name, mine, limit); fault.Is(err, fault.Unavailable) {
			return false
		}
		wantNone(w.T, "strangers", err)
		return true
	})
	return found
}

func uids(of []*unstructured.Unstructured) map[string]bool {
	set := map[string]bool{}
	for _, u := range of {
		set[string(u.GetUID())] = true
	}
	return set
}

// names are what keys say, sorted.
func names(keys []cluster.Key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return out
}

func (w *world) key(u *unstructured.Unstructured) string {
	k := u.GroupVersionKind()
	return cluster.Key{Group: k.Group, Kind: k.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}.String()
}

func strangersNone(w *world) {
	// What Kubernetes puts into each namespace comes a moment after the namespace.
	for _, kind := range []string{"ConfigMap kube-root-ca.crt", "ServiceAccount default"} {
		kind, name, _ := strings.Cut(kind, " ")
		await(w.T, kind+" is there", func() bool {
			return !w.gone(w.object(configMap.GroupVersion().WithKind(kind), name, nil))
		})
	}
	wantSame(w.T, "strangers", w.strangers(), nil)
}

func strangersFound(w *world) {
	mine := w.apply(of(w.text("mine", "one"), "s"))
	w.apply(owned(w.text("child-of-mine", "one"), mine))
	mineToo := w.apply(of(w.application("mine", "nginx"), "s")) // its ReplicaSet has an owner
	nobodys := w.apply(w.text("nobodys", "one"))
	w.apply(owned(w.text("child-of-nobodys", "one"), nobodys)) // told of by its owner
	others := w.apply(of(w.object(secret, "others", nil), "other"))
	app := w.apply(w.application("nobodys", "nginx"))
	around := w.object(namespace, w.Namespace, nil)
	around.SetNamespace("")
	outside := w.apply(owned(w.text("child-of-what-is-outside", "one"), w.see(around)))
	copied := w.apply(of(w.text("with-the-label", "one"), "s")) // by somebody who copied it
	want := []string{w.key(nobodys), w.key(others), w.key(app), w.key(outside), w.key(copied)}
	slices.Sort(want)
	wantSame(w.T, "strangers", w.strangers(mine, mineToo), want)
}

func strangersDefined(w *world) {
	kind, _ := w.define()
	mine := w.apply(of(w.object(kind, "mine", nil), "s"))
	nobodys := w.apply(w.object(kind, "nobodys", nil))
	await(w.T, "the stranger is found", func() bool { return slices.Contains(w.strangers(mine), w.key(nobodys)) })
	wantSame(w.T, "strangers", w.strangers(mine), []string{w.key(nobodys)})
}

// strangersOfOtherVersions has kinds of one group in versions of which the group prefers one: the other kind is not in it.
func strangersOfOtherVersions(w *world) {
	kind, _ := w.define()
	young := schema.GroupVersionKind{Group: kind.Group, Version: "v1alpha1", Kind: "Gadget"}
	w.defineAs(young)
	nobodys := w.apply(w.object(young, "nobodys", nil))
	mine := w.apply(of(w.object(young, "mine", nil), "s"))
	w.apply(owned(w.text("child-of-nobodys", "one"), nobodys)) // told of by its owner
	want := []string{w.key(nobodys)}
	await(w.T, "the stranger is found", func() bool { return slices.Equal(w.strangers(mine), want) })
	both := append(want, w.key(w.apply(w.object(kind, "nobodys", nil))))
	slices.Sort(both)
	wantSame(w.T, "strangers", w.strangers(mine), both)
}

func instancesFound(w *world) {
	kind, _ := w.define()
	m := w.mapping(kind)
	list := func(mine ...*unstructured.Unstructured) []string {
		found, err := w.Instances(w.ctx, "", m, uids(mine), 100)
		wantNone(w.T, "instances", err)
		return names(found)
	}
	wantSame(w.T, "instances", list(), nil)
	mine := w.apply(of(w.object(kind, "mine", nil), "s"))
	nobodys := w.apply(w.object(kind, "nobodys", nil))
	others := of(w.object(kind, "others", nil), "other")
	others.SetNamespace(w.otherNamespace())
	w.apply(others)
	copied := w.apply(of(w.object(kind, "with-the-label", nil), "s"))
	want := []string{w.key(nobodys), w.key(others), w.key(copied)}
	slices.Sort(want)
	wantSame(w.T, "instances", list(mine), want)
}

func instancesClusterWide(w *world) {
	u := w.object(namespace, w.otherNamespace(), nil)
	u.SetNamespace("")
	found, err := w.Instances(w.ctx, "", w.mapping(namespace), nil, 10_000)
	wantNone(w.T, "instances", err)
	if !slices.Contains(names(found), w.key(u)) {
		w.Errorf("instances: got %v, want that %s is among them", found, w.key(u))
	}
	mine := w.apply(of(u, "s"))
	found, err = w.Instances(w.ctx, "", w.mapping(namespace), uids([]*unstructured.Unstructured{mine}), 10_000)
	wantNone(w.T, "instances", err)
	if slices.Contains(names(found), w.key(u)) {
		w.Errorf("instances: got %v, want that the stack's own %s is not among them", found, w.key(u))
	}
}

func contentsLimited(w *world) {
	for _, name := range []string{"a", "b", "c", "d"} {
		w.apply(w.text(name, "one"))
		w.apply(w.object(secret, name, nil))
	}
	for limit := 1; limit <= 3; limit++ {
		wantSame(w.T, "strangers", len(w.strangersIn(w.Namespace, nil, limit)), limit)
		found, err := w.Instances(w.ctx, "", w.mapping(configMap), nil, limit)
		wantNone(w.T, "instances", err)
		wantSame(w.T, "instances", len(found), limit)
	}
}

func (w *world) newPod(name, app string) *unstructured.Unstructured {
	u := w.object(pod, name, map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "nginx"}}}})
	u.SetLabels(map[string]string{"app": app})
	return u
}

func podsFound(w *world) {
	// Pods need the namespace's service account, which comes a moment after the namespace.
	await(w.T, "the service account is there", func() bool {
		return !w.gone(w.object(configMap.GroupVersion().WithKind("ServiceAccount"), "default", nil))
	})
	w.apply(w.newPod("a", "one"))
	w.apply(w.newPod("b", "two"))
	for selector, want := range map[string][]string{"app=one": {"a"}, "app": {"a", "b"}, "app in (two,three)": {"b"}, "app=four": nil, "app!=one,app": {"b"}} {
		found, err := w.Pods(w.ctx, w.Namespace, selector)
		wantNone(w.T, "pods", err)
		var got []string
		for _, p := range found {
			got = append(got, p.Name)
			if p.Namespace != w.Namespace || len(p.Spec.Containers) != 1 || p.Status.Phase == "" {
				w.Errorf("pod %s: got %+v, want a whole one", p.Name, p)
			}
		}
		slices.Sort(got)
		wantSame(w.T, "pods of "+selector, got, want)
	}
}

func podsInvalid(w *world) {
	_, err := w.Pods(w.ctx, w.Namespace, "app in (")
	wantKind(w.T, "pods", err, fault.Invalid)
}

func contentsAbsent(w *world) {
	wantSame(w.T, "strangers", len(w.strangersIn("absent-"+newName(), nil, 1)), 0)
	pods, err := w.Pods(w.ctx, "absent-"+newName(), "app")
	wantNone(w.T, "pods", err)
	wantSame(w.T, "pods", len(pods), 0)
}

func contentsCancelled(w *world) {
	m := w.mapping(configMap)
	_, err := w.Strangers(cancelled(w.ctx), "", w.Namespace, nil, 1)
	wantCancelled(w.T, "strangers", err)
	_, err = w.Instances(cancelled(w.ctx), "", m, nil, 1)
	wantCancelled(w.T, "instances", err)
	_, err = w.Pods(cancelled(w.ctx), w.Namespace, "app")
	wantCancelled(w.T, "pods", err)
}
