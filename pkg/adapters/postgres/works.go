package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type works struct{ s session }

// Kinds of work, as pendingWork names them.
const (
	kindWorkOrders  = "work_orders"
	kindWebhooks    = "webhooks"
	kindDiagnostics = "diagnostics"
)

// pendingWork counts for the agents $1 what they could take at $2. Each kind of work is one part: agent, kind, how many,
// and since when the newest of it.
const pendingWork = `SELECT agent_id, kind, n, newest, $2::timestamptz AS asked FROM (` + pendingWorkOrders + ` UNION ALL ` + pendingWebhooks + ` UNION ALL ` + pendingDiagnostics + `) AS parts`

// A claim that is two minutes old may be made anew (diagnostic.ClaimFor).
const pendingDiagnostics = `SELECT d.agent_id, 'diagnostics' AS kind, count(*) AS n,
		max(COALESCE(d.claimed_at + interval '2 minutes', d.created_at)) AS newest
	FROM diagnostic_requests d WHERE d.agent_id = ANY ($1::uuid[]) AND d.status <> 'completed' AND d.expires_at > $2::timestamptz
		AND (d.status = 'pending' OR d.claimed_at <= $2::timestamptz - interval '2 minutes')
	GROUP BY d.agent_id`

const pendingWorkOrders = `SELECT m.agent_id, 'work_orders' AS kind, count(*) AS n, max(m.available_at) AS newest FROM (
		SELECT t.agent_id, w.id, w.available_at FROM work_orders w JOIN work_order_agents t ON t.work_order_id = w.id
			WHERE w.status = 'PENDING' AND t.agent_id = ANY ($1::uuid[])
		UNION SELECT l.agent_id, w.id, w.available_at FROM work_orders w JOIN work_order_labels t ON t.work_order_id = w.id
			JOIN agent_labels l ON l.label = t.label AND l.agent_id = ANY ($1::uuid[]) WHERE w.status = 'PENDING'
		UNION SELECT n.agent_id, w.id, w.available_at FROM work_orders w JOIN work_order_annotations t ON t.work_order_id = w.id
			JOIN agent_annotations n ON n.key = t.key AND n.value = t.value AND n.agent_id = ANY ($1::uuid[]) WHERE w.status = 'PENDING'
	) AS m GROUP BY m.agent_id`

// Pending implements ports.Works.
func (r works) Pending(ctx context.Context, ids []agent.ID, now time.Time) (map[agent.ID]ports.Pending, error) {
	rows, err := many[struct {
		Agent  agent.ID  `db:"agent_id"`
		Kind   string    `db:"kind"`
		N      int       `db:"n"`
		Newest time.Time `db:"newest"`
		Asked  time.Time `db:"asked"`
	}](ctx, r.s, "count pending work", pendingWork, uids(ids), micro(now))
	if err != nil {
		return nil, err
	}
	out := make(map[agent.ID]ports.Pending, len(rows))
	for _, row := range rows {
		p := out[row.Agent]
		p.Mark = max(p.Mark, row.Newest.UnixMicro())
		switch row.Kind {
		case kindWorkOrders:
			p.WorkOrders = row.N
		case kindWebhooks:
			p.Webhooks = row.N
		case kindDiagnostics:
			p.Diagnostics = row.N
		default:
			return nil, fmt.Errorf("count pending work: unknown kind %q", row.Kind)
		}
		out[row.Agent] = p
	}
	return out, nil
}

const ringWork = `SELECT pg_notify($1, p)::text FROM unnest($2::text[]) AS u (p)`

// Ring implements ports.Works.
func (r works) Ring(ctx context.Context, ids ...agent.ID) error {
	if len(ids) == 0 || len(ids) > ports.RingAtMost {
		ids = []agent.ID{""}
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "announce work", ringWork, ports.WorkGrew, pq.Array(texts(ids)))
		return err
	})
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
