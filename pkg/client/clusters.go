package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Resources are amounts of what workloads use.
type Resources struct {
	CPU    int64 `json:"cpu_millicores"`
	Memory int64 `json:"memory_bytes"`
	Pods   int64 `json:"pods"`
	GPUs   int64 `json:"gpus"`
}

// Taint keeps stacks away from a cluster that do not tolerate it.
type Taint struct {
	Key    string    `json:"key"`
	Value  string    `json:"value,omitempty"`
	Effect string    `json:"effect"` // PreferNoPlace | NoPlace | Evict
	Since  time.Time `json:"since"`
}

// Cordon says that nothing new comes to a cluster.
type Cordon struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Fact is a number or a text that a cluster's owners state.
type Fact struct {
	Number *float64   `json:"number,omitempty"`
	Text   string     `json:"text,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

// ClusterReport is what an agent tells of its cluster. Fields of a part in Unknown mean nothing.
type ClusterReport struct {
	KubernetesVersion string            `json:"kubernetes_version,omitempty"`
	Nodes             int32             `json:"nodes"`
	ReadyNodes        int32             `json:"ready_nodes"`
	Allocatable       Resources         `json:"allocatable"`
	Requested         Resources         `json:"requested"`
	Architectures     []string          `json:"architectures,omitempty"`
	APIs              []string          `json:"apis,omitempty"`
	Facts             map[string]Fact   `json:"facts,omitempty"`
	Unknown           map[string]string `json:"unknown,omitempty"` // version, nodes, requested, apis, facts
}

// Drain is how far the emptying of a cluster is.
type Drain struct {
	Since   time.Time      `json:"since"`
	By      string         `json:"by,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Budget  int            `json:"budget,omitempty"` // stacks on their way at a time; 0: all at once
	Moving  int            `json:"moving"`
	Waiting int            `json:"waiting"`
	Done    bool           `json:"done"`
	Stacks  []DrainedStack `json:"stacks"`
}

// DrainedStack is a stack that a drain moves.
type DrainedStack struct {
	StackID    string     `json:"stack_id"`
	StackName  string     `json:"stack_name"`
	State      string     `json:"state"` // waiting | released | removing
	ReleasedAt *time.Time `json:"released_at"`
	Elsewhere  int        `json:"elsewhere"` // other clusters that have it
}

// Cluster is what is known of an agent's cluster.
type Cluster struct {
	AgentID          string         `json:"agent_id"`
	AgentName        string         `json:"agent_name"`
	ClusterName      string         `json:"cluster_name"`
	Reachability     string         `json:"reachability"` // reachable | unreachable | never_connected
	UnreachableSince *time.Time     `json:"unreachable_since"`
	LastHeartbeat    *time.Time     `json:"last_heartbeat"`
	K8sReachable     *bool          `json:"k8s_reachable"`
	Status           *ClusterReport `json:"status"` // nil: none was told
	ReportedAt       *time.Time     `json:"status_reported_at"`
	ChangedAt        *time.Time     `json:"status_changed_at"`
	Available        *Resources     `json:"available"` // nil: it is not known
	Taints           []Taint        `json:"taints"`
	Cordon           *Cordon        `json:"cordon"`
	Drain            *Drain         `json:"drain"`
	AssignedStacks   int            `json:"assigned_stacks"`
	LeavingStacks    int            `json:"leaving_stacks"`
	DryRun           bool           `json:"dry_run"`
}

// ClusterSummary is a cluster in a list; what is not known is nil.
type ClusterSummary struct {
	AgentID          string            `json:"agent_id"`
	AgentName        string            `json:"agent_name"`
	ClusterName      string            `json:"cluster_name"`
	AgentStatus      string            `json:"agent_status"`
	Reachability     string            `json:"reachability"` // reachable | unreachable | never_connected
	UnreachableSince *time.Time        `json:"unreachable_since"`
	LastHeartbeat    *time.Time        `json:"last_heartbeat"`
	K8sReachable     *bool             `json:"k8s_reachable"`
	Freshness        string            `json:"freshness"` // current | stale | none
	ReportedAt       *time.Time        `json:"status_reported_at"`
	Version          *string           `json:"kubernetes_version"`
	Nodes            *int32            `json:"nodes"`
	ReadyNodes       *int32            `json:"ready_nodes"`
	Architectures    []string          `json:"architectures"`
	Allocatable      *Resources        `json:"allocatable"`
	Requested        *Resources        `json:"requested"`
	Available        *Resources        `json:"available"`
	Unknown          map[string]string `json:"unknown"`
	Taints           []Taint           `json:"taints"`
	Cordon           *Cordon           `json:"cordon"`
	Drain            *DrainSummary     `json:"drain"`
	AssignedStacks   int64             `json:"assigned_stacks"`
	PendingObjects   int64             `json:"pending_object_count"`
	HealthFailing    int64             `json:"health_failing"`
	HealthDegraded   int64             `json:"health_degraded"`
}

