package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type agents struct{ s session }

func noAgent(id any) error { return notFound("agent_not_found", "agent", id) }

type agentRow struct {
	ID             agent.ID     `db:"id"`
	Name           string       `db:"name"`
	ClusterName    string       `db:"cluster_name"`
	Status         agent.Status `db:"status"`
	Version        int64        `db:"version"`
	CreatedAt      time.Time    `db:"created_at"`
	UpdatedAt      time.Time    `db:"updated_at"`
	DeletedAt      *time.Time   `db:"deleted_at"`
	LastHeartbeat  *time.Time   `db:"last_heartbeat"`
	K8sReachable   *bool        `db:"k8s_reachable"`
	K8sLatencyMS   *int32       `db:"k8s_latency_ms"`
	K8sReportedAt  *time.Time   `db:"k8s_reported_at"`
	DuplicateSince *time.Time   `db:"duplicate_since"`
}

func (r agentRow) agent() agent.Agent {
	return agent.Agent{
		ID: r.ID, Name: r.Name, ClusterName: r.ClusterName, Status: r.Status, Version: r.Version,
		CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt), DeletedAt: microPtr(r.DeletedAt),
		Liveness: agent.Liveness{
			LastHeartbeat: microPtr(r.LastHeartbeat), K8sReachable: r.K8sReachable, K8sLatencyMS: r.K8sLatencyMS,
			K8sReportedAt: microPtr(r.K8sReportedAt), DuplicateSince: microPtr(r.DuplicateSince),
		},
	}
}

const selectAgents = `SELECT a.id, a.name, a.cluster_name, a.status, a.version, a.created_at, a.updated_at, a.deleted_at,
	l.last_heartbeat, l.k8s_reachable, l.k8s_latency_ms, l.k8s_reported_at, l.duplicate_since
	FROM agents a LEFT JOIN agent_liveness l ON l.agent_id = a.id WHERE a.deleted_at IS NULL`

const (
	getAgent            = selectAgents + ` AND a.id = $1`
	getAgentOfGenerator = selectAgents + ` AND a.id = $1 AND EXISTS (SELECT FROM registrations r
		WHERE r.agent_id = a.id AND r.generator_id = $2 AND r.state = 'approved')`
	getAgentItself = selectAgents + ` AND a.id = $1 AND a.id = $2`
)

// Get implements ports.Agents.
func (r agents) Get(ctx context.Context, scope tenancy.Scope, id agent.ID) (agent.Agent, error) {
	query, args, ok := views{getAgent, getAgentOfGenerator, getAgentItself}.of(scope, uid(id))
	if !ok {
		return agent.Agent{}, noAgent(id)
	}
	row, err := one[agentRow](ctx, r.s, "get agent", noAgent(id), query, args...)
	return row.agent(), err
}

const agentByName = selectAgents + ` AND a.name = $1 AND a.cluster_name = $2`

// ByName implements ports.Agents.
func (r agents) ByName(ctx context.Context, name, cluster string) (agent.Agent, error) {
	row, err := one[agentRow](ctx, r.s, "get agent by name", noAgent(name+" in "+cluster), agentByName, name, cluster)
	return row.agent(), err
}

const (
	listAgents            = selectAgents + ` ORDER BY a.name, a.cluster_name`
	listAgentsOfGenerator = selectAgents + ` AND a.id IN (SELECT r.agent_id FROM registrations r
		WHERE r.generator_id = $1 AND r.state = 'approved') ORDER BY a.name, a.cluster_name`
	listAgentItself = selectAgents + ` AND a.id = $1`
)

// List implements ports.Agents.
func (r agents) List(ctx context.Context, scope tenancy.Scope) ([]agent.Agent, error) {
	query, args, ok := views{listAgents, listAgentsOfGenerator, listAgentItself}.of(scope)
	if !ok {
		return nil, nil
	}
	rows, err := many[agentRow](ctx, r.s, "list agents", query, args...)
	return convert(rows, err, agentRow.agent)
}

const (
	countAgents       = `SELECT count(*) FROM agents a WHERE a.deleted_at IS NULL`
	agentsOfGenerator = ` AND EXISTS (SELECT FROM registrations r WHERE r.agent_id = a.id AND r.generator_id = ? AND r.state = 'approved')`
	agentItself       = ` AND a.id = ?`
	agentsFound       = ` AND (position(lower(?::text) IN lower(a.name)) > 0 OR position(lower(?::text) IN lower(a.cluster_name)) > 0)`
	agentsLabelled    = ` AND EXISTS (SELECT FROM agent_labels x WHERE x.agent_id = a.id AND x.label = ?)`
	agentsAnnotated   = ` AND EXISTS (SELECT FROM agent_annotations x WHERE x.agent_id = a.id AND x.key = ? AND x.value = ?)`

	// As cluster.Known.Passes says it.
	agentsCordoned = ` AND (a.cordoned_at IS NOT NULL)::text = ?`
	agentsDrained  = ` AND EXISTS (SELECT FROM drains x WHERE x.agent_id = a.id)::text = ?`
	agentsReached  = ` AND CASE WHEN a.unreachable_since IS NOT NULL THEN 'unreachable'
		WHEN EXISTS (SELECT FROM agent_liveness x WHERE x.agent_id = a.id AND x.last_heartbeat IS NOT NULL) THEN 'reachable' ELSE 'never_connected' END = ?::text`
	agentsTold = ` AND CASE WHEN NOT EXISTS (SELECT FROM cluster_status x WHERE x.agent_id = a.id) THEN 'none'
		WHEN a.unreachable_since IS NOT NULL THEN 'stale' ELSE 'current' END = ?::text`
	agentsTainted = ` AND EXISTS (SELECT FROM agent_taints x WHERE x.agent_id = a.id AND x.key = ?)`
)

