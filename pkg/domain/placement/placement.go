// Package placement decides which clusters run which stack. Decide is a pure function: no context, clock
// or I/O; the same input gives the same output in any order of the input.
package placement

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Cluster is what placement knows of one live agent.
type Cluster struct {
	Agent       agent.ID
	Name        string
	Version     int64 // of the agent's row, for compare-and-set
	Status      agent.Status
	Labels      map[string]bool
	Annotations map[string]string
	Generators  map[tenancy.GeneratorID]bool // approved registrations
	Targets     map[stack.ID]bool            // explicit targets

	Reported         cluster.Status // of the cluster, as its agent last told it
	ReportedAt       *time.Time     // when; nil: it has told none, so that nothing of Reported is known
	Taints           []cluster.Taint
	Cordon           *cluster.Cordon   // nothing new comes; nil: it may
	Drain            *cluster.Drain    // what is here goes; nil: it stays
	UnreachableSince *time.Time        // nil: its agent is heard of
	Load             int               // stacks that are assigned here
	Assumed          cluster.Resources // what was promised and is perhaps not in Reported.Requested yet
}

// Subject is what placement knows of one stack.
type Subject struct {
	Stack       stack.ID
	Name        string
	Generator   tenancy.GeneratorID
	Version     int64 // of the stack's row, for compare-and-set
	Labels      map[string]bool
	Annotations map[string]string
	Deleted     bool
	DeletedAt   *time.Time    // when, if Deleted
	Newest      *stack.Object // newest live deployment object; nil if none was published
	Generation  int64         // of the stack's decisions, for compare-and-set
	Approved    int64         // a held decision of this generation was approved; 0 none
	Hold        *Hold
	Blocked     []Blocked // clusters that the newest decision left as they are
	Treatment   stack.Treatment
	Policy      *policy.Ref // the revision of the policy that decides; nil: plain matching
	Decided     *policy.Ref // what the newest record followed
	Moved       []time.Time // when decisions of the last hour moved it, once for each of Decision.Moves
}

// Prior is a stack's assignments as they stand.
type Prior map[agent.ID]delivery.Assignment

// Rule names what made or refused a match.
type Rule string

// The rules of plain matching.
const (
	RuleTarget     Rule = "target"
	RuleLabel      Rule = "label"
	RuleAnnotation Rule = "annotation"
	RuleConsent    Rule = "consent"
	RuleNoMatch    Rule = "no_match"
	RuleDeleted    Rule = "stack_deleted"
	RuleMarker     Rule = "deletion_marker"
	RuleNoObject   Rule = "nothing_published"
)

// The rules of clusters' owners, which count with and without a policy, and those of policies.
const (
	RuleCordon      Rule = "cordon"
	RuleDrain       Rule = "drain"
	RuleTaint       Rule = "taint"
	RuleInactive    Rule = "inactive"
	RulePicked      Rule = "picked" // by the policy
	RuleExpression  Rule = "expression"
	RuleCEL         Rule = "cel"
	RuleUnknown     Rule = "unknown" // what is asked for is not known of the cluster
	RuleGroup       Rule = "group"
	RuleFixed       Rule = "fixed"
	RuleCapacity    Rule = "capacity"
	RuleAffinity    Rule = "affinity"
	RuleUnreachable Rule = "unreachable"
	RuleOutage      Rule = "outage" // so many clusters are unreachable at once that none is left for it
	RuleOutranked   Rule = "outranked"
	RuleSpread      Rule = "spread"
	RuleKept        Rule = "kept" // it would not be picked anew, but stays
)

// Reason is one cause of a verdict, as data; Wanted and Observed are short texts.
type Reason struct {
	Rule     Rule   `json:"rule"`
	Wanted   string `json:"wanted,omitempty"`
	Observed string `json:"observed,omitempty"`
	Message  string `json:"message"`
}

// Verdict says for one cluster whether it is picked, and why.
type Verdict struct {
	Agent   agent.ID `json:"agent_id"`
	Cluster string   `json:"cluster"`
	Picked  bool     `json:"picked"`
	Reasons []Reason `json:"reasons"`
	// Of clusters that a policy ranks, in the order in which it compares: the group, how full the domains of the spread are,
	// the points with what they are made of, and whether the stack is there already.
	Group     string     `json:"group,omitempty"`
	Avoided   bool       `json:"avoided,omitempty"` // a taint says that others are taken first
	Spread    []Fullness `json:"spread,omitempty"`
	Score     int64      `json:"score,omitempty"`
	Scores    []Score    `json:"scores,omitempty"`
	Incumbent bool       `json:"incumbent,omitempty"`
	Ranked    bool       `json:"ranked,omitempty"`
}

