// Package audit says what is kept of who changed what: one entry an action, with digests of the thing before and after,
// and how entries hang together in chains, so that one that was changed, taken away or moved is found.
package audit

import (
	"regexp"
	"strings"
)

// Action is what was done: the kind of thing, a dot, and a word in the past tense, such as stack.created. The words are API.
type Action string

// The actions of Brokkr. A new kind of thing adds its own here.
const (
	AgentCreated           Action = "agent.created"
	AgentUpdated           Action = "agent.updated"
	AgentDeleted           Action = "agent.deleted"
	AgentLabelAdded        Action = "agent.label_added"
	AgentLabelRemoved      Action = "agent.label_removed"
	AgentAnnotationAdded   Action = "agent.annotation_added"
	AgentAnnotationRemoved Action = "agent.annotation_removed"
	AgentTargetAdded       Action = "agent.target_added"
	AgentTargetRemoved     Action = "agent.target_removed"
	AgentTaintAdded        Action = "agent.taint_added"
	AgentTaintRemoved      Action = "agent.taint_removed"
	AgentCordoned          Action = "agent.cordoned"
	AgentUncordoned        Action = "agent.uncordoned"
	AgentDrained           Action = "agent.drained" // the drain began, or was changed
	AgentDrainEnded        Action = "agent.drain_ended"
	AgentRegistered        Action = "agent.registered"
	AgentDeregistered      Action = "agent.deregistered"
	AgentRegistrationSet   Action = "agent.registration_changed"
	AgentEventReported     Action = "agent.event_reported"  // by somebody else than the agent
	AgentHealthReported    Action = "agent.health_reported" // by somebody else than the agent

	GeneratorCreated Action = "generator.created"
	GeneratorUpdated Action = "generator.updated"
	GeneratorDeleted Action = "generator.deleted"

	StackCreated           Action = "stack.created"
	StackUpdated           Action = "stack.updated"
	StackDeleted           Action = "stack.deleted"
	StackRestored          Action = "stack.restored"
	StackLabelAdded        Action = "stack.label_added"
	StackLabelRemoved      Action = "stack.label_removed"
	StackAnnotationAdded   Action = "stack.annotation_added"
	StackAnnotationRemoved Action = "stack.annotation_removed"
	StackPlacementApproved Action = "stack.placement_approved"
	StackPolicyAttached    Action = "stack.placement_policy_attached"
	StackPolicyDetached    Action = "stack.placement_policy_detached"

	PolicyCreated  Action = "placement_policy.created"
	PolicyUpdated  Action = "placement_policy.updated"
	PolicyDeleted  Action = "placement_policy.deleted"
	PolicyAttached Action = "placement_policy.attached"
	PolicyDetached Action = "placement_policy.detached"

	RolloutPaused   Action = "rollout.paused"
	RolloutResumed  Action = "rollout.resumed"
	RolloutApproved Action = "rollout.approved"
	RolloutAborted  Action = "rollout.aborted"
	RolloutUndone   Action = "rollout.rolled_back"

	ObjectCreated Action = "deployment_object.created"

	PAKCreated Action = "pak.created"
	PAKRotated Action = "pak.rotated"
	PAKRevoked Action = "pak.revoked"

	JoinTokenCreated Action = "join_token.created"
	JoinTokenRevoked Action = "join_token.revoked"
	AgentJoined      Action = "agent.joined"

	ConfigReloaded Action = "config.reloaded" // of the process that was asked; it has no id

	TemplateCreated           Action = "template.created"
	TemplateUpdated           Action = "template.updated" // by a new version, which the entry names
	TemplateDeleted           Action = "template.deleted"
	TemplateLabelAdded        Action = "template.label_added"
	TemplateLabelRemoved      Action = "template.label_removed"
	TemplateAnnotationAdded   Action = "template.annotation_added"
	TemplateAnnotationRemoved Action = "template.annotation_removed"

	WebhookCreated      Action = "webhook.created"
	WebhookUpdated      Action = "webhook.updated"
	WebhookDeleted      Action = "webhook.deleted"
	WebhookTested       Action = "webhook.tested"
	DeliveryRedelivered Action = "webhook_delivery.redelivered"
	DeliveriesClaimed   Action = "agent.deliveries_claimed" // by somebody else than the agent

	WorkOrderCreated   Action = "work_order.created"
	WorkOrderDeleted   Action = "work_order.deleted"
	WorkOrderClaimed   Action = "work_order.claimed"   // by somebody else than the agent
	WorkOrderRenewed   Action = "work_order.renewed"   // by somebody else than the agent
	WorkOrderCompleted Action = "work_order.completed" // by somebody else than the agent: an attempt, not always the last

	DiagnosticRequested Action = "diagnostic.requested"
	DiagnosticClaimed   Action = "diagnostic.claimed" // by somebody else than the agent
)

// unnamed begins the actions that name a route because its use case named nothing.
const unnamed = "api."

// Unnamed is the action of a change whose use case named none: api. and the operation's id.
func Unnamed(operation string) Action { return Action(unnamed + operation) }

var word = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$`)

// Valid reports whether a is a kind of thing, a dot and a word.
func (a Action) Valid() bool { return word.MatchString(string(a)) }

// ResourceType is the kind of thing that a speaks of.
func (a Action) ResourceType() string {
	kind, _, _ := strings.Cut(string(a), ".")
	return kind
}
