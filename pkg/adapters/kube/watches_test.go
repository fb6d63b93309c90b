package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}

// told collects what watches tell of objects of a stack, by their name: a watch sees those of other tests, too.
type told struct {
	stack string
	mu    sync.Mutex
	last  map[string]cluster.Change
}

func newTold() *told { return &told{stack: uuid.NewString(), last: map[string]cluster.Change{}} }

func (x *told) notify(c cluster.Change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.Stack == x.stack && c.Present == nil {
		x.last[c.Key.Name] = c
	}
}

func (x *told) of(name string) cluster.Change {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last[name]
}

// want waits until the object has been told of as it is.
func (x *told) want(t testing.TB, u *unstructured.Unstructured) {
	t.Helper()
	await(t, u.GetName()+" is told of", func() bool {
		c := x.of(u.GetName())
		return !c.Gone && c.Version == u.GetResourceVersion() && c.Fingerprint == cluster.Fingerprint(u)
	})
}

// labelled makes a ConfigMap of a stack.
func (w *world) labelled(name, stack, value string) *unstructured.Unstructured {
	u := w.object(configMap, name, map[string]any{"data": map[string]any{"text": value}})
	u.SetLabels(map[string]string{cluster.LabelStack: stack})
	return u
}

// apply applies as an administrator, beside the way that a test may have cut.
func (w *world) apply(u *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	got, err := w.c.Apply(w.Context(), "", w.mapping(u.GroupVersionKind()), u, false)
	if err != nil {
		w.Fatalf("apply %s: %v", u.GetName(), err)
	}
	return got
}

func (w *world) remove(u *unstructured.Unstructured) {
	w.Helper()
	t := cluster.Target{Mapping: w.mapping(u.GroupVersionKind()), Namespace: u.GetNamespace(), Name: u.GetName()}
	if err := w.c.Delete(w.Context(), "", t); err != nil {
		w.Fatalf("delete %s: %v", u.GetName(), err)
	}
}

// TestWatchesOutliveTheAPIServer has it go away and things happen meanwhile, some of them only in part.
func TestWatchesOutliveTheAPIServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	x := newTold()
	watches, _ := watching(t.Context(), w.cluster(cfg, kube.Options{}).Watches(x.notify))
	watches.Use(x.stack, []cluster.Mapping{w.mapping(configMap), w.mapping(secret)})
	var changed, gone, anew *unstructured.Unstructured
	x.want(t, w.apply(w.labelled("same", x.stack, "one")))
	for name, u := range map[string]**unstructured.Unstructured{"changed": &changed, "gone": &gone, "anew": &anew} {
		*u = w.apply(w.labelled(name, x.stack, "one"))
		x.want(t, *u)
	}
	for range 2 {
		same := x.of("same").Version
		p.cut()
		changed = w.apply(w.labelled("changed", x.stack, uuid.NewString()))
		w.remove(gone)
		w.remove(anew)
		await(t, "the old one is gone", func() bool {
			_, err := w.admin.Resource(configMaps).Namespace(w.namespace).Get(t.Context(), "anew", metav1.GetOptions{})
			return err != nil
		})
		anew = w.apply(w.labelled("anew", x.stack, "one"))
		p.back()
		x.want(t, changed)
		x.want(t, anew)
		await(t, "what is gone is told to be", func() bool { return x.of("gone").Gone })
		if got := x.of("same"); got.Gone || got.Version != same {
			t.Errorf("what did not change: got %+v, want version %s", got, same)
		}
		gone = w.apply(w.labelled("gone", x.stack, "one"))
		x.want(t, gone)
	}
}

// TestWatchesNoticeALostConnection has a connection that is there on both sides, and nothing in between.
func TestWatchesNoticeALostConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	x := newTold()
	watches, _ := watching(t.Context(), w.cluster(cfg, kube.Options{}).Watches(x.notify))
	watches.Use(x.stack, []cluster.Mapping{w.mapping(configMap)})
	x.want(t, w.apply(w.labelled("a", x.stack, "one")))
	p.lose(false)
	x.want(t, w.apply(w.labelled("a", x.stack, "two")))
}

