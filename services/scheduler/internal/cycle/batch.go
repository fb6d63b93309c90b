package cycle

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	// A batch is committed when it has so many decisions or changes, or its first decision has waited for so long.
	batchDecisions = 128
	batchChanges   = 4000
	batchAge       = 100 * time.Millisecond

	// turn is how long is decided before the outbox is read again: what is published while thousands of stacks are decided
	// about waits no longer.
	turn = 250 * time.Millisecond
)

// batch is decisions that are committed together. Each is decided on the snapshot that the ones before it leave, so that the
// snapshot is ahead of the store until the commit; if that fails, undo brings it back.
type batch struct {
	list    []*pending
	changes int
	began   time.Time
	settled map[stack.ID]cause // needed nothing, going by what the batch did before them
	undo    *undo
}

func (b *batch) full() bool {
	return len(b.list) >= batchDecisions || b.changes >= batchChanges || (len(b.list) > 0 && time.Since(b.began) >= batchAge)
}

// stage brings the snapshot to where the decision leaves the store, before it is there.
func (e *Engine) stage(b *batch, p *pending) {
	if len(b.list) == 0 {
		b.began, b.settled, b.undo = time.Now(), map[stack.ID]cause{}, e.remember()
	}
	b.undo.before(e, p)
	e.apply(p)
	b.list, b.changes = append(b.list, p), b.changes+len(p.decision.Changes)
	delete(e.dirty, p.subject.Stack) // from here on others may make it dirty again
}

// apply brings the snapshot to where the decision leaves the store.
func (e *Engine) apply(p *pending) {
	id := p.subject.Stack
	e.world.depends[id] = p.step.depends
	e.world.rolled(id, p.step)
	if !p.news {
		return
	}
	e.settled(p.subject, p.decision, p.now)
	e.world.committed(p.decision, p.now)
	if p.spent.Count > 0 {
		e.window = e.window.With(p.spent)
	}
}

// writing returns what stores the decisions, all or none, and returns the new revisions of the agents that they concern. It may run
// beside the engine.
func (e *Engine) writing(list []*pending) func(context.Context) (map[agent.ID]delivery.Revision, error) {
	after, most, spent := e.spending(list)
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y *pending) int { return strings.Compare(string(x.subject.Stack), string(y.subject.Stack)) })
	return func(ctx context.Context) (revisions map[agent.ID]delivery.Revision, err error) {
		err = e.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
			if len(spent) > 0 { // first: everybody locks in this order
				if err := tx.Removals().Add(ctx, after, most, spent...); err != nil {
					return err
				}
			}
			var commits []ports.Commit
			var events []event.Event
			for _, p := range list {
				if !p.news { // else the commit checks it
					if err := tx.Leases().Check(ctx, p.commit.Lease); err != nil {
						return err
					}
				}
				if err := p.step.save(ctx, tx, p.subject, p.now, e.opt.NewID); err != nil {
					return err
				}
				if p.news {
					commits, events = append(commits, p.commit), append(events, p.event())
				}
			}
			revisions = nil
			if len(commits) == 0 {
				return nil
			}
			var err error
			if revisions, err = tx.Decisions().Commit(ctx, commits...); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, events...)
		})
		return revisions, err
	}
}

func (p *pending) event() event.Event {
	return event.Event{Type: event.PlacementDecided, Stack: p.subject.Stack, Generator: p.subject.Generator, Traceparent: p.commit.Record.Traceparent, At: p.now,
		Data: map[string]any{"generation": p.subject.Generation + 1, "changes": len(p.decision.Changes), "held": p.decision.Hold != nil, "blocked": countBlocked(p.decision.Blocked), "removals": p.spent.Count}}
}

// order returns the dirty stacks that are not passed over: first those that something has happened to, or that nobody has
// decided about since; how many these are; then those that are only looked at again.
func (e *Engine) order() (ids []stack.ID, urgent int) {
	var rest []stack.ID
	for id, c := range e.dirty {
		switch {
		case e.passed[id]:
		case c.event != resync || e.undecided(id):
			ids = append(ids, id)
		default:
			rest = append(rest, id)
		}
	}
	return append(e.inTurn(ids), e.inTurn(rest)...), len(ids)
}

