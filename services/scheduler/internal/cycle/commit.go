package cycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// conflicts in a row after which a stack waits for the next poll
const maxTries = 5

// resync is the cause of stacks that are only looked at again.
const resync event.Type = "resync"

// pending is a decision, or a step of a rollout, that is to be stored.
type pending struct {
	subject  placement.Subject // before
	cause    cause
	decision placement.Decision
	step     stepped
	news     bool // the decision is to be stored, not only the step
	commit   ports.Commit
	spent    placement.Removal // of the fleet's window; a count of 0: nothing
	spare    int               // what others may have removed beside that without the decision being another one
	now      time.Time
	span     trace.Span
	telling  *placement.Telling // the memory of the decision's verdicts; nil: they have their own
}

// decideDirty decides about dirty stacks of our shards for a turn, the urgent ones first, and commits many decisions together, while
// it decides about others; more says whether some are left that were not tried. Signals go out as soon as a decision is committed. The
// error names what has to be tried again.
func (e *Engine) decideDirty(ctx context.Context) (more bool, err error) {
	defer func() { e.metrics.dirty.Set(float64(len(e.dirty))) }()
	l := pipeline{Engine: e}
	var errs []error
	defer func() { // what a failure leaves
		if left := l.abandon(ctx); left != nil {
			err = errors.Join(err, left)
		}
	}()
	// away reports whether the store is: the others would only wait for it too.
	away := func(err error) bool {
		if err != nil {
			errs = append(errs, err)
		}
		return ctx.Err() != nil || fault.Is(err, fault.Unavailable)
	}
	var end time.Time
	tried := 0
	for {
		ids, urgent := e.order()
		if end.IsZero() { // the order of a large fleet may itself take longer than a turn
			end = time.Now().Add(e.turn)
		}
		if len(ids) == 0 {
			return false, errors.Join(errs...)
		}
		for i, id := range ids {
			if tried > 0 && time.Now().After(end) { // however slow the machine is, a turn gets somewhere
				e.next = id
				more := !away(l.drain(ctx))
				return more, errors.Join(errs...)
			}
			if (i == urgent || l.next.full()) && away(l.send(ctx)) {
				return false, errors.Join(errs...)
			}
			tried++
			if away(l.attend(ctx, id, ids[i:])) {
				return false, errors.Join(errs...)
			}
		}
		if away(l.drain(ctx)) {
			return false, errors.Join(errs...)
		}
	}
}

// soil makes a stack dirty again, unless there is newer cause.
func (e *Engine) soil(id stack.ID, c cause) {
	if _, ok := e.dirty[id]; !ok {
		e.dirty[id] = c
	}
}

// alone decides about a stack and commits by itself, again after each race that it loses.
func (e *Engine) alone(ctx context.Context, id stack.ID, c cause) error {
	lease, ours := e.shards.Lease(e.shards.Of(id))
	if !ours {
		delete(e.dirty, id)
		return nil
	}
	err := e.settle(ctx, id, c, lease)
	switch {
	case err == nil:
		delete(e.retry, id)
		return nil
	case fault.Is(err, fault.Conflict): // it stays dirty
		e.retry[id]++
		e.log.DebugContext(ctx, "a decision lost a race", "stack", id, "tries", e.retry[id], "error", err.Error())
		err = nil
	default:
		err = fmt.Errorf("decide stack %s: %w", id, err)
	}
	e.soil(id, c)
	e.passed[id] = true
	return err
}

func (e *Engine) settle(ctx context.Context, id stack.ID, c cause, lease ports.Lease) error {
	for try := 1; ; try++ {
		delete(e.dirty, id) // from here on others may make it dirty again
		err := e.decideOnce(ctx, id, c, lease)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		e.metrics.conflicts.Inc()
		if try == maxTries {
			return err
		}
		if err := e.relearn(ctx); err != nil {
			return err
		}
		if err := e.reread(ctx, id); err != nil {
			return err
		}
	}
}

// relearn brings what decisions of other replicas have changed up to date after a race that was lost: what they have removed, and
// what they were promised. The snapshot may not be ahead of the store.
func (e *Engine) relearn(ctx context.Context) error {
	if err := e.catchUp(ctx); err != nil {
		return err
	}
	return e.recount(ctx)
}

