package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type facts struct{ s session }

type clusterRow struct {
	Agent       agent.ID       `db:"id"`
	Name        string         `db:"cluster_name"`
	Version     int64          `db:"version"`
	Status      agent.Status   `db:"status"`
	Labels      pq.StringArray `db:"labels"`
	Annotations []byte         `db:"annotations"`
	Generators  pq.StringArray `db:"generators"`
	Targets     pq.StringArray `db:"targets"`
	Load        int            `db:"load"`
	knownRow
}

const selectClusters = `SELECT a.id, a.cluster_name, a.version, a.status,
	ARRAY(SELECT l.label FROM agent_labels l WHERE l.agent_id = a.id) AS labels,
	COALESCE((SELECT jsonb_object_agg(n.key, n.value) FROM agent_annotations n WHERE n.agent_id = a.id), '{}') AS annotations,
	ARRAY(SELECT r.generator_id FROM registrations r WHERE r.agent_id = a.id AND r.state = 'approved') AS generators,
	ARRAY(SELECT t.stack_id FROM agent_targets t WHERE t.agent_id = a.id) AS targets,
	CASE WHEN v.counted_in = v.revision AND v.assigned IS NOT NULL THEN v.assigned
		ELSE (SELECT count(*) FROM assignments x WHERE x.agent_id = a.id AND x.state = 'assigned') END AS load, ` + knownColumns + `
	FROM agents a LEFT JOIN agent_revisions v ON v.agent_id = a.id` + knownJoins + ` WHERE a.deleted_at IS NULL`

const (
	allClusters  = selectClusters + ` ORDER BY a.id`
	someClusters = selectClusters + ` AND a.id = ANY ($1::uuid[]) ORDER BY a.id`
)

// Clusters implements ports.Facts; they come by agent id.
func (r facts) Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error) {
	rows, err := some[clusterRow](ctx, r.s, "read clusters", allClusters, someClusters, ids)
	if err != nil {
		return nil, err
	}
	out := make([]placement.Cluster, len(rows))
	for i, row := range rows {
		c := placement.Cluster{
			Agent: row.Agent, Name: row.Name, Version: row.Version, Status: row.Status,
			Labels: set[string](row.Labels), Generators: set[tenancy.GeneratorID](row.Generators), Targets: set[stack.ID](row.Targets),
		}
		if err := json.Unmarshal(row.Annotations, &c.Annotations); err != nil {
			return nil, fmt.Errorf("read annotations of agent %s: %w", row.Agent, err)
		}
		k, err := row.known()
		if err != nil {
			return nil, fmt.Errorf("cluster of agent %s: %w", row.Agent, err)
		}
		c.Reported, c.ReportedAt, c.Taints, c.Cordon, c.Drain, c.UnreachableSince, c.Load = k.Status, k.ReportedAt, k.Taints, k.Cordon, k.Drain, k.UnreachableSince, row.Load
		out[i] = c
	}
	return out, nil
}

type subjectRow struct {
	Stack       stack.ID            `db:"subject_id"`
	Name        string              `db:"name"`
	Generator   tenancy.GeneratorID `db:"generator_id"`
	Version     int64               `db:"version"`
	DeletedAt   *time.Time          `db:"deleted_at"`
	Labels      pq.StringArray      `db:"labels"`
	Annotations []byte              `db:"annotations"`
	Generation  int64               `db:"generation"`
	Approved    int64               `db:"approved"`
	Hold        []byte              `db:"hold"`
	Blocked     []byte              `db:"blocked"`
	Followed    []byte              `db:"followed"`
	Moved       []byte              `db:"moved"`
	Newest      []byte              `db:"newest"`
	Treatment   treatmentColumn     `db:"treatment"`
	refRow
}

const selectSubjects = `SELECT s.id AS subject_id, s.name, s.generator_id, s.treatment, s.version, s.deleted_at,
	ARRAY(SELECT l.label FROM stack_labels l WHERE l.stack_id = s.id) AS labels,
	COALESCE((SELECT jsonb_object_agg(n.key, n.value) FROM stack_annotations n WHERE n.stack_id = s.id), '{}') AS annotations,
	p.generation, p.approved, p.hold, p.blocked, p.followed, to_jsonb(p.moved) AS moved, ` + refColumns + `,
	(SELECT jsonb_build_object('ID', o.id, 'Stack', o.stack_id, 'Sequence', o.sequence_id, 'Checksum', encode(o.checksum, 'hex'),
			'Size', o.size, 'Traceparent', o.traceparent, 'Marker', o.is_deletion_marker,
			'SubmittedAt', o.submitted_at, 'CreatedAt', o.created_at, 'UpdatedAt', o.updated_at)
		FROM deployment_objects o WHERE o.stack_id = s.id AND o.deleted_at IS NULL ORDER BY o.sequence_id DESC LIMIT 1) AS newest
	FROM stacks s JOIN stack_placements p ON p.stack_id = s.id` + reachStack + `
	WHERE (s.deleted_at IS NULL OR EXISTS (SELECT FROM assignments x WHERE x.stack_id = s.id))`

