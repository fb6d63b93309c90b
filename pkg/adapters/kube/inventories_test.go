package kube_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// stored returns the ConfigMap of a stack's inventory, found in the way that people find it.
func (w *world) stored(stack string) *unstructured.Unstructured {
	w.Helper()
	list, err := w.admin.Resource(configMaps).Namespace(w.namespace).List(w.Context(), metav1.ListOptions{
		LabelSelector: "brokkr.io/inventory=" + stack + ",brokkr.io/agent=" + w.agent + ",app.kubernetes.io/managed-by=brokkr-agent"})
	if err != nil || len(list.Items) != 1 {
		w.Fatalf("inventory of %s: got %v, %v, want one ConfigMap", stack, list, err)
	}
	return &list.Items[0]
}

func entries(n int) []cluster.Entry {
	var out []cluster.Entry
	for i := range n {
		out = append(out, cluster.Entry{Key: cluster.Key{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("app-%05d", i)}, Version: "v1", UID: uuid.NewString()})
	}
	return out
}

func TestInventoryPlainAndCompressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inv := cluster.Inventory{Stack: uuid.NewString(), Entries: entries(3)}
	for _, size := range []struct {
		entries int
		plain   bool
	}{{3, true}, {3000, false}, {2, true}} {
		inv.Entries = entries(size.entries)
		version, err := w.c.Inventories().Save(t.Context(), inv)
		if err != nil {
			t.Fatalf("save %d entries: %v", size.entries, err)
		}
		inv.Version = version
		u := w.stored(inv.Stack)
		text, plain, _ := unstructured.NestedString(u.Object, "data", "inventory.json")
		_, packed, _ := unstructured.NestedString(u.Object, "binaryData", "inventory.json.gz")
		if plain != size.plain || packed == size.plain {
			t.Fatalf("%d entries: got plain %v and compressed %v, want plain %v alone", size.entries, plain, packed, size.plain)
		}
		if plain && !strings.Contains(text, "app-00001") {
			t.Errorf("plain inventory: got %s, want one that people can read", text)
		}
	}
}

func TestInventoryThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	packed := func(content string, cut int) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(content)) // to memory
		_ = z.Close()
		return base64.StdEncoding.EncodeToString(b.Bytes()[:b.Len()-cut])
	}
	for name, fields := range map[string]map[string]any{
		"nothing":        {},
		"no JSON":        {"data": map[string]any{"inventory.json": "{"}},
		"not compressed": {"binaryData": map[string]any{"inventory.json.gz": base64.StdEncoding.EncodeToString([]byte("{}"))}},
		"cut short":      {"binaryData": map[string]any{"inventory.json.gz": packed(`{"stack":"s"}`, 6)}},
		"other JSON":     {"binaryData": map[string]any{"inventory.json.gz": packed(`[]`, 0)}},
		"a bomb":         {"binaryData": map[string]any{"inventory.json.gz": packed(`{"name":"`+strings.Repeat(" ", 32<<20)+`"}`, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stack := uuid.NewString()
			name := "inventory." + stack + "." + w.agent
			if _, err := w.admin.Resource(configMaps).Namespace(w.namespace).Create(t.Context(), w.object(configMap, name, fields), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			_, err := w.c.Inventories().Load(t.Context(), stack)
			f, ok := fault.As(err)
			if !ok || f.Code != "inventory_unreadable" || !strings.Contains(f.Message, w.namespace+"/"+name) {
				t.Fatalf("load: got %v, want inventory_unreadable that names the ConfigMap", err)
			}
			// Whoever believes that there is none does not write over it.
			if _, err := w.c.Inventories().Save(t.Context(), cluster.Inventory{Stack: stack}); !fault.Is(err, fault.Conflict) {
				t.Fatalf("save: got %v, want Conflict", err)
			}
		})
	}
}

func TestInventoriesOfTwoAgentsAreApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, stack := w.c.Inventories(), uuid.NewString()
	w.agent = uuid.NewString()
	second := w.cluster(w.config, kube.Options{}).Inventories()
	for i, x := range []kube.Inventories{first, second} {
		if _, err := x.Save(t.Context(), cluster.Inventory{Stack: stack, Sequence: int64(i + 1)}); err != nil {
			t.Fatalf("save by agent %d: %v", i+1, err)
		}
	}
	if err := second.Delete(t.Context(), stack, ""); err != nil {
		t.Fatal(err)
	}
	got, err := first.Load(t.Context(), stack)
	if err != nil || got.Sequence != 1 {
		t.Fatalf("load by the first agent: got %+v, %v, want its own", got, err)
	}
}

// TestInventoryEditedByHand has a person change the ConfigMap between load and save.
func TestInventoryEditedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inv := cluster.Inventory{Stack: uuid.NewString()}
	var err error
	if inv.Version, err = w.c.Inventories().Save(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	u := w.stored(inv.Stack)
	u.SetAnnotations(map[string]string{"by": "hand"})
	if _, err := w.admin.Resource(configMaps).Namespace(w.namespace).Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.Inventories().Save(t.Context(), inv); !fault.Is(err, fault.Conflict) {
		t.Fatalf("save: got %v, want Conflict", err)
	}
	if inv, err = w.c.Inventories().Load(t.Context(), inv.Stack); err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.Inventories().Save(t.Context(), inv); err != nil {
		t.Fatalf("save after a load: %v", err)
	}
}

func TestInventoryThatIsTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inv := cluster.Inventory{Stack: uuid.NewString(), Entries: []cluster.Entry{{Key: cluster.Key{Name: strings.Repeat("x", 32<<20)}}}}
	if _, err := w.c.Inventories().Save(t.Context(), inv); fault.CodeOf(err) != "inventory_too_large" {
		t.Fatalf("save: got %v, want inventory_too_large", err)
	}
	inv.Entries[0].Key.Name = strings.Repeat("x", 16<<20) // what is written can be read
	if _, err := w.c.Inventories().Save(t.Context(), inv); err != nil {
		t.Fatalf("save: %v", err)
	}
	if got, err := w.c.Inventories().Load(t.Context(), inv.Stack); err != nil || got.Entries[0].Key != inv.Entries[0].Key {
		t.Fatalf("load: %v", err)
	}
}
