package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type insights struct{ s session }

const healthsOfStack = `SELECT t.agent_id, t.object_id, t.sequence_id, t.health, COALESCE(t.summary, '') AS summary,
		t.observed_at, t.since, t.reported_at
	FROM assignments x JOIN assignment_status t ON t.agent_id = x.agent_id AND t.stack_id = x.stack_id
	WHERE x.stack_id = $1 AND x.state = 'assigned' ORDER BY t.sequence_id DESC, t.agent_id`

type healthRow struct {
	Agent      agent.ID        `db:"agent_id"`
	Object     stack.ObjectID  `db:"object_id"`
	Sequence   stack.Sequence  `db:"sequence_id"`
	Health     delivery.Health `db:"health"`
	Summary    string          `db:"summary"`
	CheckedAt  time.Time       `db:"observed_at"`
	Since      time.Time       `db:"since"`
	ReportedAt time.Time       `db:"reported_at"`
}

func (r healthRow) record() delivery.HealthRecord {
	h := delivery.HealthRecord(r)
	h.CheckedAt, h.Since, h.ReportedAt = micro(r.CheckedAt), micro(r.Since), micro(r.ReportedAt)
	return h
}

// Healths implements ports.Insights.
func (r insights) Healths(ctx context.Context, s stack.ID) ([]delivery.HealthRecord, error) {
	rows, err := many[healthRow](ctx, r.s, "list healths of stack", healthsOfStack, uid(s))
	return convert(rows, err, healthRow.record)
}

// What is counted of an agent is found by the keys that begin with it.
const selectFleet = `SELECT a.id, a.name, a.cluster_name, a.status, l.last_heartbeat, l.k8s_reachable, l.k8s_latency_ms,
		d.assigned, d.pending, d.failing, d.degraded, e.updated_at AS last_event_at, COALESCE(m.n, 0) AS pending_orders, c.n AS claimed_orders
	FROM agents a LEFT JOIN agent_liveness l ON l.agent_id = a.id
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.state = 'assigned') AS assigned,
			count(*) FILTER (WHERE x.state = 'removing' OR t.phase IS DISTINCT FROM 'applied' OR t.object_id <> x.object_id) AS pending,
			count(*) FILTER (WHERE x.state = 'assigned' AND t.health = 'failing') AS failing,
			count(*) FILTER (WHERE x.state = 'assigned' AND t.health IN ('degraded', 'progressing')) AS degraded
		FROM assignments x LEFT JOIN assignment_status t ON t.agent_id = x.agent_id AND t.stack_id = x.stack_id
		WHERE x.agent_id = a.id) d
	LEFT JOIN LATERAL (SELECT v.updated_at FROM agent_events v WHERE v.agent_id = a.id ORDER BY v.updated_at DESC LIMIT 1) e ON true
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM work_orders w WHERE w.claimed_by = a.id) c
	LEFT JOIN (SELECT o.agent_id, count(*) AS n FROM (
			SELECT t.agent_id, w.id FROM work_orders w JOIN work_order_agents t ON t.work_order_id = w.id WHERE w.status = 'PENDING'
			UNION SELECT l.agent_id, w.id FROM work_orders w JOIN work_order_labels t ON t.work_order_id = w.id
				JOIN agent_labels l ON l.label = t.label WHERE w.status = 'PENDING'
			UNION SELECT n.agent_id, w.id FROM work_orders w JOIN work_order_annotations t ON t.work_order_id = w.id
				JOIN agent_annotations n ON n.key = t.key AND n.value = t.value WHERE w.status = 'PENDING'
		) AS o GROUP BY o.agent_id) m ON m.agent_id = a.id
	WHERE a.deleted_at IS NULL`

const (
	orderFleet       = ` ORDER BY a.name, a.cluster_name`
	fleetOfGenerator = selectFleet + ` AND a.id IN (SELECT r.agent_id FROM registrations r
		WHERE r.generator_id = $1 AND r.state = 'approved')`
	fleetItself = selectFleet + ` AND a.id = $1`

	listFleet            = selectFleet + orderFleet
	listFleetOfGenerator = fleetOfGenerator + orderFleet
	someFleet            = selectFleet + ` AND a.id = ANY ($1::uuid[])` + orderFleet
	someFleetOfGenerator = fleetOfGenerator + ` AND a.id = ANY ($2::uuid[])` + orderFleet
	someFleetItself      = fleetItself + ` AND a.id = ANY ($2::uuid[])`
)

