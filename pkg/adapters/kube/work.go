package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

var (
	_ cluster.Makers = (*Cluster)(nil)
	_ cluster.Owned  = Inventories{}
)

// Make implements cluster.Makers.
func (c *Cluster) Make(ctx context.Context, as cluster.Identity, m cluster.Mapping, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r, err := c.resource(as, m, obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	if err := c.mayWrite(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := r.Create(ctx, obj.DeepCopy(), metav1.CreateOptions{FieldManager: cluster.FieldManager})
	if err != nil {
		return nil, c.translate(ctx, misfit(err), m)
	}
	c.owners.applied(string(u.GetUID()))
	return u, nil
}

// Orders implements cluster.Owned.
func (c Inventories) Orders(ctx context.Context) ([]cluster.Inventory, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.dynamic.Resource(configMaps()).Namespace(c.options.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelInventory + "," + labelAgent + "=" + c.options.Agent})
	if err != nil {
		return nil, translate(err, false)
	}
	var out []cluster.Inventory
	for i := range list.Items {
		inv, err := decodeInventory(&list.Items[i])
		if err != nil || !inv.Order {
			continue
		}
		inv.Stack, inv.Version = list.Items[i].GetLabels()[labelInventory], list.Items[i].GetResourceVersion()
		out = append(out, inv)
	}
	return out, nil
}
