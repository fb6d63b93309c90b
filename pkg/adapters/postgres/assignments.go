package postgres

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type assignments struct{ s session }

type assignmentRow struct {
	Agent       agent.ID          `db:"agent_id"`
	Stack       stack.ID          `db:"stack_id"`
	Object      stack.ObjectID    `db:"object_id"`
	Variant     []byte            `db:"variant"`
	Treatment   treatmentColumn   `db:"treatment"`
	State       delivery.State    `db:"state"`
	Revision    delivery.Revision `db:"revision"`
	Reason      string            `db:"reason"`
	Traceparent string            `db:"traceparent"`
	Since       time.Time         `db:"since"`
	Placed      time.Time         `db:"placed"`
}

func (r assignmentRow) assignment() delivery.Assignment {
	a := delivery.Assignment{
		Agent: r.Agent, Stack: r.Stack, Object: r.Object, Treatment: stack.Treatment(r.Treatment), State: r.State, Revision: r.Revision, Reason: r.Reason, Traceparent: r.Traceparent, Since: micro(r.Since), Placed: micro(r.Placed),
	}
	if r.Variant != nil {
		a.Variant = checksumOf(r.Variant)
	}
	return a
}

// wantedRow has a status only if one was reported.
type wantedRow struct {
	assignmentRow
	StackName      string              `db:"stack_name"`
	Generator      tenancy.GeneratorID `db:"generator_id"`
	Sequence       stack.Sequence      `db:"sequence_id"`
	Checksum       []byte              `db:"checksum"`
	Size           int64               `db:"size"`
	Marker         bool                `db:"is_deletion_marker"`
	Watched        bool                `db:"watched"`
	StatusObject   *stack.ObjectID     `db:"status_object_id"`
	StatusSequence *stack.Sequence     `db:"status_sequence_id"`
	Phase          *delivery.Phase     `db:"phase"`
	Health         *delivery.Health    `db:"health"`
	Message        *string             `db:"message"`
	ObservedAt     *time.Time          `db:"observed_at"`
	ReportedAt     *time.Time          `db:"reported_at"`
	StatusSince    *time.Time          `db:"status_since"`
}

func (r wantedRow) wanted() delivery.Wanted {
	w := delivery.Wanted{
		Assignment: r.assignment(), StackName: r.StackName, Generator: r.Generator, Sequence: r.Sequence,
		Checksum: checksumOf(r.Checksum), Size: r.Size, Marker: r.Marker, Watched: r.Watched,
	}
	if r.StatusObject != nil {
		w.Status = &delivery.Status{
			Agent: r.Agent, Stack: r.Stack, Object: *r.StatusObject, Sequence: *r.StatusSequence, Phase: *r.Phase, Health: *r.Health,
			Message: *r.Message, ObservedAt: micro(*r.ObservedAt), ReportedAt: micro(*r.ReportedAt), Since: micro(*r.StatusSince),
		}
	}
	return w
}

// In assignmentsOfAgent there is a row without an assignment if there is none at all: its stack is empty.
const (
	wantedColumns = `COALESCE(x.agent_id::text, '') AS agent_id, COALESCE(x.stack_id::text, '') AS stack_id,
	COALESCE(x.object_id::text, '') AS object_id, x.variant, x.treatment, COALESCE(x.state, '') AS state, COALESCE(x.revision, 0) AS revision,
	COALESCE(x.reason, '') AS reason, COALESCE(x.traceparent, '') AS traceparent, COALESCE(x.since, 'epoch') AS since, COALESCE(x.placed, x.since, 'epoch') AS placed,
	COALESCE(s.name, '') AS stack_name, COALESCE(s.generator_id::text, '') AS generator_id,
	COALESCE(o.sequence_id, 0) AS sequence_id, COALESCE(x.variant, o.checksum, '') AS checksum, COALESCE(b.size, o.size, 0) AS size,
	COALESCE(o.is_deletion_marker, false) AS is_deletion_marker,
	EXISTS (SELECT FROM rollout_watches rw WHERE rw.stack_id = x.stack_id) AS watched,
	t.object_id AS status_object_id, t.sequence_id AS status_sequence_id, t.phase, t.health, t.message,
	t.observed_at, t.reported_at, t.since AS status_since`
	wantedTables = `assignments x
	JOIN stacks s ON s.id = x.stack_id
	JOIN deployment_objects o ON o.id = x.object_id
	LEFT JOIN blobs b ON b.sha256 = x.variant
	LEFT JOIN assignment_status t ON t.agent_id = x.agent_id AND t.stack_id = x.stack_id`
)

// One statement, so that revision and assignments are of one moment.
const assignmentsOfAgent = `SELECT COALESCE(r.revision, 0) AS agent_revision, ` + wantedColumns + `
	FROM (SELECT $1::uuid AS agent_id) me
	LEFT JOIN agent_revisions r ON r.agent_id = me.agent_id
	LEFT JOIN (` + wantedTables + `) ON x.agent_id = me.agent_id
	ORDER BY o.sequence_id DESC, x.stack_id`

