package http

import (
	"context"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	statusJSON struct {
		StackID     stack.ID            `json:"stack_id"`
		StackName   string              `json:"stack_name"`
		GeneratorID tenancy.GeneratorID `json:"generator_id"`
		DeletedAt   *time.Time          `json:"deleted_at,omitempty"`
		ObjectID    *stack.ObjectID     `json:"deployment_object_id"`
		SequenceID  *stack.Sequence     `json:"sequence_id"`
		Checksum    *stack.Checksum     `json:"checksum"`
		PublishedAt *time.Time          `json:"published_at"`
		Hold        *placement.Hold     `json:"hold"`
		Blocked     []blockedJSON       `json:"blocked"`
		Clusters    []clusterJSON       `json:"clusters"`
		Summary     summaryJSON         `json:"summary"`
	}
	blockedJSON struct {
		Override string           `json:"override"`
		Reason   string           `json:"reason"`
		ObjectID stack.ObjectID   `json:"deployment_object_id"`
		Since    time.Time        `json:"since"`
		Clusters []blockedOneJSON `json:"clusters"`
	}
	blockedOneJSON struct {
		AgentID     agent.ID `json:"agent_id"`
		AgentName   string   `json:"agent_name"`
		ClusterName string   `json:"cluster_name"`
	}
	revisionJSON struct {
		ObjectID   stack.ObjectID `json:"deployment_object_id"`
		SequenceID stack.Sequence `json:"sequence_id"`
	}
	clusterJSON struct {
		AgentID       agent.ID          `json:"agent_id"`
		AgentName     string            `json:"agent_name"`
		ClusterName   string            `json:"cluster_name"`
		AgentStatus   agent.Status      `json:"agent_status"`
		LastHeartbeat *time.Time        `json:"last_heartbeat"`
		State         delivery.State    `json:"state"`
		Wanted        revisionJSON      `json:"wanted"`
		Applied       *revisionJSON     `json:"applied"`
		Phase         delivery.Phase    `json:"phase"`
		Health        delivery.Health   `json:"health"`
		Message       string            `json:"message"`
		Since         time.Time         `json:"since"`
		Reason        string            `json:"reason"`
		Revision      delivery.Revision `json:"revision"`
		BlockedOn     *string           `json:"blocked_on"`
	}
	summaryJSON struct {
		Wanted   int `json:"wanted"`
		Applied  int `json:"applied"`
		Healthy  int `json:"healthy"`
		Failed   int `json:"failed"`
		Removing int `json:"removing"`
	}
	placementJSON struct {
		StackID    stack.ID         `json:"stack_id"`
		Generation int64            `json:"generation"`
		DecidedAt  *time.Time       `json:"decided_at"`
		Cause      string           `json:"cause"`
		TraceID    string           `json:"trace_id"`
		Policy     *policyRefJSON   `json:"policy"`
		WakeAt     *time.Time       `json:"wake_at"`
		Unmet      *placement.Unmet `json:"unmet"`
		Hold       *placement.Hold  `json:"hold"`
		Verdicts   []verdictJSON    `json:"verdicts"`
	}
	verdictJSON struct {
		AgentID   agent.ID             `json:"agent_id"`
		Cluster   string               `json:"cluster"`
		AgentName string               `json:"agent_name"`
		Picked    bool                 `json:"picked"`
		Reasons   []placement.Reason   `json:"reasons"`
		Ranked    bool                 `json:"ranked"`
		Group     string               `json:"group,omitempty"`
		Avoided   bool                 `json:"avoided"`
		Spread    []placement.Fullness `json:"spread"`
		Score     int64                `json:"score"`
		Scores    []placement.Score    `json:"scores"`
		Incumbent bool                 `json:"incumbent"`
	}
	approvalJSON struct {
		Fingerprint string `json:"fingerprint"`
	}
)

func statusOf(s app.StackStatus) statusJSON {
	out := statusJSON{
		StackID: s.Subject.Stack, StackName: s.Subject.Name, GeneratorID: s.Subject.Generator, DeletedAt: s.Subject.DeletedAt,
		Hold: holdOf(s.Subject.Hold), Clusters: each(s.Clusters, clusterOf), Summary: summaryJSON(s.Summary),
		Blocked: each(s.Blocked, func(b placement.Blocked) blockedJSON {
			return blockedJSON{b.Override, b.Reason, b.Object, b.Since.UTC(), each(b.Agents, func(a agent.ID) blockedOneJSON {
				return blockedOneJSON{a, s.Agents[a].Name, s.Agents[a].ClusterName}
			})}
		}),
	}
	if o := s.Subject.Newest; o != nil {
		out.ObjectID, out.SequenceID, out.Checksum, out.PublishedAt = &o.ID, &o.Sequence, &o.Checksum, &o.SubmittedAt
	}
	return out
}

