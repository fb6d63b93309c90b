// Package wire holds the messages between gateway and agent (contract part B.2). It has no behaviour beyond telling
// whether two policies are the same; golden files keep the shapes. Fields are only ever added.
package wire

import (
	"encoding/json"
	"slices"
	"time"
)

// MaxWaitSeconds is the longest time that a sync may park.
const MaxWaitSeconds = 55

// SyncRequest is one cycle of an agent: heartbeat, status, acknowledgement and change detection.
type SyncRequest struct {
	BootID      string          `json:"boot_id"` // UUID, new on each start of the agent
	Seq         int64           `json:"seq"`     // grows with each request of a boot; orders reports
	Revision    int64           `json:"revision"`
	WaitSeconds int             `json:"wait_seconds,omitempty"` // 0-55
	Heartbeat   Heartbeat       `json:"heartbeat"`
	Status      json.RawMessage `json:"status,omitempty"` // cluster status, only when it changed
	Applied     []Applied       `json:"applied,omitempty"`
	Removed     []Removed       `json:"removed,omitempty"`
	// Work is the highest mark of pending work that the agent was told of, 0 before any. An agent that sends it is
	// answered at once when there is newer work; one that does not is never woken for work.
	Work *int64 `json:"work,omitempty"`
	// Turn is the highest turn that this process was given, 0 before any. The reports of one that sends it count from the request on
	// that carries one; those of one that does not end the reports of the process before it, however late they arrive.
	Turn *int64 `json:"turn,omitempty"`
}

// Heartbeat is liveness as the agent sees it.
type Heartbeat struct {
	K8sReachable    *bool  `json:"k8s_reachable,omitempty"`
	K8sAPILatencyMS *int32 `json:"k8s_api_latency_ms,omitempty"`
}

// Applied reports one assignment.
type Applied struct {
	StackID            string    `json:"stack_id"`
	DeploymentObjectID string    `json:"deployment_object_id"`
	SequenceID         int64     `json:"sequence_id"`
	Phase              string    `json:"phase"`  // delivery.Phase
	Health             string    `json:"health"` // delivery.Health
	Message            string    `json:"message,omitempty"`
	ObservedAt         time.Time `json:"observed_at"`
}

// Removed names a removal: in an answer the order to remove, in a request its acknowledgement, which has neither generator nor
// policy, but may have a message.
type Removed struct {
	StackID     string `json:"stack_id"`
	Revision    int64  `json:"revision"`
	GeneratorID string `json:"generator_id,omitempty"`
	// Message says for people why a removal that is acknowledged may have left something behind; empty: it has not, as far as the
	// agent knows. Gateways that do not know it take the acknowledgement without it.
	Message string `json:"message,omitempty"`
	// Policy is how the stack's objects are to be treated as it goes, whatever was said before; nil: as the agent was last told
	// while it had the stack.
	Policy *Policy `json:"policy,omitempty"`
}

// SyncResponse tells the agent its target state if that changed.
type SyncResponse struct {
	Revision int64 `json:"revision"`
	// Stacks is the whole target state; null (absent) means that Revision did not change. Absence of a stack
	// in it never means removal: only Removed does.
	Stacks  *[]Stack  `json:"stacks,omitempty"`
	Removed []Removed `json:"removed,omitempty"`
	Pending Pending   `json:"pending"`
	Next    Next      `json:"next"`
	// Turn is given to a process that has none: nothing of what the request carried was taken, it is to be told again with it.
	Turn int64 `json:"turn,omitempty"`
}

// Stack is one assignment of the target state.
type Stack struct {
	StackID            string `json:"stack_id"`
	StackName          string `json:"stack_name"`
	GeneratorID        string `json:"generator_id"`
	DeploymentObjectID string `json:"deployment_object_id"`
	SequenceID         int64  `json:"sequence_id"`
	Checksum           string `json:"checksum"` // lower-case hex SHA-256; content at /api/v1/manifests/{checksum}
	Size               int64  `json:"size"`
	Revision           int64  `json:"revision"` // of the agent, in which this assignment last changed
	Traceparent        string `json:"traceparent,omitempty"`
	Policy             Policy `json:"policy,omitzero"`
	StreamLogs         bool   `json:"stream_logs,omitempty"` // the logs of its pods are told where nothing nearer to a pod says otherwise
}

// Policy is how the agent treats a stack. Empty fields mean the agent's default.
type Policy struct {
	Prune          string   `json:"prune,omitempty"` // delete | orphan
	PruneAdopted   bool     `json:"prune_adopted,omitempty"`
	PruneProtected bool     `json:"prune_protected,omitempty"` // PVCs and CRDs may be pruned
	Adopt          string   `json:"adopt,omitempty"`           // always | if_no_diff | never
	Drift          string   `json:"drift,omitempty"`           // correct | report | ignore
	IgnorePaths    []string `json:"ignore_paths,omitempty"`    // JSON pointers left to others
	ServiceAccount string   `json:"service_account,omitempty"` // namespace/name that the agent impersonates
	HealthRules    []string `json:"health_rules,omitempty"`    // Kind.group=expression in CEL: how custom resources are
}

// Equal reports whether two policies say the same.
func (p Policy) Equal(q Policy) bool {
	return p.Prune == q.Prune && p.PruneAdopted == q.PruneAdopted && p.PruneProtected == q.PruneProtected && p.Adopt == q.Adopt &&
		p.Drift == q.Drift && p.ServiceAccount == q.ServiceAccount && slices.Equal(p.IgnorePaths, q.IgnorePaths) && slices.Equal(p.HealthRules, q.HealthRules)
}

// Pending counts work that waits for this agent in other queues.
type Pending struct {
	WorkOrders  int `json:"work_orders"`
	Diagnostics int `json:"diagnostics"`
	Webhooks    int `json:"webhooks"`
	// Mark tells newer work from older; it goes back to the broker as SyncRequest.Work. It may go down when work is done.
	Mark int64 `json:"mark,omitempty"`
}

// Next tells the agent how long to park its next sync.
type Next struct {
	WaitSeconds int `json:"wait_seconds"`
}
