package app

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
)

// What agents' events are called in the v1 contract.
const (
	typeDeploy    = "DEPLOY"
	typeRemove    = "REMOVE"
	statusSuccess = "SUCCESS"
	statusFailure = "FAILURE"
)

// outcome is what one transaction of reports changed, for traces and metrics after the commit.
type outcome struct {
	statuses     []delivery.Status
	events       []event.Event // for the outbox
	acknowledged int
	wanted       map[stack.ID]delivery.Wanted
	revision     *delivery.Revision // the agent's new one, if an acknowledgement made it grow
}

// report makes what the sync reports durable. A duplicate, or a report of a process that another one followed, is
// accepted and changes nothing. It returns the turn that the process is given, if it has to tell everything again with it; else zero.
func (g *Gateway) report(ctx context.Context, a agent.ID, req wire.SyncRequest) (delivery.Turn, error) {
	reports, removals, err := parseReports(req)
	if err != nil {
		return 0, err
	}
	status, err := parseStatus(req.Status)
	if err != nil {
		return 0, err
	}
	began, reading := g.Now().UTC(), g.Hub.Begin()
	var done outcome
	var got delivery.Reception
	err = g.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		done, got = outcome{}, delivery.Reception{}
		var err error
		if got, err = tx.Reports().Advance(ctx, a, markOf(req), began); err != nil || !got.News {
			return err
		}
		if status != nil {
			if err := g.tellCluster(ctx, tx, a, *status, began); err != nil {
				return err
			}
		}
		if len(reports)+len(removals) == 0 {
			return nil
		}
		if done.wanted, err = wantedOf(ctx, tx, a, reports, removals); err != nil {
			return err
		}
		if err := g.record(ctx, tx, a, began, reports, &done); err != nil {
			return err
		}
		if err := g.acknowledge(ctx, tx, a, began, removals, &done); err != nil {
			return err
		}
		return done.publish(ctx, tx)
	})
	if err != nil {
		return 0, err
	}
	if got.Turn != 0 {
		return got.Turn, nil
	}
	if !got.News {
		g.Metrics.Reports.WithLabelValues("repeated").Add(float64(len(reports) + len(removals)))
		return 0, nil
	}
	g.reported(ctx, a, reading, began, done)
	return 0, nil
}

func markOf(req wire.SyncRequest) delivery.Mark {
	m := delivery.Mark{Boot: req.BootID, Seq: req.Seq, Turn: delivery.Turnless}
	if req.Turn != nil {
		m.Turn = cmp.Or(delivery.Turn(*req.Turn), delivery.NoTurn)
	}
	return m
}

func parseReports(req wire.SyncRequest) ([]delivery.Report, []delivery.Removal, error) {
	reports := make([]delivery.Report, 0, len(req.Applied))
	for _, l := range req.Applied {
		st, err := id.Parse[stack.ID]("stack_id", l.StackID)
		if err != nil {
			return nil, nil, err
		}
		object, err := id.Parse[stack.ObjectID]("deployment_object_id", l.DeploymentObjectID)
		if err != nil {
			return nil, nil, err
		}
		phase, err := delivery.ParsePhase(l.Phase)
		if err != nil {
			return nil, nil, err
		}
		health := delivery.HealthUnknown
		if l.Health != "" {
			if health, err = delivery.ParseHealth(l.Health); err != nil {
				return nil, nil, err
			}
		}
		reports = append(reports, delivery.Report{
			Stack: st, Object: object, Sequence: stack.Sequence(l.SequenceID), Phase: phase, Health: health,
			Message: observation.Cut(l.Message, delivery.MaxMessage), ObservedAt: l.ObservedAt,
		})
	}
	removals := make([]delivery.Removal, 0, len(req.Removed))
	for _, r := range req.Removed {
		st, err := id.Parse[stack.ID]("stack_id", r.StackID)
		if err != nil {
			return nil, nil, err
		}
		if r.Revision < 1 {
			return nil, nil, fault.Newf(fault.Invalid, "invalid_report", "the acknowledged removal of stack %s has no revision", st)
		}
		removals = append(removals, delivery.Removal{Stack: st, Revision: delivery.Revision(r.Revision), Message: observation.Cut(r.Message, delivery.MaxMessage)})
	}
	return reports, removals, nil
}

