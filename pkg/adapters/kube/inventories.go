package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// An inventory is a ConfigMap: it holds names only. Above plainInventory bytes it is compressed, which gives room for
// some 35,000 objects in what Kubernetes allows.
const (
	labelInventory   = cluster.LabelInventory
	labelAgent       = "brokkr.io/agent" // the agent's id
	plainKey         = "inventory.json"
	gzipKey          = "inventory.json.gz"
	plainInventory   = 256 << 10
	largestInventory = 32 << 20 // as it is in memory
)

// Inventories implements cluster.Inventories.
type Inventories struct{ *Cluster }

// Inventories returns where the inventories are kept: the agent's namespace.
func (c *Cluster) Inventories() Inventories { return Inventories{c} }

var _ cluster.Inventories = Inventories{}

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

// inventoryName is unique for agent and stack: two agents of one cluster may share a namespace.
func (c *Cluster) inventoryName(stack string) string {
	return "inventory." + stack + "." + c.options.Agent
}

// Load implements cluster.Inventories.
func (c Inventories) Load(ctx context.Context, stack string) (cluster.Inventory, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := c.dynamic.Resource(configMaps()).Namespace(c.options.Namespace).Get(ctx, c.inventoryName(stack), metav1.GetOptions{})
	if isAbsent(err) {
		return cluster.Inventory{Stack: stack}, nil
	}
	if err != nil {
		return cluster.Inventory{}, translate(err, false)
	}
	inv, err := decodeInventory(u)
	if err != nil {
		return cluster.Inventory{}, fault.Newf(fault.Internal, "inventory_unreadable", "the inventory in ConfigMap %s/%s cannot be read: restore it, or delete it; then the stack's objects are found again, but not those that left it",
			c.options.Namespace, u.GetName()).Because(err)
	}
	inv.Stack, inv.Version = stack, u.GetResourceVersion()
	return inv, nil
}

// Save implements cluster.Inventories.
func (c Inventories) Save(ctx context.Context, inv cluster.Inventory) (string, error) {
	u, err := c.encodeInventory(inv)
	if err != nil {
		return "", err
	}
	if err := c.mayWrite(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r := c.dynamic.Resource(configMaps()).Namespace(c.options.Namespace)
	var stored *unstructured.Unstructured
	if inv.Version == "" {
		stored, err = r.Create(ctx, u, metav1.CreateOptions{FieldManager: cluster.FieldManager})
	} else {
		u.SetResourceVersion(inv.Version)
		stored, err = r.Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
	}
	if isAbsent(err) && inv.Version != "" {
		return "", fault.Newf(fault.Conflict, "inventory_changed", "the inventory of stack %s is gone", inv.Stack).Because(err)
	}
	if err != nil {
		return "", translate(err, false)
	}
	return stored.GetResourceVersion(), nil
}

// Delete implements cluster.Inventories.
func (c Inventories) Delete(ctx context.Context, stack, version string) error {
	if err := c.Holds(ctx); err != nil {
		return err
	}
	o := metav1.DeleteOptions{}
	if version != "" {
		o.Preconditions = &metav1.Preconditions{ResourceVersion: &version}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := c.dynamic.Resource(configMaps()).Namespace(c.options.Namespace).Delete(ctx, c.inventoryName(stack), o)
	if isAbsent(err) {
		return nil
	}
	return translate(err, false)
}

func (c *Cluster) encodeInventory(inv cluster.Inventory) (*unstructured.Unstructured, error) {
	plain, err := json.Marshal(inv)
	if err != nil {
		return nil, fmt.Errorf("encode the inventory of stack %s: %w", inv.Stack, err)
	}
	if len(plain) > largestInventory {
		return nil, fault.Newf(fault.Invalid, "inventory_too_large", "the inventory of stack %s has %d objects, which is too many: split the stack", inv.Stack, len(inv.Entries))
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	u.SetName(c.inventoryName(inv.Stack))
	u.SetNamespace(c.options.Namespace)
	u.SetLabels(map[string]string{labelInventory: inv.Stack, labelAgent: c.options.Agent, "app.kubernetes.io/managed-by": "brokkr-agent"})
	if len(plain) <= plainInventory {
		u.Object["data"] = map[string]any{plainKey: string(plain)}
		return u, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return nil, fmt.Errorf("compress the inventory of stack %s: %w", inv.Stack, err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress the inventory of stack %s: %w", inv.Stack, err)
	}
	u.Object["binaryData"] = map[string]any{gzipKey: base64.StdEncoding.EncodeToString(b.Bytes())}
	return u, nil
}

func decodeInventory(u *unstructured.Unstructured) (cluster.Inventory, error) {
	var inv cluster.Inventory
	if text, ok, _ := unstructured.NestedString(u.Object, "data", plainKey); ok {
		return inv, json.Unmarshal([]byte(text), &inv)
	}
	text, ok, _ := unstructured.NestedString(u.Object, "binaryData", gzipKey)
	if !ok {
		return inv, fmt.Errorf("it has neither %s nor %s", plainKey, gzipKey)
	}
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return inv, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return inv, err
	}
	plain, err := io.ReadAll(io.LimitReader(z, largestInventory+1))
	if err != nil {
		return inv, err
	}
	if len(plain) > largestInventory {
		return inv, fmt.Errorf("it has more than %d bytes", largestInventory)
	}
	return inv, json.Unmarshal(plain, &inv)
}
