package clustertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func watchCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is there is told of":               watchFirst,
		"what is there when it begins":           watchPresent,
		"changes are told of":                    watchChanges,
		"a label that is taken off":              watchLabelOff,
		"a label that points elsewhere":          watchLabelMoved,
		"an object that is made anew":            watchAnew,
		"only kinds that are in use":             watchInUse,
		"a kind that two stacks use":             watchShared,
		"one kind in two versions":               watchVersions,
		"nothing is told when it has ended":      watchEnded,
		"objects outside of namespaces":          watchClusterWide,
		"kinds come into use before watches run": watchUseFirst,
	}
}

// watcher collects what watches tell of.
type watcher struct {
	*world
	cluster.Watches
	mu    sync.Mutex
	told  []cluster.Change
	stop  context.CancelFunc
	ended <-chan struct{}
}

func (w *world) watch() *watcher {
	ctx, stop := context.WithCancel(w.ctx)
	x := &watcher{world: w, stop: stop}
	x.Watches, x.ended = w.Parts.Watches(ctx, func(c cluster.Change) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.told = append(x.told, c)
	})
	w.Cleanup(func() {
		stop()
		<-x.ended
	})
	return x
}

// last returns what was told last of an object of a stack.
func (x *watcher) last(stack string, u *unstructured.Unstructured) (cluster.Change, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range slices.Backward(x.told) {
		if c.Stack == stack && c.Key.String() == x.key(u) {
			return c, true
		}
	}
	return cluster.Change{}, false
}

// wantTold waits until the object has been told of as it is.
func (x *watcher) wantTold(stack string, u *unstructured.Unstructured) {
	x.Helper()
	await(x.T, x.key(u)+" is told of", func() bool {
		c, ok := x.last(stack, u)
		return ok && !c.Gone && c.Version == u.GetResourceVersion() && c.Fingerprint == cluster.Fingerprint(u)
	})
}

func (x *watcher) wantGone(stack string, u *unstructured.Unstructured) {
	x.Helper()
	await(x.T, x.key(u)+" is told to be gone", func() bool {
		c, ok := x.last(stack, u)
		return ok && c.Gone
	})
}

// wantNot fails if an object was told of. A change of another object of its kind was told of after it would have been.
func (x *watcher) wantNot(stack string, u *unstructured.Unstructured) {
	x.Helper()
	if c, ok := x.last(stack, u); ok {
		x.Fatalf("%s: got %+v, want nothing told", x.key(u), c)
	}
}

func watchFirst(w *world) {
	s := uuid.NewString()
	a, b := w.apply(of(w.text("a", "one"), s)), w.apply(of(w.object(secret, "b", nil), s))
	nobodys := w.apply(w.text("nobodys", "one"))
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap), w.mapping(secret)})
	x.wantTold(s, a)
	x.wantTold(s, b)
	x.wantNot(s, nobodys)
	x.wantNot("", nobodys)
}

// wantPresent waits until the stack has been told which objects of a kind it has.
func (x *watcher) wantPresent(stack string, kind schema.GroupVersionKind, objects ...*unstructured.Unstructured) {
	x.Helper()
	want := []string{}
	for _, u := range objects {
		want = append(want, x.key(u))
	}
	slices.Sort(want)
	var got []string
	await(x.T, "the stack is told what it has of "+kind.Kind, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, c := range slices.Backward(x.told) {
			if c.Stack == stack && c.Present != nil && c.Key == (cluster.Key{Group: kind.Group, Kind: kind.Kind}) {
				got = names(slices.Collect(maps.Keys(c.Present)))
				return true
			}
		}
		return false
	})
	wantSame(x.T, "what the stack is told to have of "+kind.Kind, got, want)
}

func watchPresent(w *world) {
	s, late, none := uuid.NewString(), uuid.NewString(), uuid.NewString()
	a, b := w.apply(of(w.text("a", "one"), s)), w.apply(of(w.text("b", "one"), s))
	gone, others := w.apply(of(w.text("gone", "one"), s)), w.apply(of(w.text("others", "one"), late))
	w.remove(gone)
	await(w.T, "it is gone", func() bool { return w.gone(gone) })
	x := w.watch()
	for _, stack := range []string{s, none} {
		x.Use(stack, []cluster.Mapping{w.mapping(configMap), w.mapping(secret)})
	}
	x.wantPresent(s, configMap, a, b)
	x.wantPresent(s, secret)
	x.wantPresent(none, configMap)
	x.Use(late, []cluster.Mapping{w.mapping(configMap)}) // the watch is there already
	x.wantPresent(late, configMap, others)
	x.Use(s, nil)
	w.remove(b)
	await(w.T, "it is gone", func() bool { return w.gone(b) })
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	x.wantTold(s, w.apply(of(w.text("a", "two"), s)))
	x.wantPresent(s, configMap, a)
}

