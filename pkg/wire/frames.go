package wire

import (
	"encoding/json"
	"time"
)

// Types of the frames on WebSockets. Each is a text message {"type": ..., "body": ...}.
const (
	// from agents
	FrameHeartbeat   = "heartbeat"
	FrameAgentEvent  = "agent_event"
	FrameAgentHealth = "agent_health"
	// from agents, and to those who watch a stack
	FrameK8sEvent = "k8s_event"
	FramePodLog   = "pod_log_line"
	FrameLogGap   = "log_gap"
	// to agents
	FrameWorkOrder     = "work_order"
	FrameTargetChanged = "target_changed"
	FrameStackChanged  = "stack_changed"
	// to those who watch the fleet
	FrameFleetUpdate = "fleet_update"
)

// Frame is a message on a WebSocket whose body has not been read.
type Frame struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// FrameOf is a message on a WebSocket.
type FrameOf[T any] struct {
	Type string `json:"type"`
	Body T      `json:"body"`
}

// HeartbeatFrame is the body of a heartbeat.
type HeartbeatFrame struct {
	AgentID         string    `json:"agent_id"`
	SentAt          time.Time `json:"sent_at"`
	K8sReachable    *bool     `json:"k8s_reachable,omitempty"`
	K8sAPILatencyMS *int32    `json:"k8s_api_latency_ms,omitempty"`
}

// AgentEventFrame is the body of an agent_event, whose id is the agent's placeholder, and what is posted in its place.
type AgentEventFrame struct {
	AgentID            string  `json:"agent_id"`
	DeploymentObjectID string  `json:"deployment_object_id"`
	EventType          string  `json:"event_type"`
	Status             string  `json:"status"`
	Message            *string `json:"message"`
}

// AgentHealthFrame is the body of an agent_health.
type AgentHealthFrame struct {
	AgentID            string    `json:"agent_id"`
	DeploymentObjectID string    `json:"deployment_object_id"`
	Status             string    `json:"status"`
	Summary            *string   `json:"summary"` // JSON
	CheckedAt          time.Time `json:"checked_at"`
}

// TargetFrame is the body of a target_changed.
type TargetFrame struct {
	ID      string `json:"id"`
	AgentID string `json:"agent_id"`
	StackID string `json:"stack_id"`
}

// StackFrame is the body of a stack_changed.
type StackFrame struct {
	ID          string     `json:"id"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DeletedAt   *time.Time `json:"deleted_at"`
	Name        string     `json:"name"`
	Description *string    `json:"description"`
	GeneratorID string     `json:"generator_id"`
}
