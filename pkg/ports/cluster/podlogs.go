package cluster

import (
	"context"
	"time"
)

// AnnotationStreamLogs is what users write on a pod, or on what it comes from (a Deployment, say), to have its logs told:
// "true". Nearest to the pod counts, so that "false" on a pod takes it out. Furthest away is the stack, which the broker knows.
const AnnotationStreamLogs = "brokkr.io/stream-logs"

// LoggedPod is a pod of a stack whose logs are wanted.
type LoggedPod struct {
	Stack      string
	Namespace  string
	Name       string
	UID        string
	Created    time.Time
	Containers []LoggedContainer // none: its logs are not wanted any more, or it has gone
}

// LoggedContainer is a container as its pod's status has it.
type LoggedContainer struct {
	Name    string
	Run     string // names the latest run, new with each restart; empty: there was none
	Running bool   // that run has not ended
}

// PodLogs finds pods whose logs are wanted, and reads logs.
type PodLogs interface {
	// Watch calls fn with each pod of this agent's stacks whose logs are wanted, those that are there at first, too, and
	// again when it changes, until ctx ends. Where no annotation is found, stack says whether those of the pod's stack are wanted; what
	// it says must stay the same until ctx ends. Called again, Watch also tells of those that are not wanted any more. An annotation that is set on an owner may take minutes to be seen. It goes on by
	// itself after any trouble: told is called with the trouble, once in a row, and with nil when it is over. fn must not
	// block.
	Watch(ctx context.Context, stack func(id string) bool, fn func(LoggedPod), told func(error))
	// Follow calls fn with each line of the log of a container's latest run until that run ends, and returns nil then. It
	// begins with the second of since: earlier lines of that second come, too. The log may also end early, with an error or
	// without. Long lines are cut.
	Follow(ctx context.Context, namespace, pod, container string, since time.Time, fn func(at time.Time, line string)) error
}