func watchChanges(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	a := w.apply(of(w.text("a", "one"), s))
	x.wantTold(s, a)
	changed := w.apply(of(w.text("a", "two"), s))
	x.wantTold(s, changed)
	if cluster.Fingerprint(a) == cluster.Fingerprint(changed) {
		w.Error("the fingerprint is the same after a change")
	}
	annotated := of(w.text("a", "two"), s)
	annotated.SetAnnotations(map[string]string{"mine": "1"})
	x.wantTold(s, w.apply(annotated))
	w.remove(a)
	x.wantGone(s, a)
}

func watchLabelOff(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	a := w.apply(of(w.text("a", "one"), s))
	x.wantTold(s, a)
	w.apply(w.text("a", "one"))
	x.wantGone(s, a)
	x.wantTold(s, w.apply(of(w.text("a", "one"), s)))
}

func watchLabelMoved(w *world) {
	s, other := uuid.NewString(), uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)}) // the other stack has not said that it has any
	a := w.apply(of(w.text("a", "one"), s))
	x.wantTold(s, a)
	moved := w.apply(of(w.text("a", "one"), other))
	x.wantTold(other, moved)
	x.wantGone(s, a)
}

func watchAnew(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	first := w.apply(of(w.text("a", "one"), s))
	x.wantTold(s, first)
	w.remove(first)
	await(w.T, "it is gone", func() bool { return w.gone(first) })
	second := w.apply(of(w.text("a", "one"), s))
	x.wantTold(s, second)
	if cluster.Fingerprint(first) == cluster.Fingerprint(second) {
		w.Error("the fingerprint is the same for another object of the name")
	}
}

func watchInUse(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	hidden := w.apply(of(w.object(secret, "a", nil), s))
	x.wantTold(s, w.apply(of(w.text("a", "one"), s)))
	x.wantNot(s, hidden)

	x.Use(s, []cluster.Mapping{w.mapping(secret)}) // instead of what was
	x.wantTold(s, hidden)
	unseen := w.apply(of(w.text("unseen", "one"), s))
	x.Use(s, []cluster.Mapping{w.mapping(configMap), w.mapping(secret)})
	x.wantTold(s, unseen)
}

func watchShared(w *world) {
	s, other := uuid.NewString(), uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	x.Use(other, []cluster.Mapping{w.mapping(configMap)})
	x.wantTold(s, w.apply(of(w.text("a", "one"), s)))
	x.Use(s, nil)
	x.wantTold(other, w.apply(of(w.text("b", "one"), other)))
}

func watchVersions(w *world) {
	kind := deployment
	kind.Group, kind.Version, kind.Kind = "autoscaling", "v1", "HorizontalPodAutoscaler"
	older := w.mapping(kind)
	kind.Version = "v2"
	newer := w.mapping(kind)
	scaler := func(name, stack string) *unstructured.Unstructured {
		return of(w.object(kind, name, map[string]any{"spec": map[string]any{"maxReplicas": int64(3),
			"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "absent"}}}), stack)
	}
	s, other := uuid.NewString(), uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{older})
	x.Use(other, []cluster.Mapping{newer})
	a, b := w.apply(scaler("a", s)), w.apply(scaler("b", other))
	told := func(stack string, u *unstructured.Unstructured) func() bool {
		return func() bool {
			c, ok := x.last(stack, u)
			return ok && !c.Gone
		}
	}
	await(w.T, "the first stack's is told of", told(s, a))
	await(w.T, "the second stack's is told of", told(other, b))
	x.Use(other, nil)
	c := w.apply(scaler("c", s))
	await(w.T, "the first stack's is told of", told(s, c))
}

func watchEnded(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	x.wantTold(s, w.apply(of(w.text("a", "one"), s)))
	x.stop()
	select {
	case <-x.ended:
	case <-time.After(patience):
		w.Fatalf("the watches have not ended after %v", patience)
	}
	x.mu.Lock()
	before := len(x.told)
	x.mu.Unlock()
	x.Use(s, []cluster.Mapping{w.mapping(configMap), w.mapping(secret)}) // has no effect any more
	for range 5 {
		w.apply(of(w.text("a", uuid.NewString()), s))
	}
	// Others still see the changes, so there was time for them to be told.
	y := w.watch()
	y.Use(s, []cluster.Mapping{w.mapping(configMap)})
	y.wantTold(s, w.apply(of(w.text("b", "one"), s)))
	x.mu.Lock()
	defer x.mu.Unlock()
	wantSame(w.T, "changes that were told of after the end", len(x.told), before)
}

func watchClusterWide(w *world) {
	s := uuid.NewString()
	x := w.watch()
	x.Use(s, []cluster.Mapping{w.mapping(namespace)})
	u := w.object(namespace, w.otherNamespace(), nil)
	u.SetNamespace("")
	x.wantTold(s, w.apply(of(u, s)))
}

func watchUseFirst(w *world) {
	s := uuid.NewString()
	a := w.apply(of(w.text("a", "one"), s))
	x := w.watch()
	for range 20 { // in whatever order the watches come up
		x.Use(s, nil)
		x.Use(s, []cluster.Mapping{w.mapping(configMap)})
	}
	x.wantTold(s, a)
	x.wantTold(s, w.apply(of(w.text("a", "two"), s)))
}
