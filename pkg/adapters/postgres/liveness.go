package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// beat is what several heartbeats of one agent come to.
type beat struct {
	agent     string
	at        time.Time
	reachable *bool
	latency   *int32
	reported  *time.Time // of reachable and latency
}

// fold merges heartbeats into one per agent, in order of time; it is sorted by agent, so that batches that run at the
// same time lock rows in the same order.
func fold(beats []agent.Heartbeat) []beat {
	inTime := slices.Clone(beats)
	slices.SortStableFunc(inTime, func(x, y agent.Heartbeat) int {
		return cmp.Or(cmp.Compare(x.Agent, y.Agent), x.At.Compare(y.At))
	})
	var out []beat
	for _, b := range inTime {
		if uid(b.Agent) == nil {
			continue
		}
		if len(out) == 0 || out[len(out)-1].agent != string(b.Agent) {
			out = append(out, beat{agent: string(b.Agent)})
		}
		last := &out[len(out)-1]
		last.at = micro(b.At)
		if b.K8sReachable != nil {
			last.reachable = b.K8sReachable
		}
		if b.K8sLatencyMS != nil {
			last.latency = b.K8sLatencyMS
		}
		if b.K8sReachable != nil || b.K8sLatencyMS != nil {
			at := last.at
			last.reported = &at
		}
	}
	return out
}

const storeBeats = `UPDATE agent_liveness l SET
		last_heartbeat = b.at,
		k8s_reachable = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_reachable ELSE COALESCE(b.reachable, l.k8s_reachable) END,
		k8s_latency_ms = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_latency_ms ELSE COALESCE(b.latency, l.k8s_latency_ms) END,
		k8s_reported_at = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_reported_at ELSE COALESCE(b.reported, l.k8s_reported_at) END
	FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::integer[], $5::timestamptz[]) AS b (agent_id, at, reachable, latency, reported)
	WHERE l.agent_id = b.agent_id AND (l.last_heartbeat IS NULL OR l.last_heartbeat <= b.at)`

// Beat implements ports.Agents.
func (r agents) Beat(ctx context.Context, beats []agent.Heartbeat) error {
	folded := fold(beats)
	if len(folded) == 0 {
		return ctx.Err()
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "store heartbeats", storeBeats,
			column(folded, func(b beat) string { return b.agent }),
			column(folded, func(b beat) time.Time { return b.at }),
			column(folded, func(b beat) *bool { return b.reachable }),
			column(folded, func(b beat) *int32 { return b.latency }),
			column(folded, func(b beat) *time.Time { return b.reported }))
		return err
	})
}
