package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// beat is what several heartbeats of one process of an agent come to.
type beat struct {
	agent     string
	boot      *string
	at        time.Time
	reachable *bool
	latency   *int32
	reported  *time.Time // of reachable and latency
}

// fold merges heartbeats into one per agent and process, in order of time. Each round has one of each agent, sorted, so that
// batches that run at the same time lock rows in the same order; there is a second round only if two processes take turns.
func fold(beats []agent.Heartbeat) [][]beat {
	inTime := slices.Clone(beats)
	slices.SortStableFunc(inTime, func(x, y agent.Heartbeat) int {
		return cmp.Or(cmp.Compare(x.Agent, y.Agent), x.At.Compare(y.At))
	})
	var rounds [][]beat
	turn := 0 // of the agent that is being folded: its latest beat ends that round
	for i, b := range inTime {
		if uid(b.Agent) == nil {
			continue
		}
		boot := uidPtr(b.Boot)
		switch {
		case i == 0 || inTime[i-1].Agent != b.Agent:
			turn = 0
			rounds = begin(rounds, turn, b.Agent, boot)
		case boot != nil && inTime[i-1].Boot != b.Boot:
			turn++
			rounds = begin(rounds, turn, b.Agent, boot)
		}
		last := &rounds[turn][len(rounds[turn])-1]
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
	return rounds
}

// begin adds an empty beat of the agent to the round.
func begin(rounds [][]beat, round int, a agent.ID, boot *string) [][]beat {
	if round == len(rounds) {
		rounds = append(rounds, nil)
	}
	rounds[round] = append(rounds[round], beat{agent: string(a), boot: boot})
	return rounds
}

// Gateways say when they heard an agent; silence is measured by the server's clock, so nothing is later than that.
// What becomes of boots, turned_at and duplicate_since is what agent.Turns says.
const storeBeats = `UPDATE agent_liveness l SET
		last_heartbeat = b.at,
		k8s_reachable = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_reachable ELSE COALESCE(b.reachable, l.k8s_reachable) END,
		k8s_latency_ms = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_latency_ms ELSE COALESCE(b.latency, l.k8s_latency_ms) END,
		k8s_reported_at = CASE WHEN l.last_heartbeat > b.reported THEN l.k8s_reported_at ELSE COALESCE(b.reported, l.k8s_reported_at) END,
		boots = CASE WHEN b.boot IS NULL OR b.boot = l.boots[1] THEN l.boots ELSE (b.boot || array_remove(l.boots, b.boot))[1:$8] END,
		turned_at = CASE WHEN b.boot = ANY (l.boots[2:]) THEN b.at WHEN l.turned_at >= b.at - $7::interval THEN l.turned_at END,
		duplicate_since = COALESCE(CASE WHEN l.turned_at >= b.at - $7::interval THEN l.duplicate_since END,
			CASE WHEN b.boot = ANY (l.boots[2:]) THEN b.at END)
	FROM (SELECT agent_id, LEAST(told_at, clock) AS at, reachable, latency, CASE WHEN told_reported > clock THEN clock ELSE told_reported END AS reported, boot
		FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::integer[], $5::timestamptz[], $6::uuid[])
			AS told (agent_id, told_at, reachable, latency, told_reported, boot), (SELECT clock_timestamp() OFFSET 0) AS here (clock)) b
	WHERE l.agent_id = b.agent_id AND (l.last_heartbeat IS NULL OR l.last_heartbeat <= b.at)`

// Beat implements ports.Agents.
func (r agents) Beat(ctx context.Context, beats []agent.Heartbeat) error {
	rounds := fold(beats)
	if len(rounds) == 0 {
		return ctx.Err()
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		for _, round := range rounds {
			_, err := in.exec(ctx, "store heartbeats", storeBeats,
				column(round, func(b beat) string { return b.agent }),
				column(round, func(b beat) time.Time { return b.at }),
				column(round, func(b beat) *bool { return b.reachable }),
				column(round, func(b beat) *int32 { return b.latency }),
				column(round, func(b beat) *time.Time { return b.reported }),
				column(round, func(b beat) *string { return b.boot }),
				fmt.Sprintf("%d seconds", int(agent.DuplicateFor.Seconds())), agent.KeptBoots)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
