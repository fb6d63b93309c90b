package kube

import (
	"cmp"
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// KubeEvents implements cluster.KubeEvents: one watch of events, and one question for each object that is not known yet.
type KubeEvents struct{ c *Cluster }

var _ cluster.KubeEvents = (*KubeEvents)(nil)

// KubeEvents returns the events of what the agent's stacks have put into the cluster.
func (c *Cluster) KubeEvents() *KubeEvents { return &KubeEvents{c: c} }

// Watch implements cluster.KubeEvents.
func (k *KubeEvents) Watch(ctx context.Context, fn func(cluster.KubeEvent), told func(error)) {
	persist(ctx, func(began func()) error { return k.once(ctx, fn, began) }, told)
}

// once watches from now on until the watch ends.
func (k *KubeEvents) once(ctx context.Context, fn func(cluster.KubeEvent), began func()) error {
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
	began()
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
	b, _ := k.c.owners.find(ctx, k.c, gv.WithKind(e.Kind), e.Namespace, e.Name, e.UID, ownersDeep)
	return b.stack
}
