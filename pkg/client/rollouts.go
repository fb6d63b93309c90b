package client

import (
	"context"
	"net/http"
	"time"
)

// RolloutSummary is how a deployment object moves across the clusters of its stack.
type RolloutSummary struct {
	ID        string        `json:"id"`
	StackID   string        `json:"stack_id"`
	ObjectID  string        `json:"deployment_object_id"`
	State     string        `json:"state"`
	Reason    string        `json:"reason"`
	Since     time.Time     `json:"since"`
	Wave      int           `json:"wave"`
	Waves     []RolloutWave `json:"waves"`
	Stage     *string       `json:"stage"`
	Blockers  []Blocker     `json:"blockers"`
	WakeAt    *time.Time    `json:"wake_at"`
	CreatedAt time.Time     `json:"created_at"`
	EndedAt   *time.Time    `json:"ended_at"`
}

// RolloutWave is a part of the clusters.
type RolloutWave struct {
	Name        string `json:"name"`
	SoakSeconds int64  `json:"soak_seconds"`
	Approval    bool   `json:"approval"`
}

// Blocker is something that a rollout waits for.
type Blocker struct {
	Kind     string     `json:"kind"`
	Since    time.Time  `json:"since"`
	Message  string     `json:"message"`
	Release  string     `json:"release"`
	Until    *time.Time `json:"until"`
	AgentIDs []string   `json:"agent_ids"`
	Count    int        `json:"count"`
}

// Rollout is a rollout with its clusters and history.
type Rollout struct {
	RolloutSummary
	SequenceID int64            `json:"sequence_id"`
	Governs    bool             `json:"governs"`
	Clusters   []RolloutCluster `json:"clusters"`
	History    []RolloutStep    `json:"history"`
}

// RolloutCluster is how far one cluster is.
type RolloutCluster struct {
	AgentID     string     `json:"agent_id"`
	AgentName   string     `json:"agent_name"`
	ClusterName string     `json:"cluster_name"`
	Wave        int        `json:"wave"`
	State       string     `json:"state"`
	Since       time.Time  `json:"since"`
	AdmittedAt  *time.Time `json:"admitted_at"`
	ReturnsTo   *string    `json:"returns_to"`
	Offline     bool       `json:"offline"`
	Left        bool       `json:"left"`
	Joined      bool       `json:"joined"`
	Message     string     `json:"message"`
}

// RolloutStep is one transition of a rollout.
type RolloutStep struct {
	At     time.Time `json:"at"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Wave   int       `json:"wave"`
	By     *string   `json:"by"`
	Reason string    `json:"reason"`
}

// Acts on a rollout.
const (
	PauseRollout    = "pause"
	ResumeRollout   = "resume"
	ApproveRollout  = "approve"
	AbortRollout    = "abort"
	RollbackRollout = "rollback"
)

// Rollouts lists the rollouts of a stack, the newest first.
func (c *Client) Rollouts(ctx context.Context, stack string) ([]RolloutSummary, error) {
	return list[RolloutSummary](ctx, c, "/stacks/"+seg(stack)+"/rollouts", nil)
}

// Rollout returns a rollout with its clusters and history.
func (c *Client) Rollout(ctx context.Context, id string) (Rollout, error) {
	return get[Rollout](ctx, c, "/rollouts/"+seg(id))
}

// ActOnRollout pauses, resumes, approves, aborts or rolls back a rollout. Wave, if not negative, is the one that an approval is for.
func (c *Client) ActOnRollout(ctx context.Context, id, act string, wave int) (Rollout, error) {
	body := map[string]int{}
	if wave >= 0 {
		body["wave"] = wave
	}
	var out Rollout
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/rollouts/" + seg(id) + "/" + act, body: body}, &out)
	return out, err
}

// RollbackStack publishes the content of an earlier deployment object of the stack as a new one.
func (c *Client) RollbackStack(ctx context.Context, stack string, sequence int64) (Object, error) {
	var out Object
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(stack) + "/rollback", body: map[string]int64{"sequence_id": sequence}}, &out)
	return out, err
}