// inTurn brings stacks into the order of their ids, so that the same events lead to the same batches, beginning where the last turn
// ended: those at the front that are dirty time and again keep no others waiting. There may be a hundred thousand at each turn, so that
// what their ids begin with is compared as a number.
func (e *Engine) inTurn(ids []stack.ID) []stack.ID {
	type place struct {
		begins uint64
		id     stack.ID
	}
	list := make([]place, len(ids))
	for i, id := range ids {
		var head [8]byte
		copy(head[:], id)
		list[i] = place{binary.BigEndian.Uint64(head[:]), id}
	}
	slices.SortFunc(list, func(x, y place) int {
		if x.begins != y.begins {
			return cmp.Compare(x.begins, y.begins)
		}
		return cmp.Compare(x.id, y.id)
	})
	for i, x := range list {
		ids[i] = x.id
	}
	i, _ := slices.BinarySearch(ids, e.next)
	return slices.Concat(ids[i:], ids[:i])
}

// undecided reports whether what a stack has now was never decided about, as far as its assignments show.
func (e *Engine) undecided(id stack.ID) bool {
	s := e.world.subjects[id]
	if s.Generation == 0 || !policy.Same(s.Policy, s.Decided) {
		return true
	}
	if s.Newest == nil {
		return false
	}
	for _, a := range e.world.priors[id] {
		if a.Object != s.Newest.ID || !a.Treatment.Equal(s.Treatment.Annotated(s.Annotations)) {
			return true
		}
	}
	return false
}

// undo is the snapshot as it was, as far as a batch changes it.
type undo struct {
	fleet    *placement.Fleet
	assigned int
	window   placement.FleetWindow
	subjects map[stack.ID]placement.Subject
	priors   map[stack.ID]placement.Prior
	rollouts map[stack.ID]rollout.Rollout // absent: there was none
	depends  map[stack.ID][]stack.ID      // absent: it was not known
	clusters map[agent.ID]placement.Cluster
	promises placement.Promises
}

func (e *Engine) remember() *undo {
	return &undo{fleet: e.world.fleet, assigned: e.world.assigned, window: e.window,
		subjects: map[stack.ID]placement.Subject{}, priors: map[stack.ID]placement.Prior{}, rollouts: map[stack.ID]rollout.Rollout{},
		depends: map[stack.ID][]stack.ID{}, clusters: map[agent.ID]placement.Cluster{}, promises: placement.Promises{}}
}

// before keeps what the decision changes. A stack is decided about once in a batch, a cluster perhaps often.
func (u *undo) before(e *Engine, p *pending) {
	id, w := p.subject.Stack, e.world
	u.subjects[id] = w.subjects[id]
	if was, ok := w.priors[id]; ok {
		u.priors[id] = was
	}
	if r, ok := w.rollouts[id]; ok {
		u.rollouts[id] = r
	}
	if d, ok := w.depends[id]; ok {
		u.depends[id] = d
	}
	for _, ch := range p.decision.Changes {
		if _, kept := u.clusters[ch.Agent]; kept {
			continue
		}
		if c, ok := w.clusters[ch.Agent]; ok {
			u.clusters[ch.Agent] = c
			if list, ok := w.promises[ch.Agent]; ok {
				u.promises[ch.Agent] = slices.Clone(list)
			}
		}
	}
}

// back brings the snapshot back.
func (u *undo) back(e *Engine) {
	w := e.world
	if w.fleet != u.fleet {
		w.fleet = u.fleet.With(nil, nil) // an older snapshot would remember nothing from one decision to the next
	}
	w.assigned, e.window = u.assigned, u.window
	for _, s := range u.subjects {
		w.put(s)
	}
	maps.Copy(w.clusters, u.clusters)
	for id := range u.subjects {
		w.holdings.move(id, w.priors[id], u.priors[id])
		restore(w.priors, u.priors, id)
		restore(w.rollouts, u.rollouts, id)
		restore(w.depends, u.depends, id)
	}
	for a := range u.clusters {
		restore(w.promises, u.promises, a)
	}
	w.list = nil
}

// restore makes m have of a key what old has.
func restore[K comparable, V any](m, old map[K]V, key K) {
	if v, ok := old[key]; ok {
		m[key] = v
	} else {
		delete(m, key)
	}
}
