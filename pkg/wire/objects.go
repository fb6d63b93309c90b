package wire

import "time"

// AgentEvent is what an agent reported of a deployment object, as it is kept (contract part A.4).
type AgentEvent struct {
	ID                 string     `json:"id"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	DeletedAt          *time.Time `json:"deleted_at"`
	AgentID            string     `json:"agent_id"`
	DeploymentObjectID string     `json:"deployment_object_id"`
	EventType          string     `json:"event_type"`
	Status             string     `json:"status"`
	Message            *string    `json:"message"`
}

// DeploymentObject is one immutable revision of a stack (contract part A.4).
type DeploymentObject struct {
	ID               string     `json:"id"`
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	DeletedAt        *time.Time `json:"deleted_at"`
	SequenceID       int64      `json:"sequence_id"`
	StackID          string     `json:"stack_id"`
	YAMLContent      string     `json:"yaml_content"`
	YAMLChecksum     string     `json:"yaml_checksum"`
	SubmittedAt      time.Time  `json:"submitted_at"`
	IsDeletionMarker bool       `json:"is_deletion_marker"`
	Template         *Origin    `json:"template,omitempty"` // nil: it was published as it is, or it is told to an agent, who does not need to know
}

// Origin is what a deployment object was made of; beyond the published contract.
type Origin struct {
	TemplateID       string `json:"id"`
	Version          int    `json:"version"`
	ParametersSHA256 string `json:"parameters_sha256"`
}
