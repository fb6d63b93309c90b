package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type clusters struct{ s session }

// knownRow is what is known of a cluster, by knownColumns and knownJoins on agents a.
type knownRow struct {
	CordonedAt       *time.Time `db:"cordoned_at"`
	CordonedBy       string     `db:"cordoned_by"`
	CordonReason     string     `db:"cordon_reason"`
	UnreachableSince *time.Time `db:"unreachable_since"`
	ClusterStatus    []byte     `db:"cluster_status"`
	ReportedAt       *time.Time `db:"status_reported_at"`
	ChangedAt        *time.Time `db:"status_changed_at"`
	Taints           []byte     `db:"taints"`
	DrainSince       *time.Time `db:"drain_since"`
	DrainBy          *string    `db:"drain_by"`
	DrainReason      *string    `db:"drain_reason"`
	DrainBudget      *int       `db:"drain_budget"`
	Released         []byte     `db:"released"`
}

const (
	knownColumns = `a.cordoned_at, a.cordoned_by, a.cordon_reason, a.unreachable_since,
	cs.status AS cluster_status, cs.reported_at AS status_reported_at, cs.changed_at AS status_changed_at,
	(SELECT jsonb_agg(jsonb_build_object('key', t.key, 'value', t.value, 'effect', t.effect, 'since', t.since) ORDER BY t.key, t.effect)
		FROM agent_taints t WHERE t.agent_id = a.id) AS taints,
	dr.since AS drain_since, dr.requested_by AS drain_by, dr.reason AS drain_reason, dr.budget AS drain_budget,
	(SELECT jsonb_object_agg(ds.stack_id, ds.released_at) FROM drain_stacks ds WHERE ds.agent_id = dr.agent_id) AS released`
	knownJoins = ` LEFT JOIN cluster_status cs ON cs.agent_id = a.id LEFT JOIN drains dr ON dr.agent_id = a.id`
)

func (r knownRow) known() (cluster.Known, error) {
	k := cluster.Known{ReportedAt: microPtr(r.ReportedAt), ChangedAt: microPtr(r.ChangedAt), UnreachableSince: microPtr(r.UnreachableSince)}
	if r.ClusterStatus != nil {
		if err := json.Unmarshal(r.ClusterStatus, &k.Status); err != nil {
			return k, fmt.Errorf("read status: %w", err)
		}
	}
	if r.Taints != nil {
		if err := json.Unmarshal(r.Taints, &k.Taints); err != nil {
			return k, fmt.Errorf("read taints: %w", err)
		}
		for i := range k.Taints {
			k.Taints[i].Since = micro(k.Taints[i].Since)
		}
	}
	if r.CordonedAt != nil {
		k.Cordon = &cluster.Cordon{Since: micro(*r.CordonedAt), By: r.CordonedBy, Reason: r.CordonReason}
	}
	if r.DrainSince != nil {
		k.Drain = &cluster.Drain{Since: micro(*r.DrainSince), By: *r.DrainBy, Reason: *r.DrainReason, Budget: *r.DrainBudget}
	}
	if k.Drain != nil && r.Released != nil {
		if err := json.Unmarshal(r.Released, &k.Drain.Released); err != nil {
			return k, fmt.Errorf("read what a drain has released: %w", err)
		}
		for s, at := range k.Drain.Released {
			k.Drain.Released[s] = micro(at)
		}
	}
	return k, nil
}

type knownAgentRow struct {
	Agent agent.ID `db:"id"`
	knownRow
}

const selectKnown = `SELECT a.id, ` + knownColumns + ` FROM agents a` + knownJoins + ` WHERE a.deleted_at IS NULL`

const (
	knownOfGenerator = selectKnown + ` AND a.id IN (SELECT r.agent_id FROM registrations r WHERE r.generator_id = $1 AND r.state = 'approved')`
	knownItself      = selectKnown + ` AND a.id = $1`
	someIDs          = ` AND a.id = ANY ($1::uuid[])`
	someOfIDs        = ` AND a.id = ANY ($2::uuid[])`

	someKnown            = selectKnown + someIDs
	someKnownOfGenerator = knownOfGenerator + someOfIDs
	someKnownItself      = knownItself + someOfIDs
)

