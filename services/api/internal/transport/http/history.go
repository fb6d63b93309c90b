package http

import (
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	recordJSON struct {
		StackID    stack.ID        `json:"stack_id"`
		Generation int64           `json:"generation"`
		DecidedAt  time.Time       `json:"decided_at"`
		Cause      string          `json:"cause"`
		TraceID    string          `json:"trace_id"`
		ObjectID   *stack.ObjectID `json:"deployment_object_id"`
		Policy     *policyRefJSON  `json:"policy"`
		Hold       *placement.Hold `json:"hold"`
		Changes    []changeJSON    `json:"changes"`
	}
	changeJSON struct {
		AgentID  agent.ID       `json:"agent_id"`
		State    delivery.State `json:"state"`
		ObjectID stack.ObjectID `json:"deployment_object_id"`
		Reason   string         `json:"reason"`
		Going    bool           `json:"going"`
	}
	placedJSON struct {
		StackID     stack.ID            `json:"stack_id"`
		StackName   string              `json:"stack_name"`
		GeneratorID tenancy.GeneratorID `json:"generator_id"`
		State       delivery.State      `json:"state"`
		Wanted      revisionJSON        `json:"wanted"`
		Phase       delivery.Phase      `json:"phase"`
		Health      delivery.Health     `json:"health"`
		Since       time.Time           `json:"since"`
		Reason      string              `json:"reason"`
		Policy      *policyRefJSON      `json:"policy"`
		BlockedOn   *string             `json:"blocked_on"`
	}
)

func maybePolicyRef(r *policy.Ref) *policyRefJSON {
	if r == nil {
		return nil
	}
	out := policyRefOf(*r)
	return &out
}

func recordOf(r placement.Record) recordJSON {
	out := recordJSON{
		StackID: r.Stack, Generation: r.Generation, DecidedAt: r.At.UTC(), Cause: r.Cause, TraceID: traceID(r.Traceparent),
		Policy: maybePolicyRef(r.Decision.Policy), Hold: holdOf(r.Decision.Hold),
		Changes: each(r.Decision.Changes, func(c placement.Change) changeJSON { return changeJSON{c.Agent, c.State, c.Object, c.Reason, c.Going} }),
	}
	if r.Object != "" {
		out.ObjectID = &r.Object
	}
	return out
}

func placedOf(v app.PlacedStack) placedJSON {
	out := placedJSON{
		StackID: v.Wanted.Stack, StackName: v.Subject.Name, GeneratorID: v.Subject.Generator, State: v.Wanted.State,
		Wanted: revisionJSON{ObjectID: v.Wanted.Object, SequenceID: v.Wanted.Sequence}, Phase: v.Status.Phase, Health: v.Status.Health,
		Since: v.Status.Since.UTC(), Reason: v.Wanted.Reason, Policy: maybePolicyRef(v.Subject.Policy),
	}
	if v.Status.BlockedOn != "" {
		out.BlockedOn = &v.Status.BlockedOn
	}
	return out
}

// stackAtTime reads {id} and ?at=, a time in the past.
func stackAtTime(r *http.Request) (of[stack.ID, *time.Time], error) {
	return idWith[stack.ID](r, func(r *http.Request) (*time.Time, error) {
		s := r.URL.Query().Get("at")
		if s == "" {
			return nil, nil //nolint:nilnil // now
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "invalid_query", "query parameter at: %q is not a time such as 2026-03-01T12:00:00Z", s).With("parameter", "at")
		}
		return &t, nil
	})
}
