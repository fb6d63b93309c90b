package kube

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

const (
	ownersDeep    = 5 // Pod, ReplicaSet, Deployment, and two more for operators
	ownersKept    = 10_000
	ownerTrusted  = 5 * time.Minute
	nobodyTrusted = time.Hour   // what nobody's is changes hands by Apply alone, which says so
	persistPause  = time.Second // after a trouble, doubled each time
	persistLast   = time.Minute
)

// owners remembers whose objects are.
type owners struct {
	mu   sync.Mutex
	kept map[string]belonging // by uid
}

// belonging is whose an object is.
type belonging struct {
	stack string // empty: nobody's of this agent
	logs  string // AnnotationStreamLogs on it, or on the nearest of its owners that has it
	until time.Time
}

// applied says that an object was written: what is known of it, and of all that it owns, may have changed.
func (o *owners) applied(uid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, ok := o.kept[uid]
	if !ok {
		return
	}
	for u, b := range o.kept {
		if b.stack == was.stack {
			delete(o.kept, u)
		}
	}
}

// find returns whose an object is, by what is known or by asking the cluster; false if nobody can say.
func (o *owners) find(ctx context.Context, c *Cluster, kind schema.GroupVersionKind, namespace, name, uid string, deep int) (belonging, bool) {
	if deep == 0 {
		return belonging{}, true
	}
	now := time.Now()
	o.mu.Lock()
	known, ok := o.kept[uid]
	o.mu.Unlock()
	if ok && now.Before(known.until) {
		return known, true
	}
	b, sure := o.ask(ctx, c, kind, namespace, name, uid, deep)
	if !sure {
		return known, ok // what was true a while ago is better than nothing
	}
	b.until = now.Add(ownerTrusted)
	if b.stack == "" {
		b.until = now.Add(nobodyTrusted)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.kept) >= ownersKept {
		clear(o.kept)
	}
	o.kept[uid] = b
	return b, true
}

func (o *owners) ask(ctx context.Context, c *Cluster, kind schema.GroupVersionKind, namespace, name, uid string, deep int) (belonging, bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.Any(ctx, kind)
	if err != nil {
		return belonging{}, fault.CodeOf(err) == cluster.CodeKindNotServed
	}
	found, err := c.metadata.Resource(m.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || string(found.UID) != uid {
		return belonging{}, false
	}
	return o.judge(ctx, c, found, deep)
}

// judge goes by an object's metadata, and by its owner's if it carries no stack itself.
func (o *owners) judge(ctx context.Context, c *Cluster, found *metav1.PartialObjectMetadata, deep int) (belonging, bool) {
	logs := found.Annotations[cluster.AnnotationStreamLogs]
	if s := found.Labels[cluster.LabelStack]; s != "" && found.Annotations[cluster.AnnotationOwner] != "" {
		if found.Annotations[cluster.AnnotationOwner] != c.options.Agent {
			s = ""
		}
		return belonging{stack: s, logs: logs}, true
	}
	owner := metav1.GetControllerOf(found)
	if owner == nil {
		return belonging{}, true
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return belonging{}, true
	}
	b, sure := o.find(ctx, c, gv.WithKind(owner.Kind), found.Namespace, owner.Name, string(owner.UID), deep-1)
	if logs != "" {
		b.logs = logs
	}
	return b, sure
}

// persist calls once again and again until ctx ends, ever less often unless it goes well for a while. once calls began when
// what it does works.
func persist(ctx context.Context, once func(began func()) error, told func(error)) {
	pause, failing := persistPause, false
	for {
		began := time.Now()
		err := once(func() {
			if failing {
				told(nil)
			}
			failing = false
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			told(err)
			failing = true
		}
		if time.Since(began) > persistLast {
			pause = persistPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter
		}
		pause = min(2*pause, persistLast)
	}
}