// Known implements ports.Clusters.
func (r clusters) Known(ctx context.Context, scope tenancy.Scope, ids []agent.ID) (map[agent.ID]cluster.Known, error) {
	query, args, ok := views{selectKnown, knownOfGenerator, knownItself}.of(scope)
	if ids != nil {
		query, args, ok = views{someKnown, someKnownOfGenerator, someKnownItself}.of(scope)
		args = append(args, uids(ids))
	}
	if !ok {
		return map[agent.ID]cluster.Known{}, nil
	}
	rows, err := many[knownAgentRow](ctx, r.s, "read what is known of clusters", query, args...)
	if err != nil {
		return nil, err
	}
	out := make(map[agent.ID]cluster.Known, len(rows))
	for _, row := range rows {
		if out[row.Agent], err = row.known(); err != nil {
			return nil, fmt.Errorf("cluster of agent %s: %w", row.Agent, err)
		}
	}
	return out, nil
}

const (
	repeatStatus = `UPDATE cluster_status SET reported_at = $3 WHERE agent_id = $1 AND digest = $2`
	storeStatus  = `INSERT INTO cluster_status (agent_id, status, digest, reported_at, changed_at) VALUES ($1, $2, $3, $4, $4)
	ON CONFLICT (agent_id) DO UPDATE SET status = EXCLUDED.status, digest = EXCLUDED.digest, reported_at = EXCLUDED.reported_at, changed_at = EXCLUDED.changed_at`
)

// Report implements ports.Clusters. What is repeated is held alive by the row's own key: it goes with the agent.
func (r clusters) Report(ctx context.Context, a agent.ID, s cluster.Status, at time.Time) (bool, error) {
	digest, err := s.Digest()
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return false, fmt.Errorf("encode status: %w", err)
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		n, err := in.exec(ctx, "repeat cluster status", repeatStatus, uid(a), digest[:], micro(at))
		if err != nil || n > 0 {
			return false, err
		}
		if err := in.touchLiveAgent(ctx, a); err != nil {
			return false, err
		}
		_, err = in.exec(ctx, "store cluster status", storeStatus, uid(a), string(text), digest[:], micro(at))
		return err == nil, err
	})
}

const addTaint = `INSERT INTO agent_taints AS t (agent_id, key, effect, value, since) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (agent_id, key, effect) DO UPDATE SET value = EXCLUDED.value, since = EXCLUDED.since WHERE t.value <> EXCLUDED.value`

// Taint implements ports.Clusters.
func (r clusters) Taint(ctx context.Context, a agent.ID, t cluster.Taint) (bool, error) {
	return r.change(ctx, a, "taint cluster", addTaint, uid(a), t.Key, string(t.Effect), t.Value, micro(t.Since))
}

const removeTaint = `DELETE FROM agent_taints WHERE agent_id = $1 AND key = $2 AND effect = $3`

// Untaint implements ports.Clusters.
func (r clusters) Untaint(ctx context.Context, a agent.ID, key string, e cluster.Effect) error {
	changed, err := r.change(ctx, a, "remove taint of cluster", removeTaint, uid(a), key, string(e))
	if err == nil && !changed {
		return notFound("agent_taint_not_found", "taint", key+":"+string(e))
	}
	return err
}

const (
	cordonAgent = `UPDATE agents SET cordoned_at = $2, cordoned_by = $3, cordon_reason = $4 WHERE id = $1 AND cordoned_at IS NULL`
	uncordon    = `UPDATE agents SET cordoned_at = NULL, cordoned_by = '', cordon_reason = ''
	WHERE id = $1 AND (cordoned_at IS NOT NULL OR EXISTS (SELECT FROM drains d WHERE d.agent_id = $1))`
	endDrain = `DELETE FROM drains WHERE agent_id = $1`
)