// reread brings the stack, its assignments and every agent that a decision on it would change up to date.
func (e *Engine) reread(ctx context.Context, id stack.ID) error {
	d, _, err := e.decide(ctx, id, e.now())
	if err != nil {
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		return e.readAgain(ctx, id) // its policy has changed
	}
	if err := e.refreshRollouts(ctx, []stack.ID{id}); err != nil {
		return err
	}
	step, err := e.step(ctx, e.world.subjects[id], &d, e.now())
	if err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	if err := e.vary(ctx, e.world.subjects[id], &d, step, e.now()); err != nil {
		return err
	}
	e.treat(e.world.subjects[id], &d)
	agents := make([]agent.ID, 0, len(d.Changes))
	for _, c := range d.Changes {
		agents = append(agents, c.Agent)
	}
	if err := e.renew(ctx, agents); err != nil {
		return err
	}
	return e.readAgain(ctx, id)
}

// renew reads clusters again, before any event tells of what has changed: it will find that known, so that whom it concerns is made dirty
// here.
func (e *Engine) renew(ctx context.Context, agents []agent.ID) error {
	old := e.world.some(agents)
	if err := e.world.refreshClusters(ctx, e.store.Facts(), agents, e.now()); err != nil {
		return err
	}
	e.roomIn(old, "") // of promises that have ended with what it has told, or by now
	changed := slices.DeleteFunc(slices.Clone(agents), func(a agent.ID) bool {
		before, after := old[a], e.world.clusters[a]
		before.Load, before.Assumed = after.Load, after.Assumed
		if before.ReportedAt != nil && after.ReportedAt != nil {
			before.ReportedAt = after.ReportedAt // it told the same once more
		}
		return reflect.DeepEqual(before, after)
	})
	if len(changed) == 0 {
		return nil // to ask whom it concerns costs more than to read it
	}
	for _, id := range e.concerned(changed, old, e.now()) {
		e.soil(id, cause{event: event.AgentChanged})
	}
	return nil
}

// readAgain reads the stack and its assignments. If another replica has decided about it, the event that tells of that finds the decision
// known, so that it is heeded here.
func (e *Engine) readAgain(ctx context.Context, id stack.ID) error {
	was := e.world.subjects[id].Generation
	if err := e.world.refreshStacks(ctx, e.store.Facts(), []stack.ID{id}); err != nil {
		return err
	}
	if e.world.subjects[id].Generation != was {
		return e.heard(ctx, []stack.ID{id})
	}
	e.pledge([]stack.ID{id}) // assignments are read after the stack, and may be newer
	return nil
}

// decideOnce decides and commits; without news it writes nothing.
func (e *Engine) decideOnce(ctx context.Context, id stack.ID, c cause, lease ports.Lease) error {
	p, err := e.prepare(ctx, id, c, lease)
	if err != nil || p == nil {
		return err
	}
	e.rooms(p)
	start := time.Now()
	within := trace.ContextWithSpan(ctx, p.span)
	revisions, err := e.writing([]*pending{p})(within)
	telemetry.Observe(within, e.metrics.commit, time.Since(start).Seconds())
	if err != nil {
		e.told(p)
		p.span.End()
		return err
	}
	e.apply(p)
	e.finish(ctx, p, revisions)
	e.announce(ctx, revisions)
	return nil
}

// prepare decides. It returns what is to be stored, nil if that is nothing.
func (e *Engine) prepare(ctx context.Context, id stack.ID, c cause, lease ports.Lease) (*pending, error) {
	s, ok := e.world.subjects[id]
	if !ok {
		return nil, nil
	}
	ctx, span := e.tracer.Start(telemetry.Remote(ctx, c.traceparent), "scheduler.decide",
		trace.WithAttributes(attribute.String("brokkr.stack", string(id)), attribute.String("brokkr.cause", string(c.event))))
	p, err := e.weigh(ctx, s, c, lease)
	if p == nil {
		span.End()
		return nil, err
	}
	p.span = span
	return p, nil
}

