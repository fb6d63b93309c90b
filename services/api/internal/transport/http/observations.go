package http

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	retentionJSON struct {
		CeilingSeconds   int64      `json:"retention_ceiling_seconds"`
		EffectiveSeconds int64      `json:"effective_retention_seconds"`
		Oldest           *time.Time `json:"oldest_available_ts"`
		Hint             string     `json:"long_term_sink_hint"`
	}
	kubeEventsJSON struct {
		Retention retentionJSON   `json:"retention"`
		Events    []kubeEventJSON `json:"events"`
	}
	podLogsJSON struct {
		Retention retentionJSON `json:"retention"`
		Lines     []podLineJSON `json:"lines"`
		Gaps      []podGapJSON  `json:"gaps"`
	}
	involvedJSON struct {
		APIVersion *string `json:"api_version"`
		Kind       *string `json:"kind"`
		Namespace  *string `json:"namespace"`
		Name       *string `json:"name"`
		UID        *string `json:"uid"`
	}
	kubeEventJSON struct {
		ID         observation.ID `json:"id"`
		AgentID    agent.ID       `json:"agent_id"`
		StackID    stack.ID       `json:"stack_id"`
		ObservedAt time.Time      `json:"observed_at"`
		Reason     string         `json:"reason"`
		Message    string         `json:"message"`
		EventType  string         `json:"event_type"`
		Source     *string        `json:"source"`
		Involved   involvedJSON   `json:"involved_object"`
		CreatedAt  time.Time      `json:"created_at"`
	}
	podLineJSON struct {
		ID        observation.ID `json:"id"`
		AgentID   agent.ID       `json:"agent_id"`
		StackID   stack.ID       `json:"stack_id"`
		Namespace string         `json:"namespace"`
		Pod       string         `json:"pod"`
		Container string         `json:"container"`
		TS        time.Time      `json:"ts"`
		Line      string         `json:"line"`
		CreatedAt time.Time      `json:"created_at"`
	}
	podGapJSON struct {
		AgentID agent.ID              `json:"agent_id"`
		StackID stack.ID              `json:"stack_id"`
		Since   time.Time             `json:"since_ts"`
		Dropped int64                 `json:"dropped_count"`
		Reason  observation.GapReason `json:"reason"`
	}
)

// sinkHint is part of the public contract.
const sinkHint = "Brokkr keeps events and logs for hours only. For more, ship them from the cluster to a log store such as Loki, Elasticsearch or Datadog."

func retentionOf(keep time.Duration, oldest *time.Time) retentionJSON {
	return retentionJSON{CeilingSeconds: int64(observation.Ceiling.Seconds()), EffectiveSeconds: int64(keep.Seconds()), Oldest: oldest, Hint: sinkHint}
}

func kubeEventOf(e observation.Event) kubeEventJSON {
	o := e.Object
	return kubeEventJSON{
		ID: e.ID, AgentID: e.Agent, StackID: e.Stack, ObservedAt: e.ObservedAt, Reason: e.Reason, Message: e.Message, EventType: e.Type,
		Source: orNull(e.Source), CreatedAt: e.CreatedAt,
		Involved: involvedJSON{APIVersion: orNull(o.APIVersion), Kind: orNull(o.Kind), Namespace: orNull(o.Namespace), Name: orNull(o.Name), UID: orNull(o.UID)},
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func podLineOf(l observation.Line) podLineJSON {
	return podLineJSON{ID: l.ID, AgentID: l.Agent, StackID: l.Stack, Namespace: l.Namespace, Pod: l.Pod, Container: l.Container, TS: l.At, Line: l.Text, CreatedAt: l.CreatedAt}
}

func podGapOf(g observation.Gap) podGapJSON {
	return podGapJSON{AgentID: g.Agent, StackID: g.Stack, Since: g.Since, Dropped: g.Dropped, Reason: g.Reason}
}

// history is a question for what is kept of a stack.
type history struct {
	since time.Time
	limit int
}

// stackHistory reads {id}, ?since and ?limit.
func stackHistory(r *http.Request) (of[stack.ID, history], error) {
	var h history
	s, err := pathID[stack.ID](r, "id")
	if err != nil {
		return of[stack.ID, history]{}, err
	}
	q := r.URL.Query()
	if text := q.Get("since"); text != "" {
		if h.since, err = time.Parse(time.RFC3339, text); err != nil {
			return of[stack.ID, history]{}, fault.Newf(fault.Invalid, "invalid_since", "since %q is not a moment such as 2026-03-01T12:00:00Z", text)
		}
	}
	if text := q.Get("limit"); text != "" {
		if h.limit, err = strconv.Atoi(text); err != nil || h.limit < 1 {
			return of[stack.ID, history]{}, fault.Newf(fault.Invalid, "invalid_limit", "limit %q is not a number above 0", text)
		}
	}
	return of[stack.ID, history]{id: s, body: h}, nil
}

func observationRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		get("list_telemetry_events", "/stacks/{id}/events", view(GeneratorOwner), stackHistory, func(ctx context.Context, r of[stack.ID, history]) (kubeEventsJSON, error) {
			out, err := a.StackEvents(ctx, who(ctx), r.id, r.body.since, r.body.limit)
			return kubeEventsJSON{Retention: retentionOf(a.Keep, out.Oldest), Events: each(out.List, kubeEventOf)}, err
		}),
		get("list_telemetry_logs", "/stacks/{id}/logs", operate(GeneratorOwner), stackHistory, func(ctx context.Context, r of[stack.ID, history]) (podLogsJSON, error) {
			out, err := a.StackLogs(ctx, who(ctx), r.id, r.body.since, r.body.limit)
			return podLogsJSON{Retention: retentionOf(a.Keep, out.Oldest), Lines: each(out.Lines, podLineOf), Gaps: each(out.Gaps, podGapOf)}, err
		}),
	}
}
