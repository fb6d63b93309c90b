// Package cluster is what the agent asks of the Kubernetes cluster that it lives in: small roles, and the words that
// they share. It is apart from package ports because its nouns are those of Kubernetes.
//
// Errors are of package fault: NotFound, Conflict (also a failed precondition), Invalid (the API server refuses the
// object for good), Forbidden, Limited, Unavailable (the API server cannot be reached or is overloaded). Their message is
// what the API server says; it never repeats the values of a Secret. All implementations are for concurrent use.
package cluster

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// FieldManager is the name under which the agent applies fields.
const FieldManager = "brokkr-controller"

// What the agent stamps on each object. The annotations are those of the published agent, so that objects of either can
// be taken over by the other.
const (
	AnnotationStack    = "k8s.brokkr.io/stack"
	AnnotationChecksum = "k8s.brokkr.io/deployment-checksum"
	AnnotationObject   = "brokkr.io/deployment-object-id"
	AnnotationOwner    = "brokkr.io/owner-id" // the agent's id
	LabelStack         = "brokkr.io/stack"
	// AnnotationAdopted is "true" on what was there before the stack. The published agent does not know it.
	AnnotationAdopted = "brokkr.io/adopted"
)

// What users write on an object.
const (
	AnnotationPrune = "brokkr.io/prune" // "never": stays in the cluster when its stack goes
	PruneNever      = "never"
)

// Codes of the errors that callers tell apart.
const (
	CodeKindNotServed = "kind_not_served"
	// CodeKindNotHere is Unavailable: the cluster says that it has the kind and does not know where it is said to be. Its definition
	// has just come, or something else answers in the API server's place.
	CodeKindNotHere = "kind_not_here"
	CodeUnreachable = "cluster_unreachable" // no answer at all
	CodeTerminating = "object_terminating"
)

// Key identifies an object whatever version it is written in.
type Key = bundle.Key

// Identity is as whom something is done: empty is the agent itself, else "namespace/name" of a service account.
type Identity string

// Mapping is how a cluster serves a kind.
type Mapping struct {
	Kind       schema.GroupVersionKind
	Resource   schema.GroupVersionResource
	Namespaced bool
}

// Kinds knows what the cluster serves.
type Kinds interface {
	// Mapping returns how a kind is served. A kind that the cluster does not have is NotFound with CodeKindNotServed, found
	// out by asking it anew, at most every few seconds.
	Mapping(ctx context.Context, kind schema.GroupVersionKind) (Mapping, error)
	// Any returns how a kind is served in whatever version, preferably the given one: for objects of which only the name
	// matters. Errors are those of Mapping.
	Any(ctx context.Context, kind schema.GroupVersionKind) (Mapping, error)
	// Forget drops what is known, because definitions have changed.
	Forget()
}

// Target is one object to act on. UID, if set, is a precondition: another object of the same name is left alone.
type Target struct {
	Mapping         Mapping
	Namespace, Name string
	UID             string
}