// OfAgent implements ports.Assignments.
func (r assignments) OfAgent(ctx context.Context, a agent.ID) (delivery.Revision, []delivery.Wanted, error) {
	rows, err := many[struct {
		AgentRevision delivery.Revision `db:"agent_revision"`
		wantedRow
	}](ctx, r.s, "list assignments of agent", assignmentsOfAgent, uid(a))
	if err != nil || len(rows) == 0 {
		return 0, nil, err
	}
	var out []delivery.Wanted
	for _, row := range rows {
		if row.Stack != "" {
			out = append(out, row.wanted())
		}
	}
	return rows[0].AgentRevision, out, nil
}

const assignmentsSince = `SELECT COALESCE(r.revision, 0) AS agent_revision,
	every.n, every.moments, ` + wantedColumns + `
	FROM (SELECT $1::uuid AS agent_id) me
	CROSS JOIN LATERAL (SELECT count(*) AS n, COALESCE(sum((extract(epoch FROM n.since) * 1000000)::bigint % 1000000007), 0)::bigint AS moments
		FROM assignments n WHERE n.agent_id = me.agent_id) every
	LEFT JOIN agent_revisions r ON r.agent_id = me.agent_id
	LEFT JOIN (` + wantedTables + `) ON x.agent_id = me.agent_id AND x.revision > $2
	ORDER BY o.sequence_id DESC, x.stack_id`

// Since implements ports.Assignments.
func (r assignments) Since(ctx context.Context, a agent.ID, since delivery.Revision) (delivery.Revision, []delivery.Wanted, delivery.Tally, error) {
	rows, err := many[struct {
		AgentRevision delivery.Revision `db:"agent_revision"`
		N             int               `db:"n"`
		Moments       int64             `db:"moments"`
		wantedRow
	}](ctx, r.s, "list newer assignments of agent", assignmentsSince, uid(a), int64(since))
	if err != nil || len(rows) == 0 {
		return 0, nil, delivery.Tally{}, err
	}
	var out []delivery.Wanted
	for _, row := range rows {
		if row.Stack != "" {
			out = append(out, row.wanted())
		}
	}
	return rows[0].AgentRevision, out, delivery.Tally{All: rows[0].N, Since: rows[0].Moments}, nil
}

const assignmentsOfStacks = `SELECT ` + wantedColumns + ` FROM ` + wantedTables + ` WHERE x.agent_id = $1 AND x.stack_id = ANY ($2::uuid[]) ORDER BY x.stack_id`

// Some implements ports.Assignments.
func (r assignments) Some(ctx context.Context, a agent.ID, stacks []stack.ID) ([]delivery.Wanted, error) {
	rows, err := many[wantedRow](ctx, r.s, "list assignments of agent and stacks", assignmentsOfStacks, uid(a), uids(stacks))
	return convert(rows, err, wantedRow.wanted)
}

const assignmentsOfStack = `SELECT ` + wantedColumns + ` FROM ` + wantedTables + ` WHERE x.stack_id = $1 ORDER BY x.agent_id`

// OfStack implements ports.Assignments.
func (r assignments) OfStack(ctx context.Context, s stack.ID) ([]delivery.Wanted, error) {
	rows, err := many[wantedRow](ctx, r.s, "list assignments of stack", assignmentsOfStack, uid(s))
	return convert(rows, err, wantedRow.wanted)
}

const revisionsOfAgents = `SELECT agent_id, revision FROM agent_revisions WHERE agent_id = ANY ($1::uuid[])`

type revisionRow struct {
	Agent    agent.ID          `db:"agent_id"`
	Revision delivery.Revision `db:"revision"`
}

// Revisions implements ports.Assignments.
func (r assignments) Revisions(ctx context.Context, ids []agent.ID) (map[agent.ID]delivery.Revision, error) {
	rows, err := many[revisionRow](ctx, r.s, "get revisions", revisionsOfAgents, uids(ids))
	return byAgent(rows), err
}

func byAgent(rows []revisionRow) map[agent.ID]delivery.Revision {
	out := make(map[agent.ID]delivery.Revision, len(rows))
	for _, row := range rows {
		out[row.Agent] = row.Revision
	}
	return out
}

const agentRefers = `SELECT EXISTS (SELECT FROM assignments x JOIN deployment_objects o ON o.id = x.object_id
	WHERE x.agent_id = $1 AND x.state = 'assigned' AND COALESCE(x.variant, o.checksum) = $2)`

// Refers implements ports.Assignments.
func (r assignments) Refers(ctx context.Context, a agent.ID, sum stack.Checksum) (bool, error) {
	return one[bool](ctx, r.s, "look for a reference to content", nil, agentRefers, uid(a), bytesOf(sum))
}
