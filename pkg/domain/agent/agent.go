// Package agent holds the agent aggregate: one light process in one cluster, its labels and annotations,
// what it last said about its cluster, and the events it reported.
package agent

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// ID identifies an agent.
type ID = tenancy.AgentID

// Ids of what belongs to an agent.
type (
	LabelID      string
	AnnotationID string
	TargetID     string
	EventID      string
)

// Status says whether an agent takes part. A new agent is inactive until it is activated.
type Status string

// The statuses, spelled as in the v1 contract.
const (
	Inactive Status = "INACTIVE"
	Active   Status = "ACTIVE"
)

// ParseStatus accepts either spelling of case; anything else is Invalid.
func ParseStatus(s string) (Status, error) {
	switch s {
	case "ACTIVE", "active", "Active":
		return Active, nil
	case "INACTIVE", "inactive", "Inactive":
		return Inactive, nil
	default:
		return "", fault.Newf(fault.Invalid, "invalid_agent", "status %q is not ACTIVE or INACTIVE", s)
	}
}

// Agent is one cluster's agent. (Name, ClusterName) is unique among live agents.
type Agent struct {
	ID          ID
	Name        string
	ClusterName string
	Status      Status
	Version     int64 // grows with each change that placement can see; used for compare-and-set
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   *time.Time
	Liveness    Liveness
}

// Liveness is the hot part of an agent: what its last heartbeat said.
type Liveness struct {
	LastHeartbeat  *time.Time
	K8sReachable   *bool
	K8sLatencyMS   *int32
	K8sReportedAt  *time.Time
	DuplicateSince *time.Time // since then several processes use this identity at the same time (Turns); nil: one
}

// Heartbeat is one report of liveness; nil fields leave what is stored.
type Heartbeat struct {
	Agent        ID
	Boot         string // UUID of the process, new on each of its starts; empty if it does not say
	At           time.Time
	K8sReachable *bool
	K8sLatencyMS *int32
}

// Label is a bare string on an agent.
type Label struct {
	ID    LabelID
	Agent ID
	Label string
}

// Annotation is a key and value on an agent.
type Annotation struct {
	ID         AnnotationID
	Agent      ID
	Key, Value string
}

// Target pins a stack to an agent explicitly.
type Target struct {
	ID    TargetID
	Agent ID
	Stack stack.ID
}

// Event is what an agent reported about one deployment object. Repeated identical reports update
// UpdatedAt and Count of one row instead of adding rows.
type Event struct {
	ID        EventID
	Agent     ID
	Object    stack.ObjectID
	Type      string // DEPLOY, REMOVE, ...
	Status    string // SUCCESS, FAILURE, ...
	Message   *string
	Count     int64
	CreatedAt time.Time
	UpdatedAt time.Time
	Ordinal   int64 // grows from one that is stored to the next; given by the store
}

// CheckLabel refuses labels that are empty, longer than 64 bytes, or hold white space or control characters.
func CheckLabel(l string) error { return stack.CheckLabel(l) }
