package cycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
)

// pipeline is the decisions of a turn on their way into the store: while one batch is committed, the next one is decided. The next
// one rests on what the one before leaves, so that there is never more than one under way; if that one fails, both are undone, the
// later first (docs/adr/0046). The snapshot belongs to the engine's goroutine, and whoever commits only reads what the batch holds.
type pipeline struct {
	*Engine
	next   batch
	flying *flight // nil: none is under way
}

// flight is a batch that is being committed. What it came to may be read once it is over.
type flight struct {
	batch
	over      chan struct{}
	took      time.Duration
	revisions map[agent.ID]delivery.Revision
	err       error
}

// attend decides about one stack and puts what is to be stored into the next batch. What cannot be decided together with others is
// decided by itself.
func (l *pipeline) attend(ctx context.Context, id stack.ID, ahead []stack.ID) error {
	c := l.dirty[id]
	lease, ours := l.shards.Lease(l.shards.Of(id))
	if !ours {
		delete(l.dirty, id) // whoever gains the shard reads everything
		return nil
	}
	if err := l.foresee(ctx, id, ahead); err != nil {
		l.passed[id] = true
		return fmt.Errorf("decide stack %s: %w", id, err)
	}
	p, err := l.prepare(ctx, id, c, lease)
	switch {
	case fault.Is(err, fault.Conflict): // what it rests on is read again, for which the snapshot may not be ahead of the store
		return errors.Join(l.drain(ctx), l.alone(ctx, id, c))
	case err != nil:
		l.passed[id] = true
		return fmt.Errorf("decide stack %s: %w", id, err)
	case p == nil:
		delete(l.dirty, id)
		delete(l.retry, id)
		switch { // it may need something without them
		case len(l.next.list) > 0:
			l.next.settled[id] = c
		case l.flying != nil:
			l.flying.settled[id] = c
		}
	default:
		l.stage(&l.next, p)
	}
	return nil
}

// send begins to commit the next batch, once the one before it is stored.
func (l *pipeline) send(ctx context.Context) error {
	if err := l.land(ctx); err != nil || len(l.next.list) == 0 {
		return err
	}
	f := &flight{batch: l.next, over: make(chan struct{})}
	l.flying, l.next = f, batch{}
	within := ctx
	if len(f.list) == 1 { // its trace shows the commit
		within = trace.ContextWithSpan(ctx, f.list[0].span)
	}
	l.rooms(f.list...)
	write := l.writing(f.list)
	go func() {
		defer close(f.over)
		start := time.Now()
		f.revisions, f.err = write(within)
		f.took = time.Since(start)
		for range f.list {
			telemetry.Observe(within, l.metrics.commit, f.took.Seconds())
		}
	}()
	return nil
}

// drain commits everything that was decided.
func (l *pipeline) drain(ctx context.Context) error {
	if err := l.send(ctx); err != nil { // nothing is left to be sent: it is dirty again
		return err
	}
	return l.land(ctx)
}

// land waits until the batch that is under way is stored, and tells of it. If it lost a race, or one of its decisions cannot be
// stored, each is made again by itself, and what was decided on them is dirty again.
func (l *pipeline) land(ctx context.Context) error {
	f := l.flying
	if f == nil {
		return nil
	}
	<-f.over
	l.flying = nil
	if f.err == nil {
		for _, p := range f.list {
			l.finish(ctx, p, f.revisions)
			delete(l.retry, p.subject.Stack)
		}
		l.announce(ctx, f.revisions)
		return nil
	}
	list := f.list
	l.takeBack(&l.next)
	l.takeBack(&f.batch)
	return l.again(ctx, list, f.err)
}

// again makes decisions that could not be stored together once more, each by itself.
func (e *Engine) again(ctx context.Context, list []*pending, err error) error {
	raced := fault.Is(err, fault.Conflict)
	// Whatever is wrong with one decision must not keep the others from being committed, for as long as they are decided together.
	if !raced && (len(list) == 1 || ctx.Err() != nil || fault.Is(err, fault.Unavailable)) {
		for _, p := range list {
			e.passed[p.subject.Stack] = true
		}
		return fmt.Errorf("commit decisions about %d stacks, the first being %s: %w", len(list), list[0].subject.Stack, err)
	}
	if raced {
		e.metrics.conflicts.Inc()
		if err := e.relearn(ctx); err != nil {
			for _, p := range list {
				e.passed[p.subject.Stack] = true
			}
			return err
		}
	}
	var errs []error
	for _, p := range list {
		var err error
		if raced {
			err = e.reread(ctx, p.subject.Stack)
		}
		if err != nil {
			err = fmt.Errorf("decide stack %s: %w", p.subject.Stack, err)
			e.passed[p.subject.Stack] = true
		} else {
			err = e.alone(ctx, p.subject.Stack, p.cause)
		}
		if errs = append(errs, err); ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
			break
		}
	}
	return errors.Join(errs...)
}

// abandon forgets what was decided and not sent, after what was sent has come to its end. The error is of what was sent.
func (l *pipeline) abandon(ctx context.Context) error {
	l.takeBack(&l.next)
	return l.land(ctx)
}

// takeBack brings the snapshot back to where it was before the batch; what was decided on it is dirty again.
func (e *Engine) takeBack(b *batch) {
	if len(b.list) == 0 {
		return
	}
	b.undo.back(e)
	for _, p := range b.list {
		e.told(p)
		p.span.End()
		e.soil(p.subject.Stack, p.cause)
	}
	for id, c := range b.settled {
		e.soil(id, c)
	}
	*b = batch{}
}
