package kube_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

var (
	podsResource   = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventsResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	replicaSets    = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
)

// pod makes a pod that belongs to owner, if there is one. No controller makes it, and no node runs it.
func (w *world) pod(name string, owner *unstructured.Unstructured) *unstructured.Unstructured {
	u := w.object(podsResource.GroupVersion().WithKind("Pod"), name, map[string]any{"spec": map[string]any{
		"serviceAccountName": "default", "automountServiceAccountToken": false,
		"containers": []any{map[string]any{"name": "app", "image": "example.test/app:1"}},
	}})
	own(u, owner)
	return u
}

func own(u, owner *unstructured.Unstructured) {
	if owner != nil {
		u.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(),
		}})
	}
}

// replicaSet makes one for no pods: only its place between an owner and pods matters.
func (w *world) replicaSet(name string, owner *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	labels := map[string]any{"app": name}
	u := w.object(replicaSets.GroupVersion().WithKind("ReplicaSet"), name, map[string]any{"spec": map[string]any{
		"replicas": int64(0), "selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"containers": []any{map[string]any{"name": "app", "image": "example.test/app:1"}},
		}},
	}})
	own(u, owner)
	return w.create(replicaSets, u)
}

func (w *world) event(name string, about *unstructured.Unstructured, at time.Time) {
	w.Helper()
	w.create(eventsResource, w.object(eventsResource.GroupVersion().WithKind("Event"), name, map[string]any{
		"type": "Warning", "reason": "Because", "message": "of " + name, "count": int64(2), "lastTimestamp": at.UTC().Format(time.RFC3339),
		"involvedObject": map[string]any{"kind": about.GetKind(), "namespace": w.namespace, "name": about.GetName(), "uid": string(about.GetUID())},
	}))
}

func uid(u *unstructured.Unstructured) string { return string(u.GetUID()) }

// defaultAccount makes the account that pods need, where no controller has made it yet.
func (w *world) defaultAccount() {
	w.Helper()
	u := w.object(serviceAccounts.GroupVersion().WithKind("ServiceAccount"), "default", nil)
	_, _ = w.admin.Resource(serviceAccounts).Namespace(w.namespace).Create(w.Context(), u, metav1.CreateOptions{}) // there already is fine
}

func TestDiagnosisSeesAStacksOwnPodsAndEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.defaultAccount()
	top := w.create(configMaps, w.object(configMap, "top", nil)) // stands for the object of a stack
	mid := w.replicaSet("mid", top)
	first, second := w.create(podsResource, w.pod("p-1", mid)), w.create(podsResource, w.pod("p-2", top))
	stranger := w.create(podsResource, w.pod("stranger", w.replicaSet("other", nil)))
	now := time.Now()
	w.event("old", first, now.Add(-time.Hour))
	w.event("new", mid, now.Add(time.Hour))
	w.event("theirs", stranger, now)

	got, err := w.c.Running(t.Context(), w.namespace, map[string]bool{uid(top): true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Pods) != 2 || got.Pods[0].Name != "p-1" || got.Pods[1].Name != "p-2" || got.More || len(got.Refused) != 0 {
		t.Errorf("got %+v, want the two pods that the object made, directly or not", got)
	}
	for _, u := range []*unstructured.Unstructured{top, mid, first, second} {
		if !got.Family[uid(u)] {
			t.Errorf("%s %s is not in the family", u.GetKind(), u.GetName())
		}
	}
	if got.Family[uid(stranger)] {
		t.Error("a stranger's pod is in the family")
	}
	if few, err := w.c.Running(t.Context(), w.namespace, map[string]bool{uid(top): true}, 1); err != nil || len(few.Pods) != 1 || !few.More {
		t.Errorf("one at most: got %d pods, more %v, %v", len(few.Pods), few.More, err)
	}
	events, err := w.c.Happened(t.Context(), w.namespace, got.Family, 10)
	if err != nil {
		t.Fatal(err)
	}
	// Controllers may say something about the replica set too.
	var names []string
	for _, e := range events {
		if e.Name == "old" || e.Name == "new" || e.Name == "theirs" {
			names = append(names, e.Name)
		}
	}
	if !slices.Equal(names, []string{"new", "old"}) {
		t.Errorf("events: got %v, want ours, newest first", names)
	}
	if few, err := w.c.Happened(t.Context(), w.namespace, got.Family, 1); err != nil || len(few) != 1 {
		t.Errorf("one at most: got %d events, %v", len(few), err)
	}
	if _, err := w.c.LogTail(t.Context(), cluster.Tail{Namespace: w.namespace, Pod: "nobody", Container: "app", Lines: 1, Bytes: 10}); !fault.Is(err, fault.NotFound) {
		t.Errorf("log of no pod: got %v, want NotFound", err)
	}
}

func TestDiagnosisTellsWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.defaultAccount()
	top := w.create(configMaps, w.object(configMap, "top", nil))
	w.create(podsResource, w.pod("p-1", top))
	c := w.cluster(w.account("looker", []any{rule("", "pods", "list")}), kube.Options{})
	got, err := c.Running(t.Context(), w.namespace, map[string]bool{uid(top): true}, 10)
	if err != nil || len(got.Pods) != 1 || !slices.Contains(got.Refused, "ReplicaSet") || !slices.Contains(got.Refused, "Job") {
		t.Errorf("got %+v, %v, want the pod, and the kinds that may not be listed", got, err)
	}
	if _, err := c.Happened(t.Context(), w.namespace, got.Family, 10); !fault.Is(err, fault.Forbidden) {
		t.Errorf("events: got %v, want Forbidden", err)
	}
	if _, err := c.LogTail(t.Context(), cluster.Tail{Namespace: w.namespace, Pod: "p-1", Container: "app", Lines: 1, Bytes: 10}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("log: got %v, want Forbidden", err)
	}
}

func TestAConfinedAgentDiagnosesItsNamespaceAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.cluster(w.config, kube.Options{Only: true})
	for what, look := range map[string]func() error{
		"pods":   func() error { _, err := c.Running(t.Context(), "default", nil, 1); return err },
		"events": func() error { _, err := c.Happened(t.Context(), "default", nil, 1); return err },
		"log": func() error {
			_, err := c.LogTail(t.Context(), cluster.Tail{Namespace: "default", Pod: "p", Container: "c"})
			return err
		},
	} {
		if err := look(); fault.CodeOf(err) != "outside_namespace" {
			t.Errorf("%s: got %v, want outside_namespace", what, err)
		}
	}
}

func TestLogTailsAreBounded(t *testing.T) {
	t.Parallel()
	var query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Path + "?" + r.URL.RawQuery
		for n := range 20_000 {
			_, _ = fmt.Fprintf(w, "line %05d\n", n)
		}
	}))
	defer server.Close()
	c, err := kube.New(&rest.Config{Host: server.URL}, kube.Options{Agent: "a", Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.LogTail(t.Context(), cluster.Tail{Namespace: "web", Pod: "p", Container: "app", Previous: true, Lines: 7, Bytes: 35})
	if err != nil || got != "line 19997\nline 19998\nline 19999\n" {
		t.Errorf("got %q, %v, want the last whole lines within 35 bytes", got, err)
	}
	for _, part := range []string{"/api/v1/namespaces/web/pods/p/log?", "container=app", "previous=true", "tailLines=7"} {
		if !strings.Contains(query, part) {
			t.Errorf("asked for %s, want %s in it", query, part)
		}
	}
}
