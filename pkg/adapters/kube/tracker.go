package kube

import (
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// tracker remembers the least of each object of a kind that lets it tell what has changed. It is the store of a
// reflector.
type tracker struct {
	kind  schema.GroupKind
	tell  func(cluster.Change)
	users func() []string // stacks that use the kind

	mu   sync.Mutex      // held while telling, so that what is told is in order
	seen map[place]sight // nil before the first list
}

// place and sight are all that is kept of an object. There are many, in few namespaces and stacks.
type place struct {
	namespace unique.Handle[string]
	name      string
}

type sight struct {
	stack       unique.Handle[string]
	version     string
	fingerprint uint64
}

var _ cache.TransformingStore = (*tracker)(nil)

// stripped is what reflector and tracker hand each other while a list is read. Its metadata names the object and its
// resource version, no more.
type stripped struct {
	metav1.ObjectMeta
	sight sight
}

func strip(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	return &stripped{
		ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, ResourceVersion: m.ResourceVersion},
		sight:      sight{stack: unique.Make(m.Labels[cluster.LabelStack]), version: m.ResourceVersion, fingerprint: cluster.Fingerprint(m)},
	}, nil
}

// look returns where an object is and what was seen of it; ok is false for what is no object.
func look(o any) (p place, s sight, ok bool) {
	o, _ = strip(o) // fails never
	x, ok := o.(*stripped)
	if !ok {
		return place{}, sight{}, false
	}
	return place{namespace: unique.Make(x.Namespace), name: x.Name}, x.sight, true
}

// Transformer implements cache.TransformingStore.
func (t *tracker) Transformer() cache.TransformFunc { return strip }

// Add implements cache.ReflectorStore.
func (t *tracker) Add(o any) error { return t.Update(o) }

// Update implements cache.ReflectorStore.
func (t *tracker) Update(o any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, is, ok := look(o); ok {
		t.change(p, t.seen[p], is)
		t.seen[p] = is
	}
	return nil
}

// Delete implements cache.ReflectorStore. An object that lost its label is deleted, too, as far as a watch can see.
func (t *tracker) Delete(o any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, is, ok := look(o); ok {
		if was, ok := t.seen[p]; ok {
			was.version = is.version
			t.report(p, was, true)
			delete(t.seen, p)
		}
	}
	return nil
}

// Replace implements cache.ReflectorStore: the list is all that there is.
func (t *tracker) Replace(list []any, _ string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.seen
	t.seen = make(map[place]sight, len(list))
	for _, o := range list {
		if p, is, ok := look(o); ok {
			t.change(p, before[p], is)
			t.seen[p] = is
		}
	}
	for p, was := range before {
		if _, ok := t.seen[p]; !ok {
			t.report(p, was, true)
		}
	}
	if before == nil {
		t.present(t.users())
	}
	return nil
}

// join tells a stack that has come to use the kind what there is of it, unless the first list is still to come and will.
func (t *tracker) join(stack string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen != nil {
		t.present([]string{stack})
	}
}

// present tells stacks which objects they have. The lock is held.
func (t *tracker) present(stacks []string) {
	there := make(map[string]map[cluster.Key]bool, len(stacks))
	for _, s := range stacks {
		there[s] = map[cluster.Key]bool{}
	}
	for p, s := range t.seen {
		if keys := there[s.stack.Value()]; keys != nil {
			keys[t.key(p)] = true
		}
	}
	for s, keys := range there {
		t.tell(cluster.Change{Stack: s, Key: cluster.Key{Group: t.kind.Group, Kind: t.kind.Kind}, Present: keys})
	}
}

func (t *tracker) key(p place) cluster.Key {
	return cluster.Key{Group: t.kind.Group, Kind: t.kind.Kind, Namespace: p.namespace.Value(), Name: p.name}
}

// Resync implements cache.ReflectorStore.
func (t *tracker) Resync() error { return nil }

// change tells of an object that is there; what was is zero for one that is new.
func (t *tracker) change(p place, was, is sight) {
	if was == is {
		return
	}
	if was != (sight{}) && was.stack != is.stack {
		was.version = is.version
		t.report(p, was, true) // the label points elsewhere now
	}
	t.report(p, is, false)
}

func (t *tracker) report(p place, s sight, gone bool) {
	stack := s.stack.Value()
	if stack == "" {
		return
	}
	t.tell(cluster.Change{Stack: stack, Key: t.key(p), Version: s.version, Fingerprint: s.fingerprint, Gone: gone})
}
