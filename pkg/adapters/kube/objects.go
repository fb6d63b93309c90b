package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func (c *Cluster) resource(as cluster.Identity, m cluster.Mapping, namespace string) (dynamic.ResourceInterface, error) {
	if !m.Namespaced {
		namespace = ""
	}
	if err := c.confine(m.Kind.Kind, namespace); err != nil {
		return nil, err
	}
	own, err := c.as(as)
	if err != nil {
		return nil, err
	}
	return own.dynamic.Resource(m.Resource).Namespace(namespace), nil // empty: of no namespace
}

func isSecret(m cluster.Mapping) bool {
	return m.Resource.Group == "" && m.Resource.Resource == "secrets"
}

// translate is for requests about objects of a kind. Where nothing serves the path, the mapping may be out of date, or nothing
// can be known: the cluster is asked which.
func (c *Cluster) translate(ctx context.Context, err error, m cluster.Mapping) error {
	if !isForeign(err) {
		return translate(err, isSecret(m))
	}
	served, trouble := c.kinds.serves(ctx, m.Resource)
	switch {
	case trouble != nil:
		return trouble
	case !served:
		return notServed(m.Kind)
	default:
		return fault.Newf(fault.Unavailable, cluster.CodeKindNotHere,
			"the cluster says that it has the kind %s in %s, and does not know it where it is said to be: its definition has just come, or something else answers in place of the API server (a proxy?)",
			m.Kind.Kind, m.Kind.GroupVersion()).Because(err)
	}
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
	if err != nil {
		return nil, c.translate(ctx, err, t.Mapping)
	}
	return u, nil
}

// Apply implements cluster.Objects.
func (c *Cluster) Apply(ctx context.Context, as cluster.Identity, m cluster.Mapping, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	return c.apply(ctx, as, m, obj, true, dryRun)
}

// Introduce implements cluster.Objects.
func (c *Cluster) Introduce(ctx context.Context, as cluster.Identity, m cluster.Mapping, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return c.apply(ctx, as, m, obj, false, false)
}

func (c *Cluster) apply(ctx context.Context, as cluster.Identity, m cluster.Mapping, obj *unstructured.Unstructured, force, dryRun bool) (*unstructured.Unstructured, error) {
	r, err := c.resource(as, m, obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "invalid_deployment_object", "%s cannot be written as JSON", obj.GetName())
	}
	if !dryRun {
		if err := c.mayWrite(ctx); err != nil {
			return nil, err
		}
	}
	o := metav1.PatchOptions{FieldManager: cluster.FieldManager, Force: &force}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := r.Patch(ctx, obj.GetName(), types.ApplyPatchType, data, o)
	if err != nil {
		return nil, c.translate(ctx, misfit(err), m)
	}
	if !dryRun {
		c.owners.applied(string(u.GetUID()))
	}
	return u, nil
}

// misfit gives an object that does not fit its schema the reason that the API server forgets: it answers 500 without one.
// What is its own fault, or that of a webhook, it calls InternalError.
func misfit(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusInternalServerError || status.Status().Reason != metav1.StatusReasonUnknown {
		return err
	}
	s := status.Status()
	s.Reason = metav1.StatusReasonInvalid
	return &apierrors.StatusError{ErrStatus: s}
}

// Delete implements cluster.Objects.
func (c *Cluster) Delete(ctx context.Context, as cluster.Identity, t cluster.Target) error {
	r, err := c.resource(as, t.Mapping, t.Namespace)
	if err != nil {
		return err
	}
	if err := c.mayWrite(ctx); err != nil {
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
	return c.unlessGone(ctx, r.Delete(ctx, t.Name, o), t.Mapping)
}

// unlessGone is nil if the object, or its kind, is not there.
func (c *Cluster) unlessGone(ctx context.Context, err error, m cluster.Mapping) error {
	if err = c.translate(ctx, err, m); fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Release implements cluster.Objects.
func (c *Cluster) Release(ctx context.Context, as cluster.Identity, t cluster.Target) error {
	r, err := c.resource(as, t.Mapping, t.Namespace)
	if err != nil {
		return err
	}
	if err := c.mayWrite(ctx); err != nil {
		return err
	}
	meta := map[string]any{
		"labels": map[string]any{cluster.LabelStack: nil},
		"annotations": map[string]any{cluster.AnnotationStack: nil, cluster.AnnotationChecksum: nil,
			cluster.AnnotationObject: nil, cluster.AnnotationOwner: nil, cluster.AnnotationAdopted: nil},
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
	u, err := r.Patch(ctx, t.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: cluster.FieldManager})
	if apierrors.IsInvalid(err) && hasCauseAt(err, "metadata.uid") {
		return fault.Newf(fault.Conflict, "cluster_conflict", "%s %s is not the object with the uid %s any more", t.Mapping.Kind.Kind, t.Name, t.UID)
	}
	if err == nil {
		c.owners.applied(string(u.GetUID()))
	}
	return c.unlessGone(ctx, err, t.Mapping)
}

func hasCauseAt(err error, field string) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil &&
		slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == field })
}

// Probe implements cluster.Prober.
func (c *Cluster) Probe(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	_, err := body(c.plain.Get().AbsPath("/version").Do(ctx))
	return time.Since(began), err
}