type fleetRow struct {
	ID            agent.ID     `db:"id"`
	Name          string       `db:"name"`
	ClusterName   string       `db:"cluster_name"`
	Status        agent.Status `db:"status"`
	LastHeartbeat *time.Time   `db:"last_heartbeat"`
	K8sReachable  *bool        `db:"k8s_reachable"`
	K8sLatencyMS  *int32       `db:"k8s_latency_ms"`
	Assigned      int64        `db:"assigned"`
	Pending       int64        `db:"pending"`
	Failing       int64        `db:"failing"`
	Degraded      int64        `db:"degraded"`
	PendingOrders int64        `db:"pending_orders"`
	ClaimedOrders int64        `db:"claimed_orders"`
	LastEventAt   *time.Time   `db:"last_event_at"`
}

func (r fleetRow) record() fleet.Record {
	return fleet.Record{
		Agent: r.ID, Name: r.Name, ClusterName: r.ClusterName, Status: r.Status, LastHeartbeat: microPtr(r.LastHeartbeat),
		K8sReachable: r.K8sReachable, K8sLatencyMS: r.K8sLatencyMS, Assigned: r.Assigned, PendingObjects: r.Pending,
		HealthFailing: r.Failing, HealthDegraded: r.Degraded, PendingWorkOrders: r.PendingOrders, ClaimedWorkOrders: r.ClaimedOrders,
		LastEventAt: microPtr(r.LastEventAt),
	}
}

// Fleet implements ports.Insights.
func (r insights) Fleet(ctx context.Context, scope tenancy.Scope, ids []agent.ID) ([]fleet.Record, error) {
	query, args, ok := views{listFleet, listFleetOfGenerator, fleetItself}.of(scope)
	if ids != nil {
		query, args, ok = views{someFleet, someFleetOfGenerator, someFleetItself}.of(scope)
		args = append(args, uids(ids))
	}
	if !ok {
		return nil, nil
	}
	rows, err := many[fleetRow](ctx, r.s, "list fleet", query, args...)
	return convert(rows, err, fleetRow.record)
}

const getAgentEvent = `SELECT ` + agentEventColumns + ` FROM agent_events WHERE id = $1`

// Event implements ports.Insights.
func (r insights) Event(ctx context.Context, id agent.EventID) (agent.Event, error) {
	row, err := one[agentEventRow](ctx, r.s, "get agent event", notFound("agent_event_not_found", "agent event", id), getAgentEvent, uid(id))
	return row.event(), err
}

const (
	listFeed        = `SELECT e.id, e.agent_id, e.object_id, e.event_type, e.status, e.message, e.count, e.created_at, e.updated_at, e.ordinal FROM agent_events e WHERE true`
	countFeed       = `SELECT count(*) FROM agent_events e WHERE true`
	feedOfGenerator = ` AND EXISTS (SELECT FROM deployment_objects o JOIN stacks s ON s.id = o.stack_id WHERE o.id = e.object_id AND s.generator_id = ?)`
	feedOfAgent     = ` AND e.agent_id = ?`
)

func feedPages() listing[agentEventRow, agent.Event] {
	return listing[agentEventRow, agent.Event]{
		list: agent.EventList(), act: "read feed of agent events", rows: listFeed, count: countFeed,
		sorts: map[string]string{"created_at": "e.ordinal"}, alone: true,
		filters: map[string]string{
			"agent_id": feedOfAgent, "deployment_object_id": " AND e.object_id = ?", "event_type": " AND e.event_type = ?", "status": " AND e.status = ?",
			"generator_id": feedOfGenerator,
		},
		to: agentEventRow.event,
	}
}

// Feed implements ports.Insights.
func (r insights) Feed(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Event], error) {
	return feedPages().page(ctx, r.s, views{"", feedOfGenerator, feedOfAgent}.only(scope), q)
}