// Cordon implements ports.Clusters.
func (r clusters) Cordon(ctx context.Context, a agent.ID, c *cluster.Cordon) (bool, error) {
	if c != nil {
		return r.change(ctx, a, "cordon cluster", cordonAgent, uid(a), micro(c.Since), c.By, c.Reason)
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		changed, err := clusters{in}.change(ctx, a, "uncordon cluster", uncordon, uid(a))
		if err != nil || !changed {
			return false, err
		}
		_, err = in.exec(ctx, "end drain", endDrain, uid(a))
		return err == nil, err
	})
}

// change runs a statement on what belongs to a live agent, and grows the agent's version if it changed a row.
func (r clusters) change(ctx context.Context, a agent.ID, act, query string, args ...any) (bool, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		if err := in.lockAgent(ctx, a); err != nil {
			return false, err
		}
		n, err := in.exec(ctx, act, query, args...)
		if err != nil || n == 0 {
			return false, err
		}
		return true, in.touchAgent(ctx, a)
	})
}

const lockAgent = `SELECT 1 FROM agents WHERE id = $1 AND deleted_at IS NULL FOR UPDATE`

// lockAgent makes the changes of a live agent's cluster serial until the transaction ends.
func (s session) lockAgent(ctx context.Context, id agent.ID) error {
	_, err := one[int](ctx, s, "lock agent", noAgent(id), lockAgent, uid(id))
	return err
}

type drains struct{ s session }

const startDrain = `INSERT INTO drains AS d (agent_id, since, requested_by, reason, budget) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (agent_id) DO UPDATE SET requested_by = EXCLUDED.requested_by, reason = EXCLUDED.reason, budget = EXCLUDED.budget
	WHERE (d.requested_by, d.reason, d.budget) IS DISTINCT FROM (EXCLUDED.requested_by, EXCLUDED.reason, EXCLUDED.budget)`

// Start implements ports.Drains.
func (r drains) Start(ctx context.Context, a agent.ID, d cluster.Drain) (bool, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (bool, error) {
		changed, err := clusters{in}.change(ctx, a, "start drain", startDrain, uid(a), micro(d.Since), d.By, d.Reason, d.Budget)
		if err != nil || !changed {
			return false, err
		}
		_, err = in.exec(ctx, "cordon cluster", cordonAgent, uid(a), micro(d.Since), d.By, d.Reason)
		return err == nil, err
	})
}

// End implements ports.Drains.
func (r drains) End(ctx context.Context, a agent.ID) (bool, error) {
	return clusters(r).change(ctx, a, "end drain", endDrain, uid(a))
}

const runningDrains = `SELECT a.id, ` + knownColumns + ` FROM drains d0 JOIN agents a ON a.id = d0.agent_id` + knownJoins + ` WHERE a.deleted_at IS NULL`

// Running implements ports.Drains.
func (r drains) Running(ctx context.Context) (map[agent.ID]cluster.Drain, error) {
	rows, err := many[knownAgentRow](ctx, r.s, "read drains", runningDrains)
	if err != nil {
		return nil, err
	}
	out := make(map[agent.ID]cluster.Drain, len(rows))
	for _, row := range rows {
		k, err := row.known()
		if err != nil {
			return nil, fmt.Errorf("drain of agent %s: %w", row.Agent, err)
		}
		out[row.Agent] = *k.Drain
	}
	return out, nil
}

const (
	drainRuns     = `SELECT 1 FROM drains WHERE agent_id = $1`
	releaseStacks = `INSERT INTO drain_stacks (agent_id, stack_id, released_at)
	SELECT $1, s, $3 FROM unnest($2::uuid[]) AS s ON CONFLICT (agent_id, stack_id) DO NOTHING`
)