// Fullness is how many clusters are picked in a cluster's domain of a spread, when everything is chosen. While it is chosen,
// emptier domains come first.
type Fullness struct {
	By     string `json:"by"`
	Domain string `json:"domain,omitempty"` // empty: the cluster has no value, or it is not known
	Picked int    `json:"picked"`
	Fewest int    `json:"fewest"` // in any domain that has clusters that fit
}

// Score is what one preference gives a cluster.
type Score struct {
	Name     string `json:"name"`               // the property, balance or stickiness
	Observed string `json:"observed,omitempty"` // what the points rest on
	Weight   int    `json:"weight,omitempty"`
	Points   int64  `json:"points"` // with the weight
}

// Pick is one cluster that a decision chose.
type Pick struct {
	Agent  agent.ID `json:"agent_id"`
	Pinned bool     `json:"pinned,omitempty"` // an explicit target
	Group  string   `json:"group,omitempty"`
	Score  int64    `json:"score,omitempty"`
}

// Unmet is a demand that the fleet does not meet: data, not an error.
type Unmet struct {
	Wanted int    `json:"wanted"` // clusters
	Picked int    `json:"picked"`
	Reason string `json:"reason"`
}

// HoldCause is which brake holds a decision.
type HoldCause string

// What is held for its share waits for approval until nothing of it would be removed. The other holds end by themselves too,
// when there is room in the window, or when another cluster has the stack.
const (
	HoldShare   HoldCause = "share"        // of the stack's clusters
	HoldFleet   HoldCause = "fleet_window" // of what may be removed over all stacks
	HoldNowhere HoldCause = "nowhere"      // no cluster would be left
)

// Hold is a decision that waits for approval, with the reason.
type Hold struct {
	Since   time.Time  `json:"since"`
	Cause   HoldCause  `json:"cause,omitempty"` // empty: it was made by an earlier release, and waits as for its share
	Reason  string     `json:"reason"`
	Removes []agent.ID `json:"removes"`
	Of      int        `json:"of"` // clusters that the stack has now
	// Fingerprint binds an approval to exactly this set of removals.
	Fingerprint string `json:"fingerprint"`
	// Until is when the fleet's window has room for it, if nothing else happens: of the moment at which somebody asks, so that
	// it is not in what is stored. Nil: it is held by something else, or the time alone makes no room.
	Until *time.Time `json:"until,omitempty"`
}

// Change is one assignment that a decision changes.
type Change struct {
	Agent   agent.ID       `json:"agent_id"`
	State   delivery.State `json:"state"`
	Object  stack.ObjectID `json:"deployment_object_id"`
	Variant stack.Checksum `json:"variant,omitempty"` // of the content for this cluster, if it is not the object's own
	Reason  string         `json:"reason"`
	// Treatment of what the stack has there; the record does not keep it.
	Treatment stack.Treatment `json:"-"`
	Going     bool            `json:"going,omitempty"` // it is a tombstone already, and is told anew with its treatment: it takes nothing away
	Version   int64           `json:"-"`               // the agent's row version on which a removal rests
}

// Decision is the outcome of Decide for one stack.
type Decision struct {
	Stack    stack.ID   `json:"stack_id"`
	Verdicts []Verdict  `json:"verdicts"` // every cluster, by agent id; with a policy from Explain alone
	Picks    []Pick     `json:"picks,omitempty"`
	Unmet    *Unmet     `json:"unmet,omitempty"`
	Moves    int        `json:"moves,omitempty"` // clusters that were left for better ones, though they fit
	Changes  []Change   `json:"changes"`         // what differs from prior, by agent id; empty: nothing to commit
	Hold     *Hold      `json:"hold,omitempty"`
	Blocked  []Blocked  `json:"blocked,omitempty"`
	WakeAt   *time.Time `json:"wake_at,omitempty"`
	// Policy is what the decision followed; nil: plain matching.
	Policy *policy.Ref `json:"policy,omitempty"`
}

// Record is a decision as it was committed, kept for explanation.
type Record struct {
	Stack       stack.ID
	Generation  int64
	Object      stack.ObjectID
	Decision    Decision
	Cause       string // the event that triggered it
	Traceparent string
	At          time.Time
}
