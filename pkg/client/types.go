package client

import (
	"encoding/json"
	"time"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// Auth says who a PAK is.
type Auth struct {
	Admin     bool    `json:"admin"`
	Agent     *string `json:"agent"`
	Generator *string `json:"generator"`
	ReadOnly  bool    `json:"readonly"`
	Role      string  `json:"role"` // admin, operator, viewer, generator or agent; empty from a server that does not say
}

// Agent is one cluster's agent.
type Agent struct {
	ID              string     `json:"id"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	DeletedAt       *time.Time `json:"deleted_at"`
	Name            string     `json:"name"`
	ClusterName     string     `json:"cluster_name"`
	LastHeartbeat   *time.Time `json:"last_heartbeat"`
	Status          string     `json:"status"`
	K8sReachable    *bool      `json:"k8s_reachable"`
	K8sAPILatencyMS *int64     `json:"k8s_api_latency_ms"`
	K8sReportedAt   *time.Time `json:"k8s_reported_at"`
	DuplicateSince  *time.Time `json:"duplicate_since,omitempty"`
}

// NewAgent asks for an agent. Labels, Annotations and Status are set in the same step.
type NewAgent struct {
	Name         string            `json:"name"`
	ClusterName  string            `json:"cluster_name"`
	GeneratorIDs []string          `json:"generator_ids,omitempty"`
	Labels       []string          `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Status       string            `json:"status,omitempty"`
}

// AgentPAK is an agent with its new key, which is shown once.
type AgentPAK struct {
	Agent Agent  `json:"agent"`
	PAK   string `json:"pak"`
}

// Generator is a producer of stacks.
type Generator struct {
	ID                 string     `json:"id"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	DeletedAt          *time.Time `json:"deleted_at"`
	Name               string     `json:"name"`
	Description        *string    `json:"description"`
	IsActive           bool       `json:"is_active"`
	IsSystem           bool       `json:"is_system"`
	LastActiveAt       *time.Time `json:"last_active_at"`
	RegistrationPolicy string     `json:"registration_policy,omitempty"`
}

// NewGenerator asks for a generator.
type NewGenerator struct {
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	// RegistrationPolicy is open, approval or closed; empty leaves it to the broker.
	RegistrationPolicy string `json:"registration_policy,omitempty"`
}

// GeneratorPAK is a generator with its new key, which is shown once.
type GeneratorPAK struct {
	Generator Generator `json:"generator"`
	PAK       string    `json:"pak"`
}

// Stack is a named container of desired state.
type Stack struct {
	ID          string     `json:"id"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DeletedAt   *time.Time `json:"deleted_at"`
	Name        string     `json:"name"`
	Description *string    `json:"description"`
	GeneratorID string     `json:"generator_id"`
	Treatment   *Treatment `json:"treatment,omitempty"` // nil: the broker is of a release in which stacks have none
}

// DeletedStack is a stack that can be restored, until RestorableUntil at least.
type DeletedStack struct {
	Stack
	RestorableUntil time.Time `json:"restorable_until"`
}

// NewStack asks for a stack; without GeneratorID it belongs to the caller.
type NewStack struct {
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	GeneratorID string  `json:"generator_id,omitempty"`
}

// Label is a bare string on an agent or a stack.
type Label struct {
	ID      string `json:"id"`
	AgentID string `json:"agent_id,omitempty"`
	StackID string `json:"stack_id,omitempty"`
	Label   string `json:"label"`
}

// Annotation is a key and value on an agent or a stack.
type Annotation struct {
	ID      string `json:"id"`
	AgentID string `json:"agent_id,omitempty"`
	StackID string `json:"stack_id,omitempty"`
	Key     string `json:"key"`
	Value   string `json:"value"`
}

// Target pins a stack to an agent.
type Target = wire.TargetFrame

// Event is what an agent reported about one deployment object.
type Event = wire.AgentEvent

// Object is a deployment object: one immutable revision of a stack.
type Object = wire.DeploymentObject

// Origin is what a deployment object was made of.
type Origin = wire.Origin

// Registration is the consent between an agent and a generator.
type Registration struct {
	ID           string    `json:"id"`
	AgentID      string    `json:"agent_id"`
	GeneratorID  string    `json:"generator_id"`
	RegisteredAt time.Time `json:"registered_at"`
	State        string    `json:"state,omitempty"` // pending | approved
}

// Version is what a broker says of itself.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go,omitempty"`
	API     string `json:"api,omitempty"`
}

// Hold is a decision that waits for approval.
type Hold struct {
	Since       time.Time `json:"since"`
	Cause       string    `json:"cause,omitempty"` // share, fleet_window or nowhere; empty from earlier releases
	Reason      string    `json:"reason"`
	Removes     []string  `json:"removes"` // agent ids
	Of          int       `json:"of"`
	Fingerprint string    `json:"fingerprint"`
	// Until is when the fleet's window has room for it if nothing else happens; nil of other causes, and if it never has.
	Until *time.Time `json:"until,omitempty"`
}