// Objects reads and writes single objects.
type Objects interface {
	Get(ctx context.Context, as Identity, t Target) (*unstructured.Unstructured, error)
	// Apply is a server-side apply by FieldManager, forced; the caller has made sure of ownership. A dry run changes
	// nothing and returns what would be. obj is not changed.
	Apply(ctx context.Context, as Identity, m Mapping, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
	// Introduce applies an object that was not there, by FieldManager. If it is there by now it is not forced: it is a Conflict if
	// another manager has given a field of obj another value, else what others have in it stays. obj is not changed.
	Introduce(ctx context.Context, as Identity, m Mapping, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Delete begins a deletion that takes dependents along (foreground). An object that is not there is no error.
	Delete(ctx context.Context, as Identity, t Target) error
	// Release takes the agent's stamps off, so that the object belongs to nobody. An object that is not there is no error.
	Release(ctx context.Context, as Identity, t Target) error
}

// Contents looks into namespaces, for deciding whether one may be deleted, and at pods, for reasons.
type Contents interface {
	// Strangers returns objects in a namespace that are not mine, nor belong to an object of the namespace, nor are made by
	// Kubernetes in each namespace; at most limit. mine are the uids of what a stack has made and takes away: labels would
	// not do, for people and controllers copy them.
	Strangers(ctx context.Context, as Identity, namespace string, mine map[string]bool, limit int) ([]Key, error)
	// Instances returns objects of a kind, in all namespaces, that are not mine; at most limit.
	Instances(ctx context.Context, as Identity, m Mapping, mine map[string]bool, limit int) ([]Key, error)
	// Pods returns the pods that a selector in label selector syntax matches.
	Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error)
}

// Entry is one object of an inventory.
type Entry struct {
	Key     Key    `json:"key"`
	Version string `json:"version"`           // of the API that it was applied in
	UID     string `json:"uid,omitempty"`     // empty: it was about to be applied
	Adopted bool   `json:"adopted,omitempty"` // it was there before the stack
	// Object is the deployment object that has last applied it; only of what Kubernetes takes away by itself.
	Object string `json:"object,omitempty"`
}

// Kind returns the entry's kind with group and version.
func (e Entry) Kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: e.Key.Group, Version: e.Version, Kind: e.Key.Kind}
}

// Inventory says what a stack has put into the cluster, and how it is to be treated when it goes. It is written before
// the objects are, so nothing that an agent made is ever unknown to it.
type Inventory struct {
	Stack   string `json:"stack"`
	Name    string `json:"name,omitempty"`    // of the stack, for people
	Order   bool   `json:"order,omitempty"`   // it is of a work order, not of a stack; only the agent says so, a name could be anybody's
	Applied string `json:"applied,omitempty"` // checksum of the bundle that was last applied as a whole
	Message string `json:"message,omitempty"` // of a work order that has succeeded: what came of it
	// Object and Sequence are those of the deployment object that was last worked on.
	Object   string `json:"object,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
	// Generator is the id of the one that owns the stack; empty: it was not told.
	Generator string      `json:"generator,omitempty"`
	Policy    wire.Policy `json:"policy"`
	Entries   []Entry     `json:"entries"` // sorted by key
	Version   string      `json:"-"`       // for compare-and-set; empty: not stored yet
}

// Inventories stores inventories in the cluster.
type Inventories interface {
	// Load returns the stack's inventory; an empty one with no Version if there is none.
	Load(ctx context.Context, stack string) (Inventory, error)
	// Save stores it and returns its new version; Conflict if it is not based on the stored one.
	Save(ctx context.Context, inv Inventory) (string, error)
	// Delete removes it; one that is not there is no error. With a version, it is a Conflict if it has another one.
	Delete(ctx context.Context, stack, version string) error
}

// Change is what a watch saw of one object of a stack. When a watch has begun, there is one with Present instead, for each
// stack that uses the kind, and so there is for a stack that comes to use it later: what is not in it was deleted before
// the watch saw it.
type Change struct {
	Stack       string
	Key         Key // with Present: group and kind alone
	Present     map[Key]bool
	Version     string // resource version
	Fingerprint uint64 // see Fingerprint
	Gone        bool   // the object, or its label
}

// Watches tells of changes of objects that carry a stack's label, of the kinds that are in use.
type Watches interface {
	// Use says which kinds the objects of a stack have; watches of kinds that no stack uses any more end.
	Use(stack string, kinds []Mapping)
}

// Tenure says whether this process is the one that acts for the agent in its cluster, if several may.
type Tenure interface {
	// Holds is nil if it is, as the cluster says now. Implementations of Objects and Inventories write nothing unless it is.
	Holds(ctx context.Context) error
}

// Prober looks whether the API server answers.
type Prober interface {
	Probe(ctx context.Context) (latency time.Duration, err error)
}