// publish puts the events into the outbox, once a transaction.
func (done *outcome) publish(ctx context.Context, tx ports.Repositories) error {
	if len(done.events) == 0 {
		return nil
	}
	return tx.Outbox().Append(ctx, done.events...)
}

// wantedOf returns the agent's assignments of the stacks that it speaks of.
func wantedOf(ctx context.Context, tx ports.Repositories, a agent.ID, reports []delivery.Report, removals []delivery.Removal) (map[stack.ID]delivery.Wanted, error) {
	stacks := make([]stack.ID, 0, len(reports)+len(removals))
	for _, r := range reports {
		stacks = append(stacks, r.Stack)
	}
	for _, r := range removals {
		stacks = append(stacks, r.Stack)
	}
	list, err := tx.Assignments().Some(ctx, a, stacks)
	if err != nil {
		return nil, err
	}
	return byStack(list), nil
}

func byStack(list []delivery.Wanted) map[stack.ID]delivery.Wanted {
	out := make(map[stack.ID]delivery.Wanted, len(list))
	for _, w := range list {
		out[w.Stack] = w
	}
	return out
}

// record stores reports about what is assigned to a. Others are dropped: the assignment may just have gone, and
// nobody may speak about other agents' stacks.
func (g *Gateway) record(ctx context.Context, tx ports.Repositories, a agent.ID, at time.Time, reports []delivery.Report, done *outcome) error {
	mine := make([]delivery.Report, 0, len(reports))
	for _, r := range reports {
		w, ok := done.wanted[r.Stack]
		if !ok {
			continue
		}
		sequence, ok, err := sequenceOf(ctx, tx, a, w, r.Object)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		r.Sequence = sequence
		if r.ObservedAt.IsZero() {
			r.ObservedAt = at
		}
		mine = append(mine, r)
	}
	if len(mine) == 0 {
		return nil
	}
	changed, err := tx.Reports().Record(ctx, a, at, mine)
	if err != nil {
		return err
	}
	done.statuses = append(done.statuses, changed...)
	tellRollouts(done, changed, at)
	return announce(ctx, tx, done, changed, at)
}

// tellRollouts tells of statuses that an open rollout waits for. Others make no event.
func tellRollouts(done *outcome, changed []delivery.Status, at time.Time) {
	for _, s := range changed {
		if w := done.wanted[s.Stack]; w.Watched {
			done.events = append(done.events, event.Event{ID: uuid.NewString(), Type: event.AssignmentReported, Agent: s.Agent, Stack: s.Stack, Object: s.Object,
				Generator: w.Generator, Traceparent: w.Traceparent, At: at, Data: map[string]any{}})
		}
	}
}

