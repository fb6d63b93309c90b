package kube_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Events of a stack's objects and of what they own are told, those of others are not.
func TestKubeEventsOfStacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stack := uuid.NewString()
	configMaps := w.admin.Resource(configMaps).Namespace(w.namespace)
	create := func(name string, change func(u *unstructured.Unstructured)) *unstructured.Unstructured {
		t.Helper()
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
		change(u)
		made, err := configMaps.Create(t.Context(), u, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	stamp := func(owner string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			u.SetLabels(map[string]string{cluster.LabelStack: stack})
			u.SetAnnotations(map[string]string{cluster.AnnotationOwner: owner})
		}
	}
	mine := create("mine", stamp(w.agent))
	yes := true
	child := create("child", func(u *unstructured.Unstructured) {
		u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: mine.GetName(), UID: mine.GetUID(), Controller: &yes}})
	})
	theirs, nobodys := create("theirs", stamp(uuid.NewString())), create("nobodys", func(*unstructured.Unstructured) {})

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var got []cluster.KubeEvent
	go w.c.KubeEvents().Watch(ctx, func(e cluster.KubeEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Namespace == w.namespace {
			got = append(got, e)
		}
	}, func(err error) { t.Errorf("trouble: %v", err) })

	events := w.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "events"}).Namespace(w.namespace)
	say := func(reason string, about *unstructured.Unstructured) {
		t.Helper()
		_, err := events.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": strings.ToLower(reason) + "." + uuid.NewString()},
			"involvedObject": map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "namespace": w.namespace, "name": about.GetName(), "uid": string(about.GetUID())},
			"reason":         reason, "message": "about " + about.GetName(), "type": "Warning", "source": map[string]any{"component": "test"},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	heard := func(reason string) (cluster.KubeEvent, bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range got {
			if e.Reason == reason {
				return e, true
			}
		}
		return cluster.KubeEvent{}, false
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // until it watches
		say("Mine", mine)
		if _, ok := heard("Mine"); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no event of the stack's own object came")
		}
	}
	say("Theirs", theirs)
	say("Nobodys", nobodys)
	say("Child", child)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if e, ok := heard("Child"); ok {
			if e.Stack != stack || e.Kind != "ConfigMap" || e.Name != "child" || e.Type != "Warning" || e.Source != "test" || e.Message != "about child" || e.ObservedAt.IsZero() {
				t.Errorf("got %+v, want the child's event as one of the stack", e)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("no event of what the stack's object owns came")
		}
	}
	for _, reason := range []string{"Theirs", "Nobodys"} {
		if e, ok := heard(reason); ok {
			t.Errorf("got %+v, which is no event of this agent's stacks", e)
		}
	}
}
