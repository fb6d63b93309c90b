package kube_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func TestSurveyReadsARealCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.cluster(w.config, kube.Options{Namespace: w.namespace})
	version, err := c.KubernetesVersion(t.Context())
	if err != nil || !strings.HasPrefix(version, "v1.") {
		t.Errorf("version: got %q, %v", version, err)
	}
	apis, err := c.GroupVersions(t.Context())
	if err != nil || !slices.Contains(apis, "v1") || !slices.Contains(apis, "apps/v1") || !slices.IsSorted(apis) {
		t.Errorf("APIs: got %v, %v", apis, err)
	}
	nodes, err := c.Nodes(t.Context())
	if err != nil || nodes.Ready > nodes.Total || len(nodes.Taking) > int(nodes.Ready) {
		t.Errorf("nodes: got %+v, %v", nodes, err)
	}
	if nodes.Ready > 0 && (nodes.Allocatable.CPU <= 0 || nodes.Allocatable.Memory <= 0 || len(nodes.Architectures) == 0) {
		t.Errorf("nodes: got %+v, want what they can take", nodes)
	}
	if _, err := c.Requested(t.Context(), nodes.Taking); err != nil {
		t.Errorf("requested: %v", err)
	}
}

func TestSurveyReadsFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.cluster(w.config, kube.Options{Namespace: w.namespace})
	state := func(name string, annotations map[string]string, data map[string]any) {
		t.Helper()
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": data}}
		u.SetName(name)
		u.SetAnnotations(annotations)
		if _, err := w.admin.Resource(configMaps).Namespace(w.namespace).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	yes := map[string]string{"brokkr.io/facts": "true"}
	state("a", yes, map[string]any{"price": "2.5", "zone": "north"})
	state("b", map[string]string{"brokkr.io/facts": "true", "brokkr.io/facts-until": "2036-08-02T12:00:00Z"}, map[string]any{"spot": "yes", "long": strings.Repeat("x", 2000)})
	state("c", nil, map[string]any{"other": "no"})
	state("d", map[string]string{"brokkr.io/facts": "true", "brokkr.io/facts-until": "tomorrow"}, map[string]any{"late": "no"})
	facts, refused, err := c.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(facts) != 3 || facts["price"].Number == nil || *facts["price"].Number != 2.5 || facts["zone"].Text != "north" || facts["spot"].Until == nil {
		t.Errorf("facts: got %+v, want price, zone and, until then, spot", facts)
	}
	if len(refused) != 2 || !strings.Contains(refused[0], "long") || !strings.Contains(refused[1], "tomorrow") {
		t.Errorf("refused: got %v, want what is too long, and the time that is none", refused)
	}
}

// An agent that is confined to its namespace does not look beyond it, and says so.
func TestSurveyOfAConfinedAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.cluster(w.config, kube.Options{Namespace: w.namespace, Only: true})
	if _, err := c.Nodes(t.Context()); !fault.Is(err, fault.Forbidden) {
		t.Errorf("nodes: got %v, want Forbidden", err)
	}
	if _, err := c.Requested(t.Context(), nil); !fault.Is(err, fault.Forbidden) {
		t.Errorf("requested: got %v, want Forbidden", err)
	}
	if _, _, err := c.Facts(t.Context()); err != nil {
		t.Errorf("facts: %v", err)
	}
}