// Release implements ports.Drains.
func (r drains) Release(ctx context.Context, a agent.ID, stacks []stack.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		missing := notFound("drain_not_found", "drain of agent", a)
		if err := in.lockAgent(ctx, a); err != nil {
			return missing
		}
		if _, err := one[int](ctx, in, "find drain", missing, drainRuns, uid(a)); err != nil {
			return err
		}
		for _, s := range stacks {
			if uid(s) == nil {
				return noStack(s)
			}
		}
		n, err := in.exec(ctx, "release stacks of a drain", releaseStacks, uid(a), uids(stacks), micro(at))
		if err != nil || n == 0 {
			return err
		}
		return in.touchAgent(ctx, a)
	})
}

type reachability struct{ s session }

const silence = `SELECT count(*) AS watched, count(a.unreachable_since) AS unreachable,
		array_agg(a.id::text ORDER BY a.id) FILTER (WHERE a.unreachable_since IS NULL AND l.last_heartbeat < now() - $1::interval) AS lost,
		array_agg(a.id::text ORDER BY a.id) FILTER (WHERE a.unreachable_since IS NOT NULL AND l.last_heartbeat >= now() - $1::interval) AS back
	FROM agents a JOIN agent_liveness l ON l.agent_id = a.id WHERE a.deleted_at IS NULL AND l.last_heartbeat IS NOT NULL`

type silenceRow struct {
	Watched     int            `db:"watched"`
	Unreachable int            `db:"unreachable"`
	Lost        pq.StringArray `db:"lost"`
	Back        pq.StringArray `db:"back"`
}

// Silence implements ports.Reachability.
func (r reachability) Silence(ctx context.Context, after time.Duration) (cluster.Silence, error) {
	row, err := one[silenceRow](ctx, r.s, "look for silent agents", nil, silence, interval(after))
	if err != nil {
		return cluster.Silence{}, err
	}
	return cluster.Silence{Watched: row.Watched, Unreachable: row.Unreachable, Lost: idsOf[agent.ID](row.Lost), Back: idsOf[agent.ID](row.Back)}, nil
}

func idsOf[T ~string](list []string) []T {
	var out []T
	for _, v := range list {
		out = append(out, T(v))
	}
	return out
}

// Rows are locked by id, so that two sweeps wait for each other instead of hindering each other.
const (
	loseAgents = `WITH silent AS (SELECT a.id, l.last_heartbeat FROM agents a JOIN agent_liveness l ON l.agent_id = a.id
		WHERE a.id = ANY ($1::uuid[]) AND a.deleted_at IS NULL AND a.unreachable_since IS NULL AND l.last_heartbeat < now() - $2::interval
		ORDER BY a.id FOR UPDATE OF a)
	UPDATE agents u SET unreachable_since = s.last_heartbeat, version = u.version + 1 FROM silent s WHERE u.id = s.id RETURNING u.id`
	findAgents = `WITH heard AS (SELECT a.id FROM agents a JOIN agent_liveness l ON l.agent_id = a.id
		WHERE a.id = ANY ($1::uuid[]) AND a.deleted_at IS NULL AND a.unreachable_since IS NOT NULL AND l.last_heartbeat >= now() - $2::interval
		ORDER BY a.id FOR UPDATE OF a)
	UPDATE agents u SET unreachable_since = NULL, version = u.version + 1 FROM heard h WHERE u.id = h.id RETURNING u.id`
)

// Lose implements ports.Reachability.
func (r reachability) Lose(ctx context.Context, agents []agent.ID, after time.Duration) ([]agent.ID, error) {
	return r.mark(ctx, "mark silent agents", loseAgents, agents, after)
}

// Find implements ports.Reachability.
func (r reachability) Find(ctx context.Context, agents []agent.ID, after time.Duration) ([]agent.ID, error) {
	return r.mark(ctx, "take the mark from agents", findAgents, agents, after)
}

func (r reachability) mark(ctx context.Context, act, query string, agents []agent.ID, after time.Duration) ([]agent.ID, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) ([]agent.ID, error) {
		return many[agent.ID](ctx, in, act, query, uids(agents), interval(after))
	})
}
