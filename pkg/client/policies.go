package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Policy is a placement policy in its newest revision.
type Policy struct {
	ID          string          `json:"id"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	GeneratorID string          `json:"generator_id"`
	Name        string          `json:"name"`
	Revision    int             `json:"revision"`
	Document    json.RawMessage `json:"document"`
	Stacks      int             `json:"stacks"`       // that it is attached to themselves
	StackLabels []string        `json:"stack_labels"` // by which it reaches stacks
	Warnings    []PolicyProblem `json:"warnings"`
}

// PolicyProblem is something about a policy's document.
type PolicyProblem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// PolicyRevision is one state of a policy's document; lists have no documents.
type PolicyRevision struct {
	PolicyID  string          `json:"policy_id"`
	Revision  int             `json:"revision"`
	CreatedAt time.Time       `json:"created_at"`
	Document  json.RawMessage `json:"document,omitempty"`
}

// PolicyReach is which policy decides about a stack, and why that one.
type PolicyReach struct {
	PolicyID   string  `json:"policy_id"`
	Name       string  `json:"name"`
	Revision   int     `json:"revision"`
	By         string  `json:"by"` // stack | label
	StackLabel *string `json:"stack_label"`
}

// AttachedPolicy is a policy that was given to a stack, with what it asks for and the fleet does not have.
type AttachedPolicy struct {
	PolicyReach
	Warnings []PolicyProblem `json:"warnings"`
}

// Policies lists the placement policies that the caller can see; those with this name if it is not empty.
func (c *Client) Policies(ctx context.Context, name string) ([]Policy, error) {
	return list[Policy](ctx, c, "/placement-policies", named(name))
}

// Policy returns a policy in its newest revision.
func (c *Client) Policy(ctx context.Context, id string) (Policy, error) {
	return get[Policy](ctx, c, "/placement-policies/"+seg(id))
}

// CreatePolicy stores a policy; an empty generator is the caller's own.
func (c *Client) CreatePolicy(ctx context.Context, generator string, document json.RawMessage) (Policy, error) {
	var out Policy
	r := call{method: http.MethodPost, path: "/placement-policies", body: document}
	if generator != "" {
		r.query = url.Values{"generator_id": {generator}}
	}
	_, err := c.do(ctx, r, &out)
	return out, err
}

// UpdatePolicy stores the next revision of a policy; a document that says what the newest one says makes none, so that it
// may be repeated.
func (c *Client) UpdatePolicy(ctx context.Context, id string, document json.RawMessage) (Policy, error) {
	var out Policy
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/placement-policies/" + seg(id), body: document}, &out)
	return out, err
}

// DeletePolicy deletes a policy; one that is attached only if it is to be detached first.
func (c *Client) DeletePolicy(ctx context.Context, id string, detach bool) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/placement-policies/" + seg(id), query: url.Values{"detach": {strconv.FormatBool(detach)}}}, nil)
	return err
}

// PolicyRevision returns one of them with its document.
func (c *Client) PolicyRevision(ctx context.Context, id string, revision int) (PolicyRevision, error) {
	return get[PolicyRevision](ctx, c, "/placement-policies/"+seg(id)+"/revisions/"+strconv.Itoa(revision))
}

// StackPolicy returns which policy decides about a stack; 404 if none does.
func (c *Client) StackPolicy(ctx context.Context, stack string) (PolicyReach, error) {
	return get[PolicyReach](ctx, c, "/stacks/"+seg(stack)+"/placement-policy")
}

// AttachPolicy gives a stack a policy of its generator.
func (c *Client) AttachPolicy(ctx context.Context, stack, policy string) (AttachedPolicy, error) {
	var out AttachedPolicy
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/stacks/" + seg(stack) + "/placement-policy", body: map[string]string{"policy_id": policy}}, &out)
	return out, err
}

// DetachPolicy takes from a stack the policy that was attached to it.
func (c *Client) DetachPolicy(ctx context.Context, stack string) error {
	return c.remove(ctx, "/stacks/"+seg(stack)+"/placement-policy")
}

// AttachPolicyLabel lets a policy reach every stack of its generator that has the label.
func (c *Client) AttachPolicyLabel(ctx context.Context, policy, label string) (Policy, error) {
	var out Policy
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/placement-policies/" + seg(policy) + "/stack-labels/" + seg(label)}, &out)
	return out, err
}

// DetachPolicyLabel undoes AttachPolicyLabel.
func (c *Client) DetachPolicyLabel(ctx context.Context, policy, label string) error {
	return c.remove(ctx, "/placement-policies/"+seg(policy)+"/stack-labels/"+seg(label))
}

// PlacementAt returns what had been decided about a stack until a moment; 404 if nothing is kept from then.
func (c *Client) PlacementAt(ctx context.Context, stack string, at time.Time) (Placement, error) {
	var out Placement
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(stack) + "/placement", query: url.Values{"at": {at.UTC().Format(time.RFC3339Nano)}}}, &out)
	return out, err
}

// PlanRequest is a change that is only thought of.
type PlanRequest struct {
	Policy *PlannedPolicy     `json:"policy,omitempty"`
	Attach *PlannedAttachment `json:"attach,omitempty"`
	Agents []PlannedAgent     `json:"agents,omitempty"`
}

// PlannedAttachment is a policy for a stack.
type PlannedAttachment struct {
	StackID  string `json:"stack_id"`
	PolicyID string `json:"policy_id"`
}

// PlannedTaint is a taint for a cluster.
type PlannedTaint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

// PlannedPolicy is a document for a policy.
type PlannedPolicy struct {
	PolicyID string          `json:"policy_id"`
	Document json.RawMessage `json:"document"`
}

// PlannedAgent is what would be of a cluster.
type PlannedAgent struct {
	AgentID           string            `json:"agent_id"`
	AddLabels         []string          `json:"add_labels,omitempty"`
	RemoveLabels      []string          `json:"remove_labels,omitempty"`
	SetAnnotations    map[string]string `json:"set_annotations,omitempty"`
	RemoveAnnotations []string          `json:"remove_annotations,omitempty"`
	AddTaints         []PlannedTaint    `json:"add_taints,omitempty"`
	RemoveTaints      []string          `json:"remove_taints,omitempty"` // key, or key:effect
	Cordon            bool              `json:"cordon,omitempty"`
	Uncordon          bool              `json:"uncordon,omitempty"`
	Drain             bool              `json:"drain,omitempty"`
	Lost              bool              `json:"lost,omitempty"`
}

// Plan is what a change would come to.
type Plan struct {
	ID        string          `json:"id"`
	Stacks    []PlannedStack  `json:"stacks"`
	Unchanged int             `json:"unchanged"`
	Warnings  []PolicyProblem `json:"warnings"`
}

// PlannedStack is a stack whose clusters would change.
type PlannedStack struct {
	StackID   string           `json:"stack_id"`
	StackName string           `json:"stack_name"`
	Gains     []PlannedCluster `json:"gains"`
	Loses     []PlannedCluster `json:"loses"`
	Stays     int              `json:"stays"`
	Hold      *Hold            `json:"hold"`
	Unmet     *UnmetDemand     `json:"unmet"`
}

// PlannedCluster is a cluster that a stack would gain or lose, and why.
type PlannedCluster struct {
	AgentID     string `json:"agent_id"`
	AgentName   string `json:"agent_name"`
	ClusterName string `json:"cluster_name"`
	Reason      string `json:"reason"`
}

// UnmetDemand is what a policy asks for beyond what the fleet has.
type UnmetDemand struct {
	Wanted int    `json:"wanted"`
	Picked int    `json:"picked"`
	Reason string `json:"reason"`
}

// Plan asks what a change would come to; nothing is written.
func (c *Client) Plan(ctx context.Context, q PlanRequest) (Plan, error) {
	var out Plan
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/placement/plan", body: q, repeatable: true}, &out)
	return out, err
}

// UpdatePolicyUnder is UpdatePolicy as long as a plan is still true; else 409, code plan_outdated.
func (c *Client) UpdatePolicyUnder(ctx context.Context, plan, id string, document json.RawMessage) (Policy, error) {
	var out Policy
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/placement-policies/" + seg(id), query: url.Values{"plan": {plan}}, body: document, once: true}, &out)
	return out, err
}
