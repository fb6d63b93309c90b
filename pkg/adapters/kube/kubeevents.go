package kube

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

const (
	ownersDeep   = 5 // Pod, ReplicaSet, Deployment, and two more for operators
	ownersKept   = 10_000
	ownerTrusted = 5 * time.Minute
	eventsPause  = time.Second // after a trouble, doubled each time
	eventsLast   = time.Minute
)

// KubeEvents implements cluster.KubeEvents: one watch of events, and one question for each object that is not known yet.
type KubeEvents struct {
	c      *Cluster
	mu     sync.Mutex
	owners map[string]ownedBy // by uid
}

// ownedBy is whose an object is; no stack: nobody's of this agent.
type ownedBy struct {
	stack string
	until time.Time
}

var _ cluster.KubeEvents = (*KubeEvents)(nil)

// KubeEvents returns the events of what the agent's stacks have put into the cluster.
func (c *Cluster) KubeEvents() *KubeEvents {
	return &KubeEvents{c: c, owners: map[string]ownedBy{}}
}

// Watch implements cluster.KubeEvents.
func (k *KubeEvents) Watch(ctx context.Context, fn func(cluster.KubeEvent), told func(error)) {
	pause, failing := eventsPause, false
	for ctx.Err() == nil {
		began := time.Now()
		err := k.once(ctx, fn)
		if ctx.Err() != nil {
			return
		}
		if err == nil || time.Since(began) > eventsLast { // a watch ends now and then
			pause, failing = eventsPause, false
		}
		if err != nil {
			if !failing {
				told(err)
			}
			failing = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter
		}
		if err != nil {
			pause = min(2*pause, eventsLast)
		}
	}
}

// once watches from now on until the watch ends.
func (k *KubeEvents) once(ctx context.Context, fn func(cluster.KubeEvent)) error {
	namespace := ""
	if k.c.options.Only {
		namespace = k.c.options.Namespace
	}
	events := k.c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "events"}).Namespace(namespace)
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	now, err := events.List(bounded, metav1.ListOptions{Limit: 1}) // only where the log of changes is
	cancel()
	if err != nil {
		return translate(err, false)
	}
	w, err := events.Watch(ctx, metav1.ListOptions{ResourceVersion: now.GetResourceVersion(), AllowWatchBookmarks: true})
	if err != nil {
		return translate(err, false)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		switch e.Type {
		case watch.Error:
			return errors.New("the watch of events was ended by the API server")
		case watch.Added, watch.Modified:
			if u, ok := e.Object.(*unstructured.Unstructured); ok {
				if out := eventOf(u); out.UID != "" {
					if out.Stack = k.stackOf(ctx, out); out.Stack != "" {
						fn(out)
					}
				}
			}
		case watch.Deleted, watch.Bookmark:
		}
	}
	return nil
}

func eventOf(u *unstructured.Unstructured) cluster.KubeEvent {
	text := func(path ...string) string {
		s, _, _ := unstructured.NestedString(u.Object, path...)
		return s
	}
	out := cluster.KubeEvent{
		Reason: text("reason"), Message: text("message"), Type: text("type"), Source: cmp.Or(text("source", "component"), text("reportingComponent")),
		APIVersion: text("involvedObject", "apiVersion"), Kind: text("involvedObject", "kind"), Namespace: text("involvedObject", "namespace"),
		Name: text("involvedObject", "name"), UID: text("involvedObject", "uid"), ObservedAt: u.GetCreationTimestamp().Time,
	}
	for _, when := range []string{text("firstTimestamp"), text("eventTime"), text("lastTimestamp"), text("series", "lastObservedTime")} {
		if t, err := time.Parse(time.RFC3339Nano, when); err == nil && t.After(out.ObservedAt) {
			out.ObservedAt = t
		}
	}
	return out
}

// stackOf returns the stack of this agent to which what the event is about belongs; empty if there is none, or if it is
// gone and was never seen.
func (k *KubeEvents) stackOf(ctx context.Context, e cluster.KubeEvent) string {
	gv, err := schema.ParseGroupVersion(e.APIVersion)
	if err != nil {
		return ""
	}
	return k.owner(ctx, gv.WithKind(e.Kind), e.Namespace, e.Name, e.UID, ownersDeep)
}

func (k *KubeEvents) owner(ctx context.Context, kind schema.GroupVersionKind, namespace, name, uid string, deep int) string {
	if deep == 0 {
		return ""
	}
	now := time.Now()
	k.mu.Lock()
	known, ok := k.owners[uid]
	k.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.stack
	}
	stack, sure := k.ask(ctx, kind, namespace, name, uid, deep)
	if !sure {
		return known.stack // what was true a while ago is better than nothing
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.owners) >= ownersKept {
		clear(k.owners)
	}
	k.owners[uid] = ownedBy{stack: stack, until: now.Add(ownerTrusted)}
	return stack
}

// ask looks at an object's metadata, and at its owner's if it carries no stack itself; false if nobody can say.
func (k *KubeEvents) ask(ctx context.Context, kind schema.GroupVersionKind, namespace, name, uid string, deep int) (stack string, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := k.c.Any(ctx, kind)
	if err != nil {
		return "", fault.CodeOf(err) == cluster.CodeKindNotServed
	}
	found, err := k.c.metadata.Resource(m.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || string(found.UID) != uid {
		return "", false
	}
	if s := found.Labels[cluster.LabelStack]; s != "" {
		if found.Annotations[cluster.AnnotationOwner] == k.c.options.Agent {
			return s, true
		}
		return "", true
	}
	o := metav1.GetControllerOf(found)
	if o == nil {
		return "", true
	}
	gv, err := schema.ParseGroupVersion(o.APIVersion)
	if err != nil {
		return "", true
	}
	return k.owner(ctx, gv.WithKind(o.Kind), namespace, o.Name, string(o.UID), deep-1), true
}
