// Package event names what happens in Brokkr. An event is written to the outbox in the transaction that
// made it true; schedulers, webhooks, audit and live channels read it from there.
package event

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Type is an event's name in the past tense.
type Type string

// The types. Webhook names of the v1 contract are kept where they exist.
const (
	AgentRegistered     Type = "agent.registered"
	AgentDeregistered   Type = "agent.deregistered"
	AgentChanged        Type = "agent.changed" // name, status, labels, annotations, targets
	ConsentChanged      Type = "consent.changed"
	GeneratorDeleted    Type = "generator.deleted"
	StackCreated        Type = "stack.created"
	StackChanged        Type = "stack.changed" // name, labels, annotations
	StackDeleted        Type = "stack.deleted"
	StackRestored       Type = "stack.restored"
	DeploymentCreated   Type = "deployment.created"
	DeploymentApplied   Type = "deployment.applied"
	DeploymentFailed    Type = "deployment.failed"
	DeploymentDeleted   Type = "deployment.deleted" // the newest object of a stack that was deleted
	PlacementDecided    Type = "placement.decided"
	PlacementApproved   Type = "placement.approved"
	PolicyCreated       Type = "placement_policy.created"
	PolicyChanged       Type = "placement_policy.changed" // a new revision; data: policy_id, revision
	PolicyDeleted       Type = "placement_policy.deleted"
	PolicyAttached      Type = "placement_policy.attached" // to the event's stack, or to stack_label in the data
	PolicyDetached      Type = "placement_policy.detached" // the same
	RemovalAcknowledged Type = "removal.acknowledged"
	RolloutActed        Type = "rollout.acted"       // somebody paused, resumed, approved, aborted or undid it
	RolloutMoved        Type = "rollout.moved"       // it came to another phase
	AssignmentReported  Type = "assignment.reported" // a status changed that an open rollout waits for
	DiagnosticRequested Type = "diagnostic.requested"
	DiagnosticCompleted Type = "diagnostic.completed"
	WorkOrderCreated    Type = "workorder.created"
	WorkOrderClaimed    Type = "workorder.claimed"
	WorkOrderCompleted  Type = "workorder.completed"
	WorkOrderFailed     Type = "workorder.failed"
)

// Event is one row of the outbox. Only the ids that matter are set.
type Event struct {
	Seq         int64 // given by the store; gaps are possible and order is not commit order
	ID          string
	Type        Type
	Agent       agent.ID
	Stack       stack.ID
	Object      stack.ObjectID
	Generator   tenancy.GeneratorID
	Traceparent string
	Data        map[string]any // the webhook payload's data; small, never manifests
	At          time.Time
}
