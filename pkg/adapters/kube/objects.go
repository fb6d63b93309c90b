package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// maxImpersonated bounds the clients that are kept for service accounts.
const maxImpersonated = 256

func (c *Cluster) client(as cluster.Identity) (dynamic.Interface, error) {
	if as == "" {
		return c.dynamic, nil
	}
	namespace, name, ok := strings.Cut(string(as), "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fault.Newf(fault.Invalid, "invalid_service_account", "service account %q is not <namespace>/<name>", as)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.impersonated[as]; ok {
		return d, nil
	}
	cfg := rest.CopyConfig(c.config)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	d, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("set up the Kubernetes client for %s: %w", as, err)
	}
	if len(c.impersonated) >= maxImpersonated {
		clear(c.impersonated)
	}
	c.impersonated[as] = d
	return d, nil
}

func (c *Cluster) resource(as cluster.Identity, m cluster.Mapping, namespace string) (dynamic.ResourceInterface, error) {
	d, err := c.client(as)
	if err != nil {
		return nil, err
	}
	if m.Namespaced {
		return d.Resource(m.Resource).Namespace(namespace), nil
	}
	return d.Resource(m.Resource), nil
}

func isSecret(m cluster.Mapping) bool {
	return m.Resource.Group == "" && m.Resource.Resource == "secrets"
}

// Get implements cluster.Objects.
func (c *Cluster) Get(ctx context.Context, as cluster.Identity, t cluster.Target) (*unstructured.Unstructured, error) {
	r, err := c.resource(as, t.Mapping, t.Namespace)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := r.Get(ctx, t.Name, metav1.GetOptions{})
	return u, translate(err, isSecret(t.Mapping))
}

// Apply implements cluster.Objects.
func (c *Cluster) Apply(ctx context.Context, as cluster.Identity, m cluster.Mapping, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	r, err := c.resource(as, m, obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "invalid_deployment_object", "%s cannot be written as JSON", obj.GetName())
	}
	force := true
	o := metav1.PatchOptions{FieldManager: cluster.FieldManager, Force: &force}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := r.Patch(ctx, obj.GetName(), types.ApplyPatchType, data, o)
	return u, translate(err, isSecret(m))
}

// Delete implements cluster.Objects.
func (c *Cluster) Delete(ctx context.Context, as cluster.Identity, t cluster.Target) error {
	r, err := c.resource(as, t.Mapping, t.Namespace)
	if err != nil {
		return err
	}
	propagation := metav1.DeletePropagationForeground
	o := metav1.DeleteOptions{PropagationPolicy: &propagation}
	if t.UID != "" {
		uid := types.UID(t.UID)
		o.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.Delete(ctx, t.Name, o); err != nil && !apierrors.IsNotFound(err) {
		return translate(err, isSecret(t.Mapping))
	}
	return nil
}

// Release implements cluster.Objects.
func (c *Cluster) Release(ctx context.Context, as cluster.Identity, t cluster.Target) error {
	r, err := c.resource(as, t.Mapping, t.Namespace)
	if err != nil {
		return err
	}
	meta := map[string]any{
		"labels": map[string]any{cluster.LabelStack: nil},
		"annotations": map[string]any{cluster.AnnotationStack: nil, cluster.AnnotationChecksum: nil,
			cluster.AnnotationObject: nil, cluster.AnnotationOwner: nil},
	}
	if t.UID != "" {
		meta["uid"] = t.UID
	}
	data, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return fmt.Errorf("encode the patch: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = r.Patch(ctx, t.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: cluster.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return translate(err, isSecret(t.Mapping))
	}
	return nil
}

// Probe implements cluster.Prober.
func (c *Cluster) Probe(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	_, err := c.discovery.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	return time.Since(began), translate(err, false)
}