const (
	allSubjects  = selectSubjects + ` ORDER BY s.id`
	someSubjects = selectSubjects + ` AND s.id = ANY ($1::uuid[]) ORDER BY s.id`
)

// Subjects implements ports.Facts; they come by stack id.
func (r facts) Subjects(ctx context.Context, ids []stack.ID) ([]placement.Subject, error) {
	rows, err := some[subjectRow](ctx, r.s, "read subjects", allSubjects, someSubjects, ids)
	if err != nil {
		return nil, err
	}
	out := make([]placement.Subject, len(rows))
	for i, row := range rows {
		if out[i], err = row.subject(); err != nil {
			return nil, fmt.Errorf("read stack %s: %w", row.Stack, err)
		}
	}
	return out, nil
}

func (r subjectRow) subject() (placement.Subject, error) {
	p := placement.Subject{
		Stack: r.Stack, Name: r.Name, Generator: r.Generator, Version: r.Version, Deleted: r.DeletedAt != nil, DeletedAt: microPtr(r.DeletedAt), Labels: set[string](r.Labels),
		Generation: r.Generation, Approved: r.Approved, Treatment: stack.Treatment(r.Treatment), Policy: r.ref(),
	}
	if err := json.Unmarshal(r.Annotations, &p.Annotations); err != nil {
		return p, fmt.Errorf("annotations: %w", err)
	}
	hold, err := holdOf(r.Hold)
	if err != nil {
		return p, err
	}
	p.Hold = hold
	if r.Blocked != nil {
		if err := json.Unmarshal(r.Blocked, &p.Blocked); err != nil {
			return p, fmt.Errorf("which clusters keep what they have: %w", err)
		}
	}
	if r.Followed != nil {
		if err := json.Unmarshal(r.Followed, &p.Decided); err != nil {
			return p, fmt.Errorf("what its decision followed: %w", err)
		}
	}
	if err := json.Unmarshal(r.Moved, &p.Moved); err != nil {
		return p, fmt.Errorf("when it moved: %w", err)
	}
	for i, t := range p.Moved {
		p.Moved[i] = micro(t)
	}
	if len(p.Moved) == 0 {
		p.Moved = nil
	}
	if r.Newest == nil {
		return p, nil
	}
	var o stack.Object
	if err := json.Unmarshal(r.Newest, &o); err != nil {
		return p, fmt.Errorf("newest object: %w", err)
	}
	o.SubmittedAt, o.CreatedAt, o.UpdatedAt = micro(o.SubmittedAt), micro(o.CreatedAt), micro(o.UpdatedAt)
	p.Newest = &o
	return p, nil
}

const selectPrior = `SELECT x.agent_id, x.stack_id, x.object_id, x.variant, x.treatment, x.state, x.revision, x.reason, x.traceparent, x.since, COALESCE(x.placed, x.since) AS placed
	FROM assignments x`

const somePrior = selectPrior + ` WHERE x.stack_id = ANY ($1::uuid[])`

// Prior implements ports.Facts.
func (r facts) Prior(ctx context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error) {
	rows, err := some[assignmentRow](ctx, r.s, "read assignments", selectPrior, somePrior, ids)
	if err != nil {
		return nil, err
	}
	out := map[stack.ID]placement.Prior{}
	for _, row := range rows {
		if out[row.Stack] == nil {
			out[row.Stack] = placement.Prior{}
		}
		out[row.Stack][row.Agent] = row.assignment()
	}
	return out, nil
}

// some returns the rows of the given ids, or all if ids is nil.
func some[R any, T ~string](ctx context.Context, s session, act, all, byID string, ids []T) ([]R, error) {
	if ids == nil {
		return many[R](ctx, s, act, all)
	}
	return many[R](ctx, s, act, byID, uids(ids))
}

func set[T ~string](list []string) map[T]bool {
	out := make(map[T]bool, len(list))
	for _, v := range list {
		out[T(v)] = true
	}
	return out
}