// DrainSummary is a drain in a list.
type DrainSummary struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Budget int       `json:"budget,omitempty"`
}

// AgentsLike lists the agents with this text in their own name or in that of their cluster.
func (c *Client) AgentsLike(ctx context.Context, text string) ([]Agent, error) {
	return list[Agent](ctx, c, "/agents", url.Values{"q": {text}})
}

// Cluster returns what is known of an agent's cluster.
func (c *Client) Cluster(ctx context.Context, agent string) (Cluster, error) {
	return get[Cluster](ctx, c, "/agents/"+seg(agent)+"/cluster")
}

// Cordon keeps new stacks away from a cluster. One that is cordoned stays as it is.
func (c *Client) Cordon(ctx context.Context, agent, reason string) (Cluster, error) {
	return c.clusterAct(ctx, agent, "cordon", map[string]string{"reason": reason})
}

// Uncordon ends a cordon, and a drain with it.
func (c *Client) Uncordon(ctx context.Context, agent string) (Cluster, error) {
	return c.clusterAct(ctx, agent, "uncordon", nil)
}

// DrainOptions are those of a drain.
type DrainOptions struct {
	Budget int    `json:"budget"` // stacks on their way at a time; 0: all at once
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run"` // say what would go and change nothing
}

// Drain cordons a cluster and moves what is there. A drain that runs goes on with these options.
func (c *Client) Drain(ctx context.Context, agent string, o DrainOptions) (Cluster, error) {
	return c.clusterAct(ctx, agent, "drain", o)
}

// clusterAct may be repeated: what was done already is not done again.
func (c *Client) clusterAct(ctx context.Context, agent, act string, body any) (Cluster, error) {
	var out Cluster
	_, err := c.do(ctx, c.under(call{method: http.MethodPost, path: "/agents/" + seg(agent) + "/" + act, body: body, repeatable: true}), &out)
	return out, err
}

// EndDrain ends a drain and leaves the cordon; 404, code drain_not_found, if none runs.
func (c *Client) EndDrain(ctx context.Context, agent string) error {
	return c.remove(ctx, "/agents/"+seg(agent)+"/drain")
}

// Taints lists a cluster's taints.
func (c *Client) Taints(ctx context.Context, agent string) ([]Taint, error) {
	return list[Taint](ctx, c, "/agents/"+seg(agent)+"/taints", nil)
}

// SetTaint adds a taint, or gives the one with its key and effect another value.
func (c *Client) SetTaint(ctx context.Context, agent string, t Taint) (Taint, error) {
	var out Taint
	body := map[string]string{"key": t.Key, "value": t.Value, "effect": t.Effect}
	_, err := c.do(ctx, c.under(call{method: http.MethodPut, path: "/agents/" + seg(agent) + "/taints", body: body}), &out)
	return out, err
}

// RemoveTaint removes the taint with this key and effect, or with an empty effect all with the key; 404, code
// agent_taint_not_found, if there is none.
func (c *Client) RemoveTaint(ctx context.Context, agent, key, effect string) error {
	var q url.Values
	if effect != "" {
		q = url.Values{"effect": {effect}}
	}
	return c.unmark(ctx, "/agents/"+seg(agent)+"/taints/"+seg(key), q)
}

// PlacedStack is a stack that is on a cluster, or that goes from there.
type PlacedStack struct {
	StackID     string       `json:"stack_id"`
	StackName   string       `json:"stack_name"`
	GeneratorID string       `json:"generator_id"`
	State       string       `json:"state"` // assigned | removing
	Wanted      Revision     `json:"wanted"`
	Phase       string       `json:"phase"`
	Health      string       `json:"health"`
	Since       time.Time    `json:"since"`
	Reason      string       `json:"reason"`
	Policy      *PolicyReach `json:"policy"`
	BlockedOn   *string      `json:"blocked_on"`
}

// AgentPlacement lists what is on an agent's cluster or goes from there, by name.
func (c *Client) AgentPlacement(ctx context.Context, agent string) ([]PlacedStack, error) {
	return list[PlacedStack](ctx, c, "/agents/"+seg(agent)+"/placement", nil)
}