// TestWatchesEndWithoutTheAPIServer ends them in the midst of their tries.
func TestWatchesEndWithoutTheAPIServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	x := newTold()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watches, ended := watching(ctx, w.cluster(cfg, kube.Options{}).Watches(x.notify))
	watches.Use(x.stack, []cluster.Mapping{w.mapping(configMap)})
	x.want(t, w.apply(w.labelled("a", x.stack, "one")))
	p.cut()
	time.Sleep(2 * time.Second) // so that they wait between tries: it is the case that is tested, not its outcome
	stop()
	select {
	case <-ended:
	case <-time.After(time.Second):
		t.Fatal("the watches have not ended a second after they were told to")
	}
}

// TestStatusIsNoChange has a status change, which is told with the fingerprint that the object had.
func TestStatusIsNoChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := newTold()
	watches, _ := watching(t.Context(), w.c.Watches(x.notify))
	u := w.object(deployment, "a", map[string]any{"spec": map[string]any{"replicas": int64(0),
		"selector": map[string]any{"matchLabels": map[string]any{"app": "a"}},
		"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "a"}},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "nginx"}}}}}})
	u.SetLabels(map[string]string{cluster.LabelStack: x.stack})
	w.apply(u)
	watches.Use(x.stack, []cluster.Mapping{w.mapping(deployment)})
	r := w.admin.Resource(w.mapping(deployment).Resource).Namespace(w.namespace)
	await(t, "the controller has done its part", func() bool {
		live, err := r.Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seen, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration") // absent: 0
		return seen == live.GetGeneration() && x.of("a").Version == live.GetResourceVersion()
	})
	before := x.of("a")
	if _, err := r.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"status":{"collisionCount":1}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	await(t, "the status is told of", func() bool { return x.of("a").Version != before.Version })
	if got := x.of("a").Fingerprint; got != before.Fingerprint {
		t.Errorf("fingerprint: got %d after a change of the status, want %d", got, before.Fingerprint)
	}
	if _, err := r.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"spec":{"paused":true}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "a change of the spec is told of", func() bool { return x.of("a").Fingerprint != before.Fingerprint })
}

// TestWatchesThatAreForbidden says once what to grant, and works when it has been granted.
func TestWatchesThatAreForbidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.account("watcher", nil)
	var log buffer
	c := w.cluster(account, kube.Options{Only: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	x := newTold()
	watches, _ := watching(t.Context(), c.Watches(x.notify))
	u := w.apply(w.labelled("a", x.stack, "one"))
	watches.Use(x.stack, []cluster.Mapping{w.mapping(configMap)})
	await(t, "the log says what to grant", func() bool { return strings.Contains(log.String(), "grant the agent list and watch") })
	time.Sleep(2 * time.Second) // for several tries
	if n := strings.Count(log.String(), "level=WARN"); n > 2 {
		t.Errorf("log: got %d warnings, want one for list and one for watch:\n%s", n, log.String())
	}
	w.grant("watcher", rule("", "configmaps", "list", "watch"))
	x.want(t, u)
}

// TestWatchesLeaveNothingBehind starts and ends many.
func TestWatchesLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	kinds := []cluster.Mapping{w.mapping(configMap), w.mapping(secret), w.mapping(deployment), w.mapping(namespace)}
	x := newTold()
	round := func(n int) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		c := w.c.Watches(x.notify)
		watches, ended := watching(ctx, c)
		for i := range n {
			stack := fmt.Sprintf("%s-%d", x.stack, i)
			watches.Use(stack, kinds[:1+i%len(kinds)])
			if i%2 == 0 {
				watches.Use(stack, nil)
			}
		}
		await(t, "the watches run", func() bool { return slices.Contains(c.Kinds(), "configmaps") })
		stop()
		<-ended
		if got := c.Kinds(); len(got) != 0 {
			t.Errorf("kinds after the end: got %v, want none", got)
		}
	}
	round(4)
	var before int
	await(t, "what the first round needs is there", func() bool {
		n := runtime.NumGoroutine()
		settled := n == before
		before = n
		return settled
	})
	for range 10 {
		round(20)
	}
	await(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
