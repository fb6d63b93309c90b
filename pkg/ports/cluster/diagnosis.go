package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// Running is what runs in one namespace for some objects.
type Running struct {
	Pods    []corev1.Pod
	Family  map[string]bool // uids of the objects, of what they have made, and of the pods
	More    bool            // there are more pods than were asked for
	Refused []string        // kinds that the agent may not list, so that pods or family may be missing
}

// Tail says which part of a log is wanted.
type Tail struct {
	Namespace, Pod, Container string
	Previous                  bool  // of the container's run before this one
	Lines, Bytes              int64 // at most
}

// Diagnosis looks at what has become of a stack's objects. It only reads.
type Diagnosis interface {
	// Running returns the pods of a namespace that are mine (by uid) or that something made which is mine, by owner references; at
	// most limit, by name.
	Running(ctx context.Context, namespace string, mine map[string]bool, limit int) (Running, error)
	// Happened returns the namespace's events about objects with these uids, newest first, at most limit.
	Happened(ctx context.Context, namespace string, about map[string]bool, limit int) ([]corev1.Event, error)
	// LogTail returns the end of a container's log.
	LogTail(ctx context.Context, t Tail) (string, error)
}
