package cycle

import (
	"context"
	"errors"
	"fmt"
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

// decideDirty decides every dirty stack of our shards. A conflict reads the stack and its agents again and decides anew;
// signals go out as soon as a decision is committed. The error names what has to be tried again.
func (e *Engine) decideDirty(ctx context.Context) error {
	var errs []error
	for id, c := range e.dirty {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lease, ours := e.shards.Lease(e.shards.Of(id))
		if !ours {
			delete(e.dirty, id) // whoever gains the shard reads everything
			continue
		}
		err := e.settle(ctx, id, c, lease)
		switch {
		case err == nil:
			delete(e.dirty, id)
			delete(e.retry, id)
		case fault.Is(err, fault.Conflict): // it stays dirty
			e.retry[id]++
			e.log.DebugContext(ctx, "a decision lost a race", "stack", id, "tries", e.retry[id], "error", err.Error())
		default:
			errs = append(errs, fmt.Errorf("decide stack %s: %w", id, err))
			if fault.Is(err, fault.Unavailable) {
				return errors.Join(errs...) // the store is away: the others would only wait for it too
			}
		}
	}
	e.metrics.dirty.Set(float64(len(e.dirty)))
	return errors.Join(errs...)
}

func (e *Engine) settle(ctx context.Context, id stack.ID, c cause, lease ports.Lease) error {
	ctx, span := e.tracer.Start(telemetry.Remote(ctx, c.traceparent), "scheduler.decide",
		trace.WithAttributes(attribute.String("brokkr.stack_id", string(id)), attribute.String("brokkr.cause", string(c.event))))
	defer span.End()
	for try := 1; ; try++ {
		revisions, err := e.decideOnce(ctx, id, c, lease)
		if !fault.Is(err, fault.Conflict) {
			if err == nil {
				e.announce(ctx, revisions)
			}
			return err
		}
		e.metrics.conflicts.Inc()
		if try == maxTries {
			return err
		}
		if err := e.reread(ctx, id); err != nil {
			return err
		}
	}
}

// reread brings the stack, its assignments and every agent that a decision on it would change up to date.
func (e *Engine) reread(ctx context.Context, id stack.ID) error {
	f := e.store.Facts()
	d, _, err := e.decide(ctx, id, e.now())
	if err != nil {
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		return e.world.refreshStacks(ctx, f, []stack.ID{id}) // its policy has changed
	}
	if err := e.refreshRollouts(ctx, []stack.ID{id}); err != nil {
		return err
	}
	step, err := e.step(ctx, e.world.subjects[id], &d, e.now())
	if err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	if err := e.vary(ctx, e.world.subjects[id], &d, step.rolling(), e.now()); err != nil {
		return err
	}
	agents := make([]agent.ID, 0, len(d.Changes))
	for _, c := range d.Changes {
		agents = append(agents, c.Agent)
	}
	if err := e.world.refreshClusters(ctx, f, agents); err != nil {
		return err
	}
	return e.world.refreshStacks(ctx, f, []stack.ID{id})
}

// decideOnce decides and commits; without news it writes nothing and returns no revisions.
func (e *Engine) decideOnce(ctx context.Context, id stack.ID, c cause, lease ports.Lease) (map[agent.ID]delivery.Revision, error) {
	s, ok := e.world.subjects[id]
	if !ok {
		return nil, nil
	}
	start := time.Now()
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
	e.world.depends[id] = step.depends // also if nothing changes: a snapshot that was read anew does not know it
	if err := e.vary(ctx, s, &d, step.rolling(), now); err != nil {
		return nil, err
	}
	e.metrics.decide.Observe(time.Since(start).Seconds())
	e.lacks(id, d)
	d.Policy = s.Policy
	news := d.News(s) || !policy.Same(s.Policy, s.Decided) // what another policy says is recorded, even if it says the same
	if !news && !step.moved() {
		e.awake(id, d, step)
		e.metrics.decisions.WithLabelValues("unchanged").Inc()
		return nil, nil
	}
	if news {
		d = explained(d, in, now)
	}
	commit := ports.Commit{
		Lease: lease, Stack: id, StackVersion: s.Version, Generation: s.Generation, Policy: s.Policy, Changes: d.Changes, Hold: d.Hold,
		Record: placement.Record{Stack: id, Generation: s.Generation + 1, Decision: d, Cause: string(c.event), Traceparent: telemetry.TraceParent(ctx), At: now},
	}
	if s.Newest != nil {
		commit.Record.Object = s.Newest.ID
	}
	var revisions map[agent.ID]delivery.Revision
	start = time.Now()
	err = e.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		if !news { // else the commit checks it
			if err := tx.Leases().Check(ctx, lease); err != nil {
				return err
			}
		}
		if err := step.save(ctx, tx, s, now); err != nil || !news {
			return err
		}
		var err error
		if revisions, err = tx.Decisions().Commit(ctx, commit); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.PlacementDecided, Stack: id, Generator: s.Generator,
			Traceparent: commit.Record.Traceparent, At: now, Data: map[string]any{"generation": s.Generation + 1, "changes": len(d.Changes), "held": d.Hold != nil}})
	})
	telemetry.Observe(ctx, e.metrics.commit, time.Since(start).Seconds())
	if err != nil {
		return nil, err
	}
	e.world.rolled(id, step)
	e.metrics.standing.stepped(step, now)
	for _, t := range step.out.Transitions {
		e.log.InfoContext(ctx, "rollout moved", "stack", id, "name", s.Name, "rollout", t.Rollout, "from", t.From, "to", t.To, "wave", t.Wave, "reason", t.Reason)
	}
	e.awake(id, d, step)
	if !news {
		e.metrics.decisions.WithLabelValues("unchanged").Inc()
		return nil, nil
	}
	e.settled(s, d, now)
	e.world.committed(d, s.Generation+1, revisions, now)
	if c.event == event.DeploymentCreated && s.Newest != nil && d.Hold == nil {
		telemetry.Observe(ctx, e.metrics.published, max(e.now().Sub(s.Newest.CreatedAt).Seconds(), 0))
	}
	e.count(ctx, s, d, now)
	return revisions, nil
}

func (e *Engine) count(ctx context.Context, s placement.Subject, d placement.Decision, now time.Time) {
	removals := 0
	for _, c := range d.Changes {
		if c.State == delivery.Removing {
			removals++
		}
	}
	// What a user named himself (a deleted stack, a deletion marker) does not use up the window.
	if removals > 0 && !s.Deleted && (s.Newest == nil || !s.Newest.Marker) {
		e.removed = append(e.removed, removal{at: now, n: removals})
	}
	outcome := "changed"
	if d.Hold != nil {
		outcome = "held"
		e.log.WarnContext(ctx, "removals are held for approval", "stack", s.Stack, "name", s.Name, "reason", d.Hold.Reason, "removes", len(d.Hold.Removes))
	}
	e.metrics.decisions.WithLabelValues(outcome).Inc()
	e.log.InfoContext(ctx, "decided", "stack", s.Stack, "name", s.Name, "changes", len(d.Changes), "removals", removals)
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
	for a, r := range e.unsent {
		signals = append(signals, ports.Signal{Agent: a, Revision: r})
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
