// Package plan decides what has to change in a cluster, from what is wanted and what is there. It is pure: it reads
// nothing, writes nothing, and knows no time.
package plan

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Object is one object as it should be.
type Object struct {
	Key      cluster.Key
	Mapping  cluster.Mapping
	Rank     Rank
	Manifest *unstructured.Unstructured // normalized and stamped
	Document int                        // of the bundle
	Line     int
}

// Target returns where the object is.
func (o Object) Target() cluster.Target {
	return cluster.Target{Mapping: o.Mapping, Namespace: o.Key.Namespace, Name: o.Key.Name}
}

// Desired is what a stack wants in the cluster.
type Desired struct {
	Agent   string
	Stack   wire.Stack
	Objects []Object // sorted by rank, then key
}

// Scope is where a stack's objects may go.
type Scope struct {
	// Namespace is taken by objects that name none, for validation and apply alike.
	Namespace string
	// Only: nothing outside of Namespace is touched, nor anything that has no namespace.
	Only bool
	// Home is the agent's own namespace, and KeySecret the Secret there with its key (empty: it has none): what the agent keeps
	// there for itself is in no bundle.
	Home      string
	KeySecret string
	// Protected are namespaces in which nothing is changed by the agent's own rights, nor they themselves: only for stacks that are applied as a
	// service account, of which the API server knows what it may do there.
	Protected []string
}

// Prepare makes Desired of a bundle whose kinds have been mapped: namespaces are filled in, server-owned fields are
// taken out, stamps put on, all in the manifests of objects, which are used and not copied. It is Invalid if two objects turn out to be the same, and Refused if the bundle needs more than
// the scope allows, with the list of what.
func Prepare(agent string, s wire.Stack, objects []bundle.Object, mappings map[schema.GroupVersionKind]cluster.Mapping, scope Scope) (Desired, error) {
	d := Desired{Agent: agent, Stack: s, Objects: make([]Object, 0, len(objects))}
	seen := make(map[cluster.Key]bundle.Object, len(objects))
	var beyond, reserved, protected []string
	for _, b := range objects {
		m, ok := mappings[b.GroupVersionKind()]
		if !ok {
			return Desired{}, fmt.Errorf("kind %s has no mapping", b.GroupVersionKind())
		}
		o := Object{Mapping: m, Manifest: b.Unstructured, Document: b.Document, Line: b.Line}
		settle(o.Manifest, m, scope.Namespace)
		o.Key = cluster.Key{Group: m.Kind.Group, Kind: m.Kind.Kind, Namespace: o.Manifest.GetNamespace(), Name: o.Manifest.GetName()}
		o.Rank = RankOf(o.Key.GroupKind())
		if first, dup := seen[o.Key]; dup {
			return Desired{}, fault.Newf(fault.Invalid, bundle.Code, "document %d, line %d: %s appears twice: first in document %d, line %d (an object without a namespace goes to %s)",
				b.Document, b.Line, o.Key, first.Document, first.Line, scope.Namespace)
		}
		seen[o.Key] = b
		if scope.Only && o.Key.Namespace != scope.Namespace {
			beyond = append(beyond, o.Key.String())
		}
		if scope.keeps(o) {
			reserved = append(reserved, o.Key.String())
		}
		if s.Policy.ServiceAccount == "" && scope.protects(o.Key) {
			protected = append(protected, o.Key.String())
		}
		stamp(o.Manifest, agent, s)
		d.Objects = append(d.Objects, o)
	}
	if len(beyond) > 0 {
		return Desired{}, fault.Newf(fault.Refused, "outside_namespace", "this agent is confined to namespace %s, and the bundle needs more: %s",
			scope.Namespace, list(beyond, 20))
	}
	if len(reserved) > 0 {
		return Desired{}, fault.Newf(fault.Refused, "reserved_object", "the agent keeps objects for itself in its namespace %s, which no bundle may hold: %s; give them another name or namespace",
			scope.Home, list(reserved, 20))
	}
	if len(protected) > 0 {
		return Desired{}, fault.Newf(fault.Refused, "protected_namespace", "this agent changes nothing by its own rights in the namespaces of agent.protected_namespaces (%s), and the bundle does: %s; "+
			"use another namespace, let the stack be applied as a service_account that may, or take the namespace out of the agent's setting", list(scope.Protected, 20), list(protected, 20))
	}
	slices.SortFunc(d.Objects, func(a, b Object) int {
		if a.Rank != b.Rank {
			return int(a.Rank - b.Rank)
		}
		return strings.Compare(a.Key.String(), b.Key.String())
	})
	return d, nil
}

