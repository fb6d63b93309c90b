package wire

import "time"

// TelemetryRequest is what an agent has seen since its last one. Its number (boot_id, seq) makes it safe to send again.
type TelemetryRequest struct {
	BootID string       `json:"boot_id"` // UUID, new on each start of the agent
	Seq    int64        `json:"seq"`     // 1 or more, grows with each request of a boot
	Events []K8sEvent   `json:"events,omitempty"`
	Lines  []PodLogLine `json:"lines,omitempty"`
	Gaps   []LogGap     `json:"gaps,omitempty"`
}

// TelemetryResponse says what became of a request; it is durable.
type TelemetryResponse struct {
	Accepted int  `json:"accepted"`
	Dropped  int  `json:"dropped"`  // they belong to stacks that are not assigned to the agent
	Repeated bool `json:"repeated"` // the request was here before
}

// K8sEvent is a Kubernetes event of an object of a stack.
type K8sEvent struct {
	AgentID        string         `json:"agent_id,omitempty"`
	StackID        string         `json:"stack_id"`
	ObservedAt     time.Time      `json:"observed_at"`
	Reason         string         `json:"reason"`
	Message        string         `json:"message"`
	EventType      string         `json:"event_type"`
	Source         *string        `json:"source"`
	InvolvedObject InvolvedObject `json:"involved_object"`
}

// InvolvedObject is what a K8sEvent is about.
type InvolvedObject struct {
	APIVersion *string `json:"api_version"`
	Kind       *string `json:"kind"`
	Namespace  *string `json:"namespace"`
	Name       *string `json:"name"`
	UID        *string `json:"uid"`
}

// PodLogLine is a line of a container's log.
type PodLogLine struct {
	AgentID   string    `json:"agent_id,omitempty"`
	StackID   string    `json:"stack_id"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	TS        time.Time `json:"ts"`
	Line      string    `json:"line"`
}

// LogGap says that lines or events are missing.
type LogGap struct {
	AgentID      string    `json:"agent_id,omitempty"`
	StackID      string    `json:"stack_id"`
	SinceTS      time.Time `json:"since_ts"`
	DroppedCount int64     `json:"dropped_count"` // at least so many; 0: nobody knows
	Reason       string    `json:"reason"`        // rate_limit | buffer_full | disconnected
}
