package kube

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// TestWhatAnswersInPlaceOfTheAPIServerSaysNothing: a proxy that does not know where the API server is says that nothing is there.
// Were it believed, an inventory would be none, and a removal done though everything stays.
func TestWhatAnswersInPlaceOfTheAPIServerSaysNothing(t *testing.T) {
	t.Parallel()
	const group = `{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"g"},"versions":[{"version":"v1","freshness":"Current","resources":[
		{"resource":"as","responseKind":{"group":"g","version":"v1","kind":"A"},"scope":"Namespaced","verbs":["list","delete"]}]}]}]}`
	const none = `{"kind":"APIGroupDiscoveryList","items":[]}`
	for name, c := range map[string]struct {
		discovery string // empty: what answers knows of none
		kind      fault.Kind
		code      string
		gone      bool // whether there is nothing to delete
	}{
		"everywhere":                      {"", fault.Unavailable, "cluster_not_found", false},
		"where the API server has a kind": {group, fault.Unavailable, cluster.CodeKindNotHere, false},
		"and the kind is not served":      {none, fault.NotFound, cluster.CodeKindNotServed, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text := map[string]string{"/api": none, "/apis": c.discovery}[r.URL.Path]
				if c.discovery == "" || text == "" {
					http.Error(w, "default backend - 404", http.StatusNotFound)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, text)
			}))
			t.Cleanup(s.Close)
			k, err := New(&rest.Config{Host: s.URL, QPS: -1}, Options{Agent: "a", Namespace: "n", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			gv := schema.GroupVersion{Group: "g", Version: "v1"}
			m := cluster.Mapping{Kind: gv.WithKind("A"), Resource: gv.WithResource("as"), Namespaced: true}
			target := cluster.Target{Mapping: m, Namespace: "n", Name: "x"}
			obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "g/v1", "kind": "A", "metadata": map[string]any{"name": "x", "namespace": "n"}}}
			for act, f := range map[string]func() error{
				"get":       func() error { _, err := k.Get(t.Context(), "", target); return err },
				"apply":     func() error { _, err := k.Apply(t.Context(), "", m, obj, false); return err },
				"make":      func() error { _, err := k.Make(t.Context(), "", m, obj); return err },
				"instances": func() error { _, err := k.Instances(t.Context(), "", m, nil, 1); return err },
			} {
				if err := f(); !fault.Is(err, c.kind) || fault.CodeOf(err) != c.code {
					t.Errorf("%s: got %v (%v %s), want %v %s", act, err, fault.KindOf(err), fault.CodeOf(err), c.kind, c.code)
				}
			}
			for act, f := range map[string]func() error{
				"delete":  func() error { return k.Delete(t.Context(), "", target) },
				"release": func() error { return k.Release(t.Context(), "", target) },
			} {
				if err := f(); (err == nil) != c.gone {
					t.Errorf("%s: got %v, want that it is done: %v", act, err, c.gone)
				}
			}
			for act, f := range map[string]func() error{
				"load":   func() error { _, err := k.Inventories().Load(t.Context(), "s"); return err },
				"forget": func() error { return k.Inventories().Delete(t.Context(), "s", "") },
			} {
				if err := f(); !fault.Is(err, fault.Unavailable) {
					t.Errorf("%s the inventory: got %v, want that it is not known", act, err)
				}
			}
			if _, err := k.Any(t.Context(), m.Kind); c.discovery == "" && (!fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "does not have the kind")) {
				t.Errorf("any: got %v, want that it is not known", err)
			}
		})
	}
}
