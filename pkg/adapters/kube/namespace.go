package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// EnsureNamespace creates the agent's namespace if it is absent. An agent that may not look at namespaces is believed to
// have been given one. Forbidden: the namespace is absent and may not be created.
func (c *Cluster) EnsureNamespace(ctx context.Context) error {
	if c.options.Only {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	_, err := r.Get(ctx, c.options.Namespace, metav1.GetOptions{})
	if err == nil || apierrors.IsForbidden(err) {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return translate(err, false)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(c.options.Namespace)
	_, err = r.Create(ctx, u, metav1.CreateOptions{FieldManager: cluster.FieldManager})
	if apierrors.IsForbidden(err) {
		return fault.Newf(fault.Forbidden, "cluster_forbidden", "the namespace %s is absent and the agent may not create it: create it, or name another by BROKKR__AGENT__NAMESPACE",
			c.options.Namespace).Because(err)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return translate(err, false)
}
