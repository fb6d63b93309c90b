package kube_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func TestKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	k := w.c.Keep("brokkr-agent-edge")
	none, err := k.Load(ctx)
	if err != nil || none.Version != "" || len(none.Values) != 0 {
		t.Fatalf("before: got %+v, %v", none, err)
	}
	first, err := k.Save(ctx, cluster.Kept{Values: map[string]string{"claim": "a", "gone": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Save(ctx, cluster.Kept{Values: map[string]string{"claim": "c"}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("make it again: got %v, want a Conflict", err)
	}
	secrets := w.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(w.namespace)
	u, err := secrets.Get(ctx, "brokkr-agent-edge", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.SetAnnotations(map[string]string{"somebody": "s"})
	if _, err := secrets.Update(ctx, u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	first.Values["claim"] = "topsecret"
	if _, err := k.Save(ctx, first); !fault.Is(err, fault.Conflict) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("stale: got %v, want a Conflict", err)
	}
	now, err := k.Load(ctx)
	if err != nil || now.Values["claim"] != "a" || now.Values["gone"] != "b" {
		t.Fatalf("got %+v, %v", now, err)
	}
	now.Values = map[string]string{"claim": "a", "pak": "key"}
	if _, err := k.Save(ctx, now); err != nil {
		t.Fatal(err)
	}
	if u, err = secrets.Get(ctx, "brokkr-agent-edge", metav1.GetOptions{}); err != nil || u.GetAnnotations()["somebody"] != "s" {
		t.Errorf("got %v, %v; want what others have set", u.GetAnnotations(), err)
	}
	if now, err = k.Load(ctx); err != nil || len(now.Values) != 2 || now.Values["pak"] != "key" {
		t.Errorf("got %+v, %v", now, err)
	}
	if err := secrets.Delete(ctx, "brokkr-agent-edge", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Save(ctx, now); !fault.Is(err, fault.Conflict) {
		t.Errorf("deleted meanwhile: got %v, want a Conflict", err)
	}
}

// The rights of the documentation are enough, and each that is missing is named.
func TestKeepNeedsLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	create := func(resource, name string, fields map[string]any) {
		t.Helper()
		u := &unstructured.Unstructured{Object: fields}
		u.SetName(name)
		r := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource}
		if _, err := w.admin.Resource(r).Namespace(w.namespace).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	allow := func(user string, rules ...any) kube.Keep {
		t.Helper()
		create("roles", user, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules})
		create("rolebindings", user, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}})
		cfg := rest.CopyConfig(w.config)
		cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
		return w.cluster(cfg, kube.Options{}).Keep("brokkr-agent-edge")
	}
	rule := func(name string, verbs ...any) map[string]any {
		r := map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": verbs}
		if name != "" {
			r["resourceNames"] = []any{name}
		}
		return r
	}
	reader := allow("reader", rule("brokkr-agent-edge", "get"))
	full := allow("full", rule("brokkr-agent-edge", "get", "update"), rule("", "create"))
	nobody := allow("nobody", rule("other", "get"))
	if _, err := nobody.Load(ctx); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "grant it get and update") {
		t.Errorf("load: got %v", err)
	}
	if _, err := reader.Save(ctx, cluster.Kept{}); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), w.namespace+"/brokkr-agent-edge") {
		t.Errorf("create: got %v", err)
	}
	kept, err := full.Save(ctx, cluster.Kept{Values: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Save(ctx, kept); !fault.Is(err, fault.Forbidden) {
		t.Errorf("update: got %v", err)
	}
	if _, err := full.Save(ctx, kept); err != nil {
		t.Errorf("update with the right to: %v", err)
	}
	if got, err := reader.Load(ctx); err != nil || got.Values["a"] != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}
