package kube

import (
	"context"
	"encoding/base64"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Keep is a Secret in the agent's namespace in which the agent keeps what it must not lose. No error repeats a value.
type Keep struct {
	cluster *Cluster
	name    string
}

// Keep returns the Secret of this name; nothing is asked yet.
func (c *Cluster) Keep(name string) Keep { return Keep{cluster: c, name: name} }

// Where names the Secret.
func (k Keep) Where() string { return k.cluster.options.Namespace + "/" + k.name }

// Load returns what is kept; nothing if the Secret is not there. Forbidden: the agent may not read it.
func (k Keep) Load(ctx context.Context) (cluster.Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := k.secrets(ctx, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return k.cluster.dynamic.Resource(secrets()).Namespace(k.cluster.options.Namespace).Get(ctx, k.name, metav1.GetOptions{})
	})
	if fault.Is(err, fault.NotFound) {
		return cluster.Kept{}, nil
	}
	if err != nil {
		return cluster.Kept{}, err
	}
	data, _, _ := unstructured.NestedStringMap(u.Object, "data") // the API server knows its type
	out := cluster.Kept{Values: make(map[string]string, len(data)), Version: u.GetResourceVersion()}
	for name, value := range data {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return cluster.Kept{}, fault.Newf(fault.Invalid, "cluster_error", "%s of the Secret %s is not base64", name, k.Where())
		}
		out.Values[name] = string(text)
	}
	return out, nil
}

// Save keeps v in the place of what was loaded, and returns it with its version. Other values of the Secret go, its labels
// and annotations stay. Conflict: another has written since. Forbidden: the agent lacks a right, which the message names.
func (k Keep) Save(ctx context.Context, v cluster.Kept) (cluster.Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r := k.cluster.dynamic.Resource(secrets()).Namespace(k.cluster.options.Namespace)
	data := make(map[string]any, len(v.Values))
	for name, value := range v.Values {
		data[name] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	u, err := k.secrets(ctx, func(ctx context.Context) (*unstructured.Unstructured, error) {
		if v.Version == "" {
			u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}}
			u.SetName(k.name)
			u.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "brokkr-agent"})
			return r.Create(ctx, u, metav1.CreateOptions{FieldManager: cluster.FieldManager})
		}
		u, err := r.Get(ctx, k.name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		u.SetResourceVersion(v.Version)
		u.Object["data"] = data
		return r.Update(ctx, u, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
	})
	if fault.Is(err, fault.NotFound) && v.Version != "" {
		return cluster.Kept{}, fault.Newf(fault.Conflict, "cluster_conflict", "the Secret %s was deleted meanwhile", k.Where())
	}
	if err != nil {
		return cluster.Kept{}, err
	}
	v.Version = u.GetResourceVersion()
	return v, nil
}

func (k Keep) secrets(ctx context.Context, do func(context.Context) (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	u, err := do(ctx)
	if apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, "NamespaceTerminating") {
		return nil, fault.Newf(fault.Forbidden, "cluster_forbidden",
			"the agent may not read and write the Secret %s: grant it get and update on that Secret, and create on secrets of the namespace unless the Secret is there already", k.Where())
	}
	return u, translate(err, true)
}

func secrets() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
}