func agentPages() listing[agentRow, agent.Agent] {
	return listing[agentRow, agent.Agent]{
		list: cluster.List(), act: "list agents", rows: selectAgents, count: countAgents, id: "a.id",
		sorts: map[string]string{"name": "a.name", "cluster_name": "a.cluster_name", "created_at": "a.created_at"},
		filters: map[string]string{
			"name": " AND a.name = ?", "cluster_name": " AND a.cluster_name = ?", "status": " AND a.status = ?", "generator_id": agentsOfGenerator,
			cluster.FilterCordoned: agentsCordoned, cluster.FilterDraining: agentsDrained, cluster.FilterReachability: agentsReached,
			cluster.FilterFreshness: agentsTold, cluster.FilterTaint: agentsTainted,
		},
		search: agentsFound, label: agentsLabelled, annotation: agentsAnnotated, to: agentRow.agent,
	}
}

// Page implements ports.Agents.
func (r agents) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Agent], error) {
	only := views{"", agentsOfGenerator, agentItself}.only(scope)
	if g, asked := q.Is["generator_id"]; asked && scope.Generator != "" && string(scope.Generator) != g {
		only = part{text: nobody} // whom else a cluster has consented to is not told
	}
	return agentPages().page(ctx, r.s, only, q)
}

// The rows that hang on an agent and are locked or updated often are made with it.
const insertAgent = `WITH a AS (
		INSERT INTO agents (id, name, cluster_name, status, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id),
	l AS (INSERT INTO agent_liveness (agent_id) SELECT id FROM a)
	INSERT INTO agent_report_order (agent_id) SELECT id FROM a`

// Insert implements ports.Agents.
func (r agents) Insert(ctx context.Context, a agent.Agent) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "insert agent", insertAgent, uid(a.ID), a.Name, a.ClusterName, string(a.Status), max(a.Version, 1),
			micro(a.CreatedAt), micro(a.UpdatedAt))
		return err
	})
}

const updateAgent = `WITH changed AS (UPDATE agents SET name = $3, cluster_name = $4, status = $5, updated_at = $6, version = version + 1
		WHERE id = $1 AND version = $2 AND deleted_at IS NULL RETURNING id)
	SELECT pg_notify($7, id::text)::text AS sent FROM changed`

// Update implements ports.Agents.
func (r agents) Update(ctx context.Context, a agent.Agent) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		sent, err := many[string](ctx, in, "update agent", updateAgent, uid(a.ID), a.Version, a.Name, a.ClusterName, string(a.Status),
			micro(a.UpdatedAt), ports.AgentsChanged)
		if err != nil || len(sent) > 0 {
			return err
		}
		if err := in.keepAgent(ctx, a.ID); err != nil {
			return err
		}
		return stale("agent", a.ID)
	})
}

const deleteAgent = `UPDATE agents SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL`

const dropPartsOfAgent = `WITH labels AS (DELETE FROM agent_labels WHERE agent_id = $1),
	annotations AS (DELETE FROM agent_annotations WHERE agent_id = $1),
	targets AS (DELETE FROM agent_targets WHERE agent_id = $1),
	consents AS (DELETE FROM registrations WHERE agent_id = $1),
	liveness AS (DELETE FROM agent_liveness WHERE agent_id = $1),
	reports AS (DELETE FROM agent_report_order WHERE agent_id = $1),
	told AS (DELETE FROM cluster_status WHERE agent_id = $1),
	taints AS (DELETE FROM agent_taints WHERE agent_id = $1),
	drain AS (DELETE FROM drains WHERE agent_id = $1)
	DELETE FROM assignments WHERE agent_id = $1`

// Delete implements ports.Agents.
func (r agents) Delete(ctx context.Context, id agent.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "delete agent", deleteAgent, uid(id), micro(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return noAgent(id)
		}
		_, err = in.exec(ctx, "drop parts of agent", dropPartsOfAgent, uid(id))
		return err
	})
}

const (
	keepAgent      = `SELECT 1 FROM agents WHERE id = $1 AND deleted_at IS NULL FOR SHARE`
	touchAgent     = `UPDATE agents SET version = version + 1 WHERE id = $1`
	touchLiveAgent = `UPDATE agents SET version = version + 1 WHERE id = $1 AND deleted_at IS NULL`
)

// keepAgent holds a live agent alive until the transaction ends.
func (s session) keepAgent(ctx context.Context, id agent.ID) error {
	_, err := one[int](ctx, s, "lock agent", noAgent(id), keepAgent, uid(id))
	return err
}

// touchAgent grows the agent's version.
func (s session) touchAgent(ctx context.Context, id agent.ID) error {
	_, err := s.exec(ctx, "touch agent", touchAgent, uid(id))
	return err
}

// touchLiveAgent grows the version of a live agent, and holds it alive until the transaction ends.
func (s session) touchLiveAgent(ctx context.Context, id agent.ID) error {
	n, err := s.exec(ctx, "touch agent", touchLiveAgent, uid(id))
	if err == nil && n == 0 {
		return noAgent(id)
	}
	return err
}