// protects reports whether the object is in a protected namespace, or is one.
func (s Scope) protects(k cluster.Key) bool {
	return slices.Contains(s.Protected, k.Namespace) || IsNamespace(k.GroupKind()) && slices.Contains(s.Protected, k.Name)
}

// keeps reports whether the object would take the place of what the agent keeps for itself: its key, by which it is who it is;
// inventories, by which it deletes; leases, by which one process acts; and what states facts of the cluster, on which placement
// rests.
func (s Scope) keeps(o Object) bool {
	if s.Home == "" || o.Key.Namespace != s.Home {
		return false
	}
	switch o.Key.GroupKind() {
	case schema.GroupKind{Kind: "Secret"}:
		return s.KeySecret != "" && o.Key.Name == s.KeySecret
	case schema.GroupKind{Kind: "ConfigMap"}:
		parts := strings.SplitN(o.Key.Name, ".", 3)
		_, labelled := o.Manifest.GetLabels()[cluster.LabelInventory]
		return labelled || o.Manifest.GetAnnotations()[cluster.AnnotationFacts] == "true" ||
			(len(parts) == 3 && parts[0] == "inventory" && len(parts[1]) == len("00000000-0000-0000-0000-000000000000"))
	case schema.GroupKind{Group: "coordination.k8s.io", Kind: "Lease"}:
		return strings.HasPrefix(o.Key.Name, cluster.LeasePrefix)
	default:
		return false
	}
}

// settle gives the manifest the form in which it is compared and applied.
func settle(u *unstructured.Unstructured, m cluster.Mapping, namespace string) {
	switch {
	case !m.Namespaced:
		u.SetNamespace("")
	case u.GetNamespace() == "":
		u.SetNamespace(namespace)
	}
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields", "selfLink", "ownerReferences"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	delete(u.Object, "status")
	if m.Kind.Group == "" && m.Kind.Kind == "Secret" {
		encodeStringData(u)
	}
}

// encodeStringData moves stringData to data, as the API server would: only so can a key that a later revision drops be
// dropped in the cluster. Values that are not text are left for the API server to refuse.
func encodeStringData(u *unstructured.Unstructured) {
	text, ok := u.Object["stringData"].(map[string]any)
	if !ok {
		return
	}
	data, ok := u.Object["data"].(map[string]any)
	if !ok {
		if u.Object["data"] != nil {
			return
		}
		data = map[string]any{}
	}
	for k, v := range text {
		s, ok := v.(string)
		if !ok {
			return
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	u.Object["data"] = data
	delete(u.Object, "stringData")
}

func stamp(u *unstructured.Unstructured, agent string, s wire.Stack) {
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[cluster.AnnotationStack] = s.StackID
	annotations[cluster.AnnotationChecksum] = s.Checksum
	annotations[cluster.AnnotationObject] = s.DeploymentObjectID
	annotations[cluster.AnnotationOwner] = agent
	delete(annotations, cluster.AnnotationAdopted) // a bundle cannot know
	u.SetAnnotations(annotations)
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[cluster.LabelStack] = s.StackID
	u.SetLabels(labels)
}

// list joins the first n of items and says how many more there are.
func list(items []string, n int) string {
	if len(items) <= n {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:n], ", "), len(items)-n)
}