// StackStatus is where a stack stands in every cluster.
type StackStatus struct {
	StackID            string          `json:"stack_id"`
	StackName          string          `json:"stack_name"`
	GeneratorID        string          `json:"generator_id"`
	DeploymentObjectID *string         `json:"deployment_object_id"`
	SequenceID         *int64          `json:"sequence_id"`
	Checksum           *string         `json:"checksum"`
	PublishedAt        *time.Time      `json:"published_at"`
	DeletedAt          *time.Time      `json:"deleted_at,omitempty"` // of the stack; it answers until every cluster has removed it
	Hold               *Hold           `json:"hold"`
	Blocked            []Blocked       `json:"blocked"`
	Clusters           []ClusterStatus `json:"clusters"`
	Summary            StatusSummary   `json:"summary"`
}

// Blocked are clusters that keep what they have, because an override of the policy for them cannot be applied.
type Blocked struct {
	Override           string           `json:"override"` // its place in the policy's document
	Reason             string           `json:"reason"`
	DeploymentObjectID string           `json:"deployment_object_id"`
	Since              time.Time        `json:"since"`
	Clusters           []BlockedCluster `json:"clusters"`
}

// BlockedCluster names one of them.
type BlockedCluster struct {
	AgentID     string `json:"agent_id"`
	AgentName   string `json:"agent_name"`
	ClusterName string `json:"cluster_name"`
}

// Revision names one deployment object.
type Revision struct {
	DeploymentObjectID string `json:"deployment_object_id"`
	SequenceID         int64  `json:"sequence_id"`
}

// ClusterStatus is where a stack stands in one cluster.
type ClusterStatus struct {
	AgentID       string          `json:"agent_id"`
	AgentName     string          `json:"agent_name"`
	ClusterName   string          `json:"cluster_name"`
	AgentStatus   string          `json:"agent_status"`
	LastHeartbeat *time.Time      `json:"last_heartbeat"`
	State         string          `json:"state"` // assigned | removing
	Wanted        Revision        `json:"wanted"`
	Applied       *Revision       `json:"applied"`
	Phase         string          `json:"phase"`
	Health        string          `json:"health"`
	Message       string          `json:"message"`
	Since         *time.Time      `json:"since"`
	Reason        string          `json:"reason"`
	Revision      int64           `json:"revision"`
	BlockedOn     json.RawMessage `json:"blocked_on"`
}

// StatusSummary counts clusters.
type StatusSummary struct {
	Wanted   int `json:"wanted"`
	Applied  int `json:"applied"`
	Healthy  int `json:"healthy"`
	Failed   int `json:"failed"`
	Removing int `json:"removing"`
}

// Placement is the decision for one stack, with its reasons.
type Placement struct {
	StackID    string       `json:"stack_id"`
	Generation int64        `json:"generation"`
	DecidedAt  *time.Time   `json:"decided_at"`
	Cause      string       `json:"cause"`
	TraceID    string       `json:"trace_id"`
	Policy     *PolicyReach `json:"policy"` // what it followed; nil: targets, labels and annotations
	WakeAt     *time.Time   `json:"wake_at"`
	Unmet      *UnmetDemand `json:"unmet"`
	Hold       *Hold        `json:"hold"`
	Verdicts   []Verdict    `json:"verdicts"`
}

// Verdict says for one cluster whether it was picked.
type Verdict struct {
	AgentID   string   `json:"agent_id"`
	Cluster   string   `json:"cluster"`
	AgentName string   `json:"agent_name"`
	Picked    bool     `json:"picked"`
	Reasons   []Reason `json:"reasons"`
	// Of clusters that a policy compared with others (Ranked), in the order in which it compares.
	Ranked    bool       `json:"ranked"`
	Group     string     `json:"group,omitempty"`
	Avoided   bool       `json:"avoided"` // by a taint PreferNoPlace
	Spread    []Fullness `json:"spread"`
	Score     int64      `json:"score"`
	Scores    []Score    `json:"scores"`
	Incumbent bool       `json:"incumbent"`
}

// Fullness is how full a cluster's domain of a spread is, when everything is chosen.
type Fullness struct {
	By     string `json:"by"`
	Domain string `json:"domain,omitempty"`
	Picked int    `json:"picked"`
	Fewest int    `json:"fewest"` // in the emptiest domain that has clusters that fit
}

// Score is what one preference gives a cluster.
type Score struct {
	Name     string `json:"name"`
	Observed string `json:"observed,omitempty"`
	Weight   int    `json:"weight,omitempty"`
	Points   int64  `json:"points"` // with the weight
}

// Reason is one cause of a verdict.
type Reason struct {
	Rule     string `json:"rule"`
	Wanted   string `json:"wanted,omitempty"`
	Observed string `json:"observed,omitempty"`
	Message  string `json:"message"`
}
