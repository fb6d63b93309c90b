package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// By these the agent knows, in its own namespace, what it keeps for itself.
const (
	LabelInventory  = "brokkr.io/inventory" // of a ConfigMap: an inventory of this stack or work order
	AnnotationFacts = "brokkr.io/facts"     // "true" on a ConfigMap: it states facts of the cluster
	LeasePrefix     = "brokkr-agent-"       // of the names of leases
)

// Makers make objects that are not there.
type Makers interface {
	// Make creates obj, as FieldManager; Conflict if an object of its name is there, which is left as it is. obj is not changed.
	Make(ctx context.Context, as Identity, m Mapping, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
}

// Owned lists the inventories that an agent has.
type Owned interface {
	// Orders returns those of this agent that are of work orders. What cannot be read is left out.
	Orders(ctx context.Context) ([]Inventory, error)
}
