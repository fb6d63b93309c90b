package cluster

import (
	"context"

	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// Nodes are the nodes of a cluster together.
type Nodes struct {
	Total, Ready  int32
	Allocatable   status.Resources // of those that are ready and take pods
	Architectures []string
	Taking        map[string]bool // names of those that are ready and take pods
}

// Surveyor reads what a cluster is as a whole. What the agent may not read is Forbidden.
type Surveyor interface {
	// KubernetesVersion is what the API server says of itself: v1.36.3.
	KubernetesVersion(ctx context.Context) (string, error)
	Nodes(ctx context.Context) (Nodes, error)
	// Requested is what the pods that are bound to these nodes request, those that have ended aside.
	Requested(ctx context.Context, on map[string]bool) (status.Resources, error)
	// GroupVersions are the APIs that are served: apps/v1, v1.
	GroupVersions(ctx context.Context) ([]string, error)
	// Facts are those of the ConfigMaps of the agent's namespace that say so. What cannot be a fact is named in refused.
	Facts(ctx context.Context) (facts map[string]status.Fact, refused []string, err error)
}
