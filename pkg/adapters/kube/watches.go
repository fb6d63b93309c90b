package kube

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Watches watches the metadata of labelled objects, one watch for each kind in use, whatever number of stacks use it.
//
// It puts its own store behind client-go's reflector instead of taking an informer: informers link every kind that
// Kubernetes has, and keep an object several times over on its way through their queues.
type Watches struct {
	cluster *Cluster
	log     *slog.Logger
	notify  func(cluster.Change)

	mu      sync.Mutex
	base    context.Context // of Run; nil before and after it
	used    map[string][]cluster.Mapping
	running map[schema.GroupResource]running
	telling sync.Mutex // held during notify, so that Run can wait for the last one
}

// running is a watch and the version that it sees objects in.
type running struct {
	version string
	seen    *tracker
	end     context.CancelFunc
}

var _ cluster.Watches = (*Watches)(nil)

// Watches returns watches that call notify for each change, one at a time; notify must neither block nor call Use. They
// run while Run does.
func (c *Cluster) Watches(notify func(cluster.Change)) *Watches {
	return &Watches{cluster: c, log: c.options.Log, notify: notify, used: map[string][]cluster.Mapping{}, running: map[schema.GroupResource]running{}}
}

// Run watches until ctx ends. notify is not called any more when it has returned. Watches that wait for an API server
// that is away may take another moment to end, without doing anything.
func (w *Watches) Run(ctx context.Context) error {
	w.mu.Lock()
	w.base = ctx
	w.settle()
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.base = nil
	clear(w.running)
	w.mu.Unlock()
	w.telling.Lock() // who tells now has begun before ctx ended
	defer w.telling.Unlock()
	return nil
}

// Use implements cluster.Watches.
func (w *Watches) Use(stack string, kinds []cluster.Mapping) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range kinds {
		if is, ok := w.running[m.Resource.GroupResource()]; ok && !uses(w.used[stack], m.Resource.GroupResource()) {
			go is.seen.join(stack) // the caller may hold what notify needs
		}
	}
	if len(kinds) == 0 {
		delete(w.used, stack)
	} else {
		w.used[stack] = slices.Clone(kinds)
	}
	w.settle()
}

func uses(kinds []cluster.Mapping, r schema.GroupResource) bool {
	return slices.ContainsFunc(kinds, func(m cluster.Mapping) bool { return m.Resource.GroupResource() == r })
}

// users returns the stacks that use a kind.
func (w *Watches) users(r schema.GroupResource) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stacks []string
	for s, kinds := range w.used {
		if uses(kinds, r) {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

// settle starts and ends watches so that they are those in use. The lock is held.
func (w *Watches) settle() {
	if w.base == nil {
		return
	}
	want := w.wanted()
	for r, is := range w.running {
		if m, ok := want[r]; !ok || m.Resource.Version != is.version {
			is.end()
			delete(w.running, r)
		}
	}
	for r, m := range want {
		if _, ok := w.running[r]; !ok {
			ctx, end := context.WithCancel(w.base)
			seen := &tracker{
				kind: m.Kind.GroupKind(), users: func() []string { return w.users(r) },
				tell: func(c cluster.Change) { w.tell(ctx, c) },
			}
			w.running[r] = running{version: m.Resource.Version, seen: seen, end: end}
			go w.watch(ctx, m, seen)
		}
	}
}

// wanted returns one mapping for each kind in use: stacks may write it in several versions, but the objects are the same.
func (w *Watches) wanted() map[schema.GroupResource]cluster.Mapping {
	want := map[schema.GroupResource]cluster.Mapping{}
	for _, kinds := range w.used {
		for _, m := range kinds {
			if w.cluster.options.Only && !m.Namespaced {
				continue
			}
			r := m.Resource.GroupResource()
			if have, ok := want[r]; !ok || version.CompareKubeAwareVersionStrings(m.Resource.Version, have.Resource.Version) > 0 {
				want[r] = m
			}
		}
	}
	return want
}

// tell calls notify unless ctx has ended.
func (w *Watches) tell(ctx context.Context, c cluster.Change) {
	w.telling.Lock()
	defer w.telling.Unlock()
	if ctx.Err() == nil {
		w.notify(c)
	}
}

// watch returns when ctx ends; it tries again for ever, at most about every 15 s.
func (w *Watches) watch(ctx context.Context, m cluster.Mapping, seen *tracker) {
	lw := cache.ToListWatcherWithWatchListSemantics(w.listWatch(ctx, m), w.cluster.metadata)
	r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, seen, cache.ReflectorOptions{
		Name:    m.Resource.String(),
		Backoff: &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 10 * time.Second},
	})
	r.RunWithContext(klog.NewContext(ctx, logr.Discard())) // listWatch says what is wrong
}

// listWatch lists and watches what carries a stack's label, in the agent's namespace if it is confined to that.
func (w *Watches) listWatch(ctx context.Context, m cluster.Mapping) *cache.ListWatch {
	namespace := metav1.NamespaceAll
	if w.cluster.options.Only {
		namespace = w.cluster.options.Namespace
	}
	objects := w.cluster.metadata.Resource(m.Resource).Namespace(namespace)
	var warned sync.Map // by text: it is tried again and again
	complain := func(err error) {
		if err == nil || ctx.Err() != nil {
			return
		}
		level, text := slog.LevelDebug, "watch interrupted"
		if _, again := warned.Load(err.Error()); apierrors.IsForbidden(err) && !again {
			warned.Store(err.Error(), true)
			level, text = slog.LevelWarn, "objects cannot be watched, so their changes are seen late: grant the agent list and watch"
		}
		w.log.Log(ctx, level, text, "resource", m.Resource.GroupResource().String(), "error", err.Error())
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(call context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = cluster.LabelStack
			call, cancel := context.WithTimeout(call, callTimeout)
			defer cancel()
			list, err := objects.List(call, o)
			complain(err)
			return list, err
		},
		WatchFuncWithContext: func(call context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = cluster.LabelStack
			stream, err := objects.Watch(call, o)
			complain(err)
			return stream, err
		},
	}
}

// Kinds returns the resources that are watched, for diagnosis and tests.
func (w *Watches) Kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for r := range w.running {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}
