package wire

import "time"

// DiagnosticRequest is a question about a deployment object in an agent's cluster (contract part A.4).
type DiagnosticRequest struct {
	ID                 string     `json:"id"`
	AgentID            string     `json:"agent_id"`
	DeploymentObjectID string     `json:"deployment_object_id"`
	StackID            string     `json:"stack_id"` // of the object; beyond the published contract
	Status             string     `json:"status"`
	RequestedBy        *string    `json:"requested_by"`
	CreatedAt          time.Time  `json:"created_at"`
	ClaimedAt          *time.Time `json:"claimed_at"`
	CompletedAt        *time.Time `json:"completed_at"`
	ExpiresAt          time.Time  `json:"expires_at"`
}

// DiagnosticAnswer is what an agent saw: JSON texts of []DiagnosticPod, []DiagnosticEvent and a map of log tails by "pod/container".
type DiagnosticAnswer struct {
	PodStatuses string    `json:"pod_statuses"`
	Events      string    `json:"events"`
	LogTails    *string   `json:"log_tails"`
	CollectedAt time.Time `json:"collected_at"`
}

// DiagnosticResult is an answer as it is kept.
type DiagnosticResult struct {
	ID        string `json:"id"`
	RequestID string `json:"request_id"`
	DiagnosticAnswer
	CreatedAt time.Time `json:"created_at"`
}

// DiagnosticPod is the state of one pod.
type DiagnosticPod struct {
	Name       string                `json:"name"`
	Namespace  string                `json:"namespace"`
	Phase      string                `json:"phase"`
	Conditions []DiagnosticCondition `json:"conditions"`
	Containers []DiagnosticContainer `json:"containers"`
}

// DiagnosticCondition is a condition of a pod.
type DiagnosticCondition struct {
	Type    string  `json:"condition_type"`
	Status  string  `json:"status"`
	Reason  *string `json:"reason"`
	Message *string `json:"message"`
}

// DiagnosticContainer is the state of a container of a pod, or of one of its init containers.
type DiagnosticContainer struct {
	Name         string  `json:"name"`
	Ready        bool    `json:"ready"`
	RestartCount int32   `json:"restart_count"`
	State        string  `json:"state"` // waiting, running, terminated or unknown
	StateReason  *string `json:"state_reason"`
	StateMessage *string `json:"state_message"`
}

// DiagnosticEvent is an event of Kubernetes. Events of kind Brokkr tell of the diagnosis itself: what the agent may not see, and where
// it was cut short.
type DiagnosticEvent struct {
	Type           string     `json:"event_type"`
	Reason         string     `json:"reason"`
	Message        string     `json:"message"`
	InvolvedObject string     `json:"involved_object"`
	InvolvedKind   string     `json:"involved_object_kind"`
	FirstTimestamp *time.Time `json:"first_timestamp"`
	LastTimestamp  *time.Time `json:"last_timestamp"`
	Count          int32      `json:"count"`
}
