package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Makers make objects that are not there.
type Makers interface {
	// Make creates obj, as FieldManager; Conflict if an object of its name is there, which is left as it is. obj is not changed.
	Make(ctx context.Context, as Identity, m Mapping, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
}

// Owned lists the inventories that an agent has.
type Owned interface {
	// Named returns those of this agent that have the name (Inventory.Name). What cannot be read is left out.
	Named(ctx context.Context, name string) ([]Inventory, error)
}
