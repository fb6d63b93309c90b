package kube

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Watches watches the metadata of labelled objects, one watch for each kind in use, whatever number of stacks use it.
type Watches struct {
	cluster *Cluster
	log     *slog.Logger
	notify  func(cluster.Change)

	mu      sync.Mutex
	base    context.Context // of Run; nil before it
	used    map[string]map[schema.GroupVersionResource]cluster.Mapping
	running map[schema.GroupVersionResource]context.CancelFunc
	wg      sync.WaitGroup
}

var _ cluster.Watches = (*Watches)(nil)

// Watches returns watches that call notify for each change; notify must not block. They run while Run does.
func (c *Cluster) Watches(notify func(cluster.Change)) *Watches {
	return &Watches{
		cluster: c, log: c.options.Log, notify: notify,
		used: map[string]map[schema.GroupVersionResource]cluster.Mapping{}, running: map[schema.GroupVersionResource]context.CancelFunc{},
	}
}

// Run watches until ctx ends, and returns when all watches have ended.
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
	w.wg.Wait()
	return nil
}

// Use implements cluster.Watches.
func (w *Watches) Use(stack string, kinds []cluster.Mapping) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(kinds) == 0 {
		delete(w.used, stack)
	} else {
		set := make(map[schema.GroupVersionResource]cluster.Mapping, len(kinds))
		for _, m := range kinds {
			set[m.Resource] = m
		}
		w.used[stack] = set
	}
	w.settle()
}

// settle starts and ends watches so that they are those in use. The lock is held.
func (w *Watches) settle() {
	if w.base == nil {
		return
	}
	want := map[schema.GroupVersionResource]cluster.Mapping{}
	for _, set := range w.used {
		maps.Copy(want, set)
	}
	for r, m := range want {
		if _, ok := w.running[r]; !ok {
			ctx, cancel := context.WithCancel(w.base)
			w.running[r] = cancel
			w.wg.Go(func() { w.watch(ctx, m) })
		}
	}
	for r, cancel := range w.running {
		if _, ok := want[r]; !ok {
			cancel()
			delete(w.running, r)
		}
	}
}

func (w *Watches) watch(ctx context.Context, m cluster.Mapping) {
	namespace := metav1.NamespaceAll
	if w.cluster.options.Only {
		namespace = w.cluster.options.Namespace
	}
	informer := metadatainformer.NewFilteredMetadataInformer(w.cluster.metadata, m.Resource, namespace, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.LabelSelector = cluster.LabelStack }).Informer()
	if err := informer.SetTransform(strip); err != nil {
		w.log.ErrorContext(ctx, "watch not set up", "kind", m.Kind.String(), "error", err.Error())
		return
	}
	var last string
	complain := func(_ context.Context, _ *cache.Reflector, err error) {
		level := slog.LevelDebug
		if apierrors.IsForbidden(err) && err.Error() != last {
			level, last = slog.LevelWarn, err.Error() // once: without the right, changes are seen at the next resync only
		}
		w.log.Log(ctx, level, "watch interrupted", "kind", m.Kind.String(), "error", err.Error())
	}
	if err := informer.SetWatchErrorHandlerWithContext(complain); err != nil {
		w.log.ErrorContext(ctx, "watch not set up", "kind", m.Kind.String(), "error", err.Error())
		return
	}
	tell := func(o any, gone bool) {
		if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = d.Obj
		}
		s, ok := o.(*seen)
		if !ok || s.stack == "" {
			return
		}
		w.notify(cluster.Change{
			Stack: s.stack, Version: s.ResourceVersion, Fingerprint: s.fingerprint, Gone: gone,
			Key: cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: s.Namespace, Name: s.Name},
		})
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { tell(o, false) },
		UpdateFunc: func(before, o any) {
			was, ok1 := before.(*seen)
			is, ok2 := o.(*seen)
			if ok1 && ok2 && was.stack != is.stack {
				tell(before, true) // the label points elsewhere now
			}
			tell(o, false)
		},
		DeleteFunc: func(o any) { tell(o, true) },
	})
	if err != nil {
		w.log.ErrorContext(ctx, "watch not set up", "kind", m.Kind.String(), "error", err.Error())
		return
	}
	w.wg.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
			w.begun(m, informer.GetStore())
		}
	})
	informer.RunWithContext(ctx)
}

// begun tells each stack that uses a kind which of its objects were there when the watch began.
func (w *Watches) begun(m cluster.Mapping, store cache.Store) {
	present := map[string]map[cluster.Key]bool{}
	w.mu.Lock()
	for stack, set := range w.used {
		if _, uses := set[m.Resource]; uses {
			present[stack] = map[cluster.Key]bool{}
		}
	}
	w.mu.Unlock()
	for _, o := range store.List() {
		if s, ok := o.(*seen); ok && present[s.stack] != nil {
			present[s.stack][cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: s.Namespace, Name: s.Name}] = true
		}
	}
	for stack, keys := range present {
		w.notify(cluster.Change{Stack: stack, Key: cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind}, Present: keys})
	}
}

// seen is all that is kept of a watched object.
type seen struct {
	metav1.ObjectMeta // name, namespace, uid and resource version only
	stack             string
	fingerprint       uint64
}

func strip(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	return &seen{
		ObjectMeta:  metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion},
		stack:       m.Labels[cluster.LabelStack],
		fingerprint: cluster.Fingerprint(m),
	}, nil
}

// Kinds returns the resources that are watched, for diagnosis and tests.
func (w *Watches) Kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for r := range w.running {
		out = append(out, r.GroupResource().String())
	}
	slices.Sort(out)
	return out
}