// sequenceOf returns the sequence of the reported object: of the assigned one, or of another one of the same stack. The
// agent's own number is not believed.
func sequenceOf(ctx context.Context, tx ports.Repositories, a agent.ID, w delivery.Wanted, object stack.ObjectID) (stack.Sequence, bool, error) {
	if object == w.Object {
		return w.Sequence, true, nil
	}
	o, err := tx.Objects().Get(ctx, tenancy.Scope{Agent: a}, object)
	if fault.Is(err, fault.NotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return o.Sequence, o.Stack == w.Stack, nil
}

// announce makes the events of statuses that say how applying or removing ended.
func announce(ctx context.Context, tx ports.Repositories, done *outcome, changed []delivery.Status, at time.Time) error {
	var events []agent.Event
	var of []delivery.Wanted
	for _, s := range changed {
		w := done.wanted[s.Stack]
		e := agent.Event{ID: agent.EventID(uuid.NewString()), Agent: s.Agent, Object: s.Object, Type: typeDeploy, CreatedAt: at, UpdatedAt: at}
		if w.State == delivery.Removing {
			e.Type = typeRemove
		}
		switch s.Phase {
		case delivery.PhaseApplied:
			e.Status = statusSuccess
		case delivery.PhaseFailed:
			e.Status, e.Message = statusFailure, &s.Message
		case delivery.PhasePending, delivery.PhaseFetching, delivery.PhaseApplying, delivery.PhaseRemoving, delivery.PhaseRemoved:
			continue
		}
		events, of = append(events, e), append(of, w)
	}
	return tell(ctx, tx, done, events, of, at)
}

// tell stores events of agents about assignments, and tells of those that are news.
func tell(ctx context.Context, tx ports.Repositories, done *outcome, events []agent.Event, of []delivery.Wanted, at time.Time) error {
	if len(events) == 0 {
		return nil
	}
	stored, err := tx.Reports().AddEvents(ctx, events)
	if err != nil {
		return err
	}
	for i, e := range stored {
		done.occurred(of[i], e, at)
	}
	return nil
}

// occurred tells of a stored event if it is the first of its kind in a row.
func (done *outcome) occurred(w delivery.Wanted, e agent.Event, at time.Time) {
	if e.Count > 1 {
		return
	}
	kind := event.DeploymentFailed
	if succeeded(e) {
		kind = event.DeploymentApplied
	}
	done.events = append(done.events, event.Event{
		ID: uuid.NewString(), Type: kind, Agent: e.Agent, Stack: w.Stack, Object: e.Object, Generator: w.Generator,
		Traceparent: w.Traceparent, At: at,
		Data: map[string]any{
			"agent_event_id": string(e.ID), "agent_id": string(e.Agent), "deployment_object_id": string(e.Object), "stack_id": string(w.Stack),
			"event_type": e.Type, "status": e.Status, "message": e.Message, "created_at": e.CreatedAt,
		},
	})
}

// acknowledge takes tombstones away that are executed. What an agent says of it is an event, if it has ever told of the stack: where it has
// not, nothing can be left of it.
func (g *Gateway) acknowledge(ctx context.Context, tx ports.Repositories, a agent.ID, at time.Time, removals []delivery.Removal, done *outcome) error {
	var events []agent.Event
	var of []delivery.Wanted
	for _, r := range removals {
		went, err := tx.Reports().Acknowledge(ctx, a, r)
		if err != nil {
			return err
		}
		if !went {
			continue
		}
		done.acknowledged++
		w := done.wanted[r.Stack]
		done.events = append(done.events, event.Event{
			ID: uuid.NewString(), Type: event.RemovalAcknowledged, Agent: a, Stack: r.Stack, Object: w.Object, Generator: w.Generator,
			Traceparent: w.Traceparent, At: at,
			Data: map[string]any{"agent_id": string(a), "stack_id": string(r.Stack), "revision": int64(r.Revision)},
		})
		if r.Message != "" && w.Status != nil {
			events, of = append(events, agent.Event{
				ID: agent.EventID(uuid.NewString()), Agent: a, Object: w.Object, Type: typeRemove, Status: statusFailure, Message: &r.Message, CreatedAt: at, UpdatedAt: at,
			}), append(of, w)
		}
	}
	if err := tell(ctx, tx, done, events, of, at); err != nil {
		return err
	}
	if done.acknowledged == 0 {
		return nil
	}
	revisions, err := tx.Assignments().Revisions(ctx, []agent.ID{a})
	if err != nil {
		return err
	}
	revision := revisions[a]
	done.revision = &revision
	return nil
}

// reported counts and traces what has been committed, and tells the hub of a revision that grew.
func (g *Gateway) reported(ctx context.Context, a agent.ID, reading hub.Reading, began time.Time, done outcome) {
	if done.revision != nil {
		g.Hub.Observe(reading, a, *done.revision)
	}
	g.Metrics.Reports.WithLabelValues("removal").Add(float64(done.acknowledged))
	for _, s := range done.statuses {
		g.Metrics.Reports.WithLabelValues(string(s.Phase)).Inc()
		w := done.wanted[s.Stack]
		if w.Object != s.Object {
			continue
		}
		of := telemetry.Remote(ctx, w.Traceparent)
		if s.Phase == delivery.PhaseApplied && w.State == delivery.Assigned && !applied(w.Status, w.Object) {
			telemetry.Observe(of, g.Metrics.Applied, max(began.Sub(w.Since).Seconds(), 0))
		}
		if w.Traceparent == "" {
			continue
		}
		_, span := g.Tracer.Start(of, "report", trace.WithTimestamp(began),
			trace.WithAttributes(append(assignmentAttributes(w),
				attribute.String("brokkr.phase", string(s.Phase)), attribute.String("brokkr.health", string(s.Health)))...))
		span.End()
	}
}

// applied reports whether the agent had reported before that it has this object.
func applied(s *delivery.Status, object stack.ObjectID) bool {
	return s != nil && s.Object == object && s.Phase == delivery.PhaseApplied
}
