package clustertest

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func deletionCases() map[string]func(*world) {
	return map[string]func(*world){
		"a deletion takes dependents along":       deleteDependents,
		"a deletion of nothing":                   deleteNothing,
		"another object of the name is left":      deleteOther,
		"a deletion may wait for finalizers":      deleteFinalizers,
		"an object that is going may be deleted":  deleteTwice,
		"a deletion outside of namespaces begins": deleteClusterWide,
	}
}

// gone reports whether an object is not there.
func (w *world) gone(u *unstructured.Unstructured) bool {
	w.Helper()
	_, err := w.Get(w.ctx, "", w.target(u))
	if err == nil {
		return false
	}
	wantKind(w.T, "get "+u.GetName(), err, fault.NotFound)
	return true
}

func deleteDependents(w *world) {
	owner := w.apply(w.text("owner", "one"))
	dependent := w.apply(owned(w.text("dependent", "one"), owner))
	second := w.apply(owned(w.text("second", "one"), dependent))
	bystander := w.apply(w.text("bystander", "one"))
	w.remove(owner)
	await(w.T, "the owner is gone", func() bool { return w.gone(owner) })
	// Foreground: when the owner is gone, all that hung on it is.
	for _, u := range []*unstructured.Unstructured{dependent, second} {
		if !w.gone(u) {
			w.Errorf("%s is still there though its owner is gone", u.GetName())
		}
	}
	w.see(bystander)
}

func deleteNothing(w *world) {
	t := w.target(w.text("absent", ""))
	wantNone(w.T, "delete", w.Delete(w.ctx, "", t))
	t.UID = "00000000-0000-0000-0000-000000000000"
	wantNone(w.T, "delete of a certain one", w.Delete(w.ctx, "", t))
	t.Namespace = "absent-" + newName()
	wantNone(w.T, "delete in a namespace that is not there", w.Delete(w.ctx, "", t))
}

func deleteOther(w *world) {
	live := w.apply(w.text("a", "one"))
	t := w.target(live)
	t.UID = "00000000-0000-0000-0000-000000000000"
	wantKind(w.T, "delete", w.Delete(w.ctx, "", t), fault.Conflict)
	wantSame(w.T, "what is there", w.see(live).Object, live.Object)
	t.UID = string(live.GetUID())
	wantNone(w.T, "delete", w.Delete(w.ctx, "", t))
	await(w.T, "it is gone", func() bool { return w.gone(live) })
}

// held makes an object that does not go before its finalizer does.
func (w *world) held() (live *unstructured.Unstructured, let func()) {
	w.Helper()
	u := w.text("held", "one")
	u.SetFinalizers([]string{"brokkr.test/hold"})
	live = w.apply(u)
	return live, func() {
		u.SetFinalizers(nil)
		w.apply(u)
		await(w.T, "it is gone", func() bool { return w.gone(live) })
	}
}

func deleteFinalizers(w *world) {
	live, let := w.held()
	w.remove(live)
	got := w.see(live)
	if got.GetDeletionTimestamp() == nil {
		w.Fatalf("deleted: got %v, want one that is going", got.Object)
	}
	let()
}

func deleteTwice(w *world) {
	live, let := w.held()
	t := w.target(live)
	t.UID = string(live.GetUID())
	for range 3 {
		wantNone(w.T, "delete", w.Delete(w.ctx, "", t))
	}
	let()
	wantNone(w.T, "delete", w.Delete(w.ctx, "", t))
}

func deleteClusterWide(w *world) {
	u := w.object(namespace, w.otherNamespace(), nil)
	u.SetNamespace("")
	inside := w.text("inside", "one")
	inside.SetNamespace(u.GetName())
	w.apply(inside)
	w.remove(u)
	await(w.T, "the namespace is gone", func() bool { return w.gone(u) })
	if !w.gone(inside) {
		w.Fatal("the contents of the namespace are still there")
	}
}
