package cluster

import (
	"context"
	"time"
)

// KubeEvent is a Kubernetes event about an object of a stack, or about one that such an object has made: a pod, say.
type KubeEvent struct {
	Stack      string
	ObservedAt time.Time
	Reason     string
	Message    string
	Type       string
	Source     string
	APIVersion string // of what it is about
	Kind       string
	Namespace  string
	Name       string
	UID        string
}

// KubeEvents watches Kubernetes events.
type KubeEvents interface {
	// Watch calls fn for each event of an object of this agent's stacks that comes from now on, until ctx ends. It goes on
	// by itself after any trouble; what happened meanwhile may be missed, and told is called with the trouble, once in a row,
	// and with nil when it is over. fn must not block.
	Watch(ctx context.Context, fn func(KubeEvent), told func(error))
}