func (e *Engine) weigh(ctx context.Context, s placement.Subject, c cause, lease ports.Lease) (*pending, error) {
	start, id := time.Now(), s.Stack
	now := e.now()
	d, in, err := e.decide(ctx, id, now)
	if err != nil {
		return nil, err
	}
	step, err := e.step(ctx, s, &d, now)
	if err != nil {
		return nil, err
	}
	former, known := e.world.depends[id]
	step.rewatch = known && !slices.Equal(former, step.depends)
	if err := e.vary(ctx, s, &d, step, now); err != nil {
		return nil, err
	}
	e.treat(s, &d)
	e.metrics.decide.Observe(time.Since(start).Seconds())
	e.lacks(id, d)
	d.Policy = s.Policy
	news := d.News(s) || !policy.Same(s.Policy, s.Decided) // what another policy says is recorded, even if it says the same
	if !news && !step.moved() {
		e.world.depends[id] = step.depends // a snapshot that was read anew does not know it
		e.awake(id, d, step)
		e.metrics.decisions.WithLabelValues("unchanged").Inc()
		return nil, nil
	}
	p := &pending{subject: s, cause: c, decision: d, step: step, news: news, now: now}
	if news {
		e.explain(p, in)
	}
	p.commit = ports.Commit{
		Lease: lease, Stack: id, StackVersion: s.Version, Generation: s.Generation, Policy: s.Policy, Changes: d.Changes, Hold: d.Hold,
		Record: placement.Record{Stack: id, Generation: s.Generation + 1, Decision: p.decision, Cause: string(c.event), Traceparent: telemetry.TraceParent(ctx), At: now},
	}
	if s.Newest != nil {
		p.commit.Record.Object = s.Newest.ID
	}
	p.spent, p.spare = e.spends(s, d, now)
	p.commit.Rooms = e.gives(s, d)
	return p, nil
}

// finish tells of what has been stored.
func (e *Engine) finish(ctx context.Context, p *pending, revisions map[agent.ID]delivery.Revision) {
	defer p.span.End()
	defer e.told(p)
	ctx = trace.ContextWithSpan(ctx, p.span)
	s, d := p.subject, p.decision
	e.metrics.standing.stepped(p.step, p.now)
	for _, t := range p.step.out.Transitions {
		e.log.InfoContext(ctx, "rollout moved", "stack", s.Stack, "name", s.Name, "rollout", t.Rollout, "from", t.From, "to", t.To, "wave", t.Wave, "reason", t.Reason)
	}
	e.awake(s.Stack, d, p.step)
	if !p.news {
		e.metrics.decisions.WithLabelValues("unchanged").Inc()
		return
	}
	e.world.revised(d, revisions)
	if p.cause.event == event.DeploymentCreated && s.Newest != nil && d.Hold == nil {
		telemetry.Observe(ctx, e.metrics.published, max(e.now().Sub(s.Newest.CreatedAt).Seconds(), 0))
	}
	if n := countBlocked(d.Blocked); n > 0 && !placement.SameBlocked(d.Blocked, s.Blocked) {
		b := d.Blocked[0]
		e.log.WarnContext(ctx, "overrides cannot be applied; clusters keep what they have", "stack", s.Stack, "name", s.Name, "clusters", n,
			"first", b.Agents[0], "override", b.Override, "problem", b.Reason)
	}
	outcome := "changed"
	if d.Hold != nil {
		outcome = "held"
		e.log.WarnContext(ctx, "removals are held for approval", "stack", s.Stack, "name", s.Name, "reason", d.Hold.Reason, "removes", len(d.Hold.Removes))
	}
	e.metrics.decisions.WithLabelValues(outcome).Inc()
	e.log.InfoContext(ctx, "decided", "stack", s.Stack, "name", s.Name, "changes", len(d.Changes), "removals", d.Removals())
}

// announce tells gateways which agents have news, also what it could not tell before: a gateway that hears signals
// again would otherwise find the news only with its next look at everything. It only saves time, so a failure is
// counted and left to the next round.
func (e *Engine) announce(ctx context.Context, revisions map[agent.ID]delivery.Revision) {
	for a, r := range revisions {
		e.unsent[a] = max(r, e.unsent[a])
	}
	if len(e.unsent) == 0 {
		return
	}
	signals := make([]ports.Signal, 0, len(e.unsent))
	for _, a := range slices.Sorted(maps.Keys(e.unsent)) {
		signals = append(signals, ports.Signal{Agent: a, Revision: e.unsent[a]})
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := e.signals.Publish(ctx, signals); err != nil {
		e.metrics.signals.WithLabelValues("failed").Add(float64(len(signals)))
		if len(revisions) > 0 {
			e.log.WarnContext(ctx, "gateways could not be told; they find out by themselves", "error", err.Error())
		}
		return
	}
	clear(e.unsent)
	e.metrics.signals.WithLabelValues("sent").Add(float64(len(signals)))
}