func clusterOf(c app.ClusterStatus) clusterJSON {
	out := clusterJSON{
		AgentID: c.Wanted.Agent, AgentName: c.Agent.Name, ClusterName: c.Agent.ClusterName, AgentStatus: c.Agent.Status,
		LastHeartbeat: c.Agent.Liveness.LastHeartbeat, State: c.Wanted.State,
		Wanted: revisionJSON{ObjectID: c.Wanted.Object, SequenceID: c.Wanted.Sequence},
		Phase:  c.Phase, Health: c.Health, Message: c.Message, Since: c.Since.UTC(), Reason: c.Wanted.Reason, Revision: c.Wanted.Revision,
	}
	if c.Applied != nil {
		out.Applied = &revisionJSON{ObjectID: c.Applied.Object, SequenceID: c.Applied.Sequence}
	}
	if c.BlockedOn != "" {
		out.BlockedOn = &c.BlockedOn
	}
	return out
}

// holdOf returns a hold whose list is never null.
func holdOf(h *placement.Hold) *placement.Hold {
	if h == nil || h.Removes != nil {
		return h
	}
	c := *h
	c.Removes = []agent.ID{}
	return &c
}

func placementOf(p app.StackPlacement) placementJSON {
	out := placementJSON{StackID: p.Stack, Hold: holdOf(p.Hold), Verdicts: []verdictJSON{}}
	if p.Record == nil {
		return out
	}
	at := p.Record.At.UTC()
	out.Generation, out.DecidedAt, out.Cause, out.TraceID = p.Record.Generation, &at, p.Record.Cause, traceID(p.Record.Traceparent)
	out.Policy, out.WakeAt = maybePolicyRef(p.Record.Decision.Policy), p.Record.Decision.WakeAt
	out.Unmet = p.Record.Decision.Unmet
	out.Verdicts = each(p.Record.Decision.Verdicts, func(v placement.Verdict) verdictJSON {
		return verdictJSON{
			AgentID: v.Agent, Cluster: v.Cluster, AgentName: p.Agents[v.Agent].Name, Picked: v.Picked,
			Reasons: each(v.Reasons, func(r placement.Reason) placement.Reason { return r }),
			Ranked:  v.Ranked, Group: v.Group, Avoided: v.Avoided, Spread: each(v.Spread, func(x placement.Fullness) placement.Fullness { return x }),
			Score: v.Score, Scores: each(v.Scores, func(x placement.Score) placement.Score { return x }), Incumbent: v.Incumbent,
		}
	})
	return out
}

// traceID is the second part of a W3C traceparent.
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

func stackViewRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		get("get_stack_status", "/stacks/{id}/status", view(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) (statusJSON, error) {
			out, err := a.StackStatus(ctx, who(ctx), s)
			return statusOf(out), err
		}),
		get("get_stack_placement", "/stacks/{id}/placement", view(GeneratorOwner), stackAtTime, func(ctx context.Context, r of[stack.ID, *time.Time]) (placementJSON, error) {
			out, err := a.StackPlacement(ctx, who(ctx), r.id, r.body)
			return placementOf(out), err
		}),
		list("list_stack_placements", "/stacks/{id}/placement/history", view(GeneratorOwner), placement.RecordList(), justID[stack.ID], func(ctx context.Context, s stack.ID, q page.Query) (page.Page[placement.Record], error) {
			return a.PlacementHistory(ctx, who(ctx), s, q)
		}, recordOf),
		list("get_agent_placement", "/agents/{id}/placement", view(AgentSelf), app.PlacedList(), justID[agent.ID], rpc.Short(app.PlacedList(), func(ctx context.Context, v agent.ID) ([]app.PlacedStack, error) {
			return a.AgentPlacement(ctx, who(ctx), v)
		}), placedOf),
		act("approve_stack_placement", "/stacks/{id}/placement/approve", operate(GeneratorOwner), idAnd[stack.ID, approvalJSON], func(ctx context.Context, r of[stack.ID, approvalJSON]) (placementJSON, error) {
			out, err := a.ApprovePlacement(ctx, who(ctx), r.id, r.body.Fingerprint)
			return placementOf(out), err
		}),
	}
}
