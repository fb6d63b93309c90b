package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	firstHealthGap = 500 * time.Millisecond
	lastHealthGap  = 30 * time.Second
	// correctRest bounds the share of time that is spent on objects that keep changing: comparing them takes the whole
	// bundle to be parsed, and the rest after it is this many times as long.
	correctRest = 4
	lookRetry   = 5 * time.Second
)

// settle takes over what a full pass has found out.
func (w *worker) settle(f *full) {
	w.inForce, w.begun = f.want, wire.Stack{}
	w.contents.only(f.want.Checksum)
	w.settled, w.inventory, w.seen, w.held = true, f.stored, f.state, nil
	w.leaving = map[cluster.Key]bool{}
	w.targets = make(map[cluster.Key]cluster.Target, len(f.desired.Objects))
	for _, o := range f.desired.Objects {
		w.targets[o.Key] = o.Target()
	}
	for _, e := range f.leaving {
		w.leaving[e.Key] = true
	}
	for _, e := range f.stored.Entries {
		if e.Adopted {
			f.notes.adopted[e.Key] = true
		}
	}
	w.notes = f.notes
	w.use(f.desired.Objects, slices.Concat(f.leaving, f.held))
	w.setState(stateApplied)
	w.watchHealth(firstHealthGap)
}

// use has the kinds of objects watched, and of entries that are not wanted any more.
func (w *worker) use(objects []plan.Object, more []cluster.Entry) {
	inUse := map[schema.GroupVersionResource]cluster.Mapping{}
	for _, o := range objects {
		inUse[o.Mapping.Resource] = o.Mapping
	}
	for _, e := range more {
		if t, err := w.target(context.Background(), e); err == nil {
			inUse[t.Mapping.Resource] = t.Mapping
		}
	}
	w.e.c.Cluster.Watches.Use(w.stack, slices.Collect(maps.Values(inUse)))
}

// watchHealth plans the next look at what is not healthy. Changes of status come from the watch at once; the reasons of
// pods do not.
func (w *worker) watchHealth(gap time.Duration) {
	w.healthAt, w.healthGap = never(), gap
	for _, s := range w.seen {
		if !s.isHealthy() {
			w.healthAt = time.Now().Add(jitter(gap, 10))
			return
		}
	}
}

// look takes care of what a watch told of, of contested fields whose truce is over, and of what is not healthy.
func (w *worker) look(ctx context.Context, s wire.Stack, dirty map[cluster.Key]cluster.Change) error {
	moment := time.Now()
	suspects, check := w.sort(dirty)
	for _, k := range w.fights.due(w.looked, moment) {
		suspects[k] = true
	}
	w.looked = moment
	w.fights.expire(moment)
	maps.Copy(suspects, w.held)
	if w.held = nil; len(suspects) > 0 && moment.Before(w.rested) {
		w.held, suspects = suspects, nil
	}
	gap := firstHealthGap
	if !moment.Before(w.healthAt) {
		gap = min(2*w.healthGap, lastHealthGap)
		for k, o := range w.seen {
			if !o.isHealthy() {
				check[k] = true
			}
		}
	}
	if len(suspects)+len(check) == 0 {
		return nil
	}
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	ctx, end := w.startPass(ctx, passLook, s)
	err := w.correct(ctx, s, suspects)
	w.rested = time.Now().Add(correctRest * time.Since(moment))
	if err == nil {
		maps.Copy(check, suspects)
		err = w.checkHealth(ctx, check)
	}
	end(err)
	w.watchHealth(gap)
	if err != nil {
		if len(suspects) > 0 { // else those that are held, if any, have not been looked at
			w.held = suspects
		}
		w.rested = time.Now().Add(lookRetry)
		return err
	}
	w.tellHealth()
	return nil
}

// sort tells what may have drifted from what has a new status only, and leaves out echoes of the agent's own writes.
func (w *worker) sort(dirty map[cluster.Key]cluster.Change) (suspects, check map[cluster.Key]bool) {
	suspects, check = map[cluster.Key]bool{}, map[cluster.Key]bool{}
	for k, c := range dirty {
		was, known := w.seen[k]
		switch {
		case c.Present != nil:
			for o := range w.seen {
				if o.GroupKind() == k.GroupKind() && !c.Present[o] {
					suspects[o] = true
				}
			}
			for o := range w.leaving {
				if o.GroupKind() == k.GroupKind() && !c.Present[o] {
					w.fullAt = time.Now() // as below
				}
			}
		case w.leaving[k] && c.Gone:
			w.fullAt = time.Now() // the inventory can do without it now
		case !known || (!c.Gone && c.Version == was.version):
		case c.Gone || c.Fingerprint != was.fingerprint:
			suspects[k] = true
		default:
			check[k] = true
		}
	}
	return suspects, check
}

// correct compares single objects with what they should be, and applies what differs.
func (w *worker) correct(ctx context.Context, s wire.Stack, suspects map[cluster.Key]bool) error {
	if len(suspects) == 0 {
		return nil
	}
	f := w.newFull(s)
	f.stored, f.settled = w.inventory, true
	var err error
	if f.desired, _, err = w.prepare(ctx, s); err != nil {
		return err
	}
	var todo []plan.Object
	for _, o := range f.desired.Objects {
		if suspects[o.Key] {
			todo = append(todo, o)
		}
	}
	set, refused, err := f.compare(ctx, todo)
	if err != nil {
		return err
	}
	for k, r := range refused {
		f.refused[k] = r.err
	}
	err = f.write(ctx, set)
	w.inventory = f.stored
	maps.Copy(w.seen, f.state)
	w.notes = w.notes.over(f.notes, keysOf(suspects))
	if len(set.Terminating) > 0 {
		w.fullAt = earlier(w.fullAt, time.Now().Add(terminatingRetry))
	}
	if err != nil {
		return err
	}
	return f.left()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// checkHealth reads objects anew, and asks the pods of those that are not healthy.
func (w *worker) checkHealth(ctx context.Context, keys map[cluster.Key]bool) error {
	as, rules := identity(w.inForce.Policy), w.rulesOf(w.inForce)
	type result struct {
		key   cluster.Key
		state state
	}
	results := make(chan result, len(keys))
	err := each(ctx, keysOf(keys), func(ctx context.Context, k cluster.Key) error {
		t, known := w.targets[k]
		if !known {
			return nil
		}
		live, err := w.e.c.Cluster.Objects.Get(ctx, as, t)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return failure{step: stepHealth, key: k, err: err}
		}
		if err != nil {
			if w.seen[k].expired {
				return nil
			}
			live = nil
		}
		s := stateOf(rules, k, live)
		if live != nil && !s.isHealthy() {
			if selector, ok := health.PodSelector(live); ok {
				pods, err := w.e.c.Cluster.Contents.Pods(ctx, k.Namespace, selector)
				switch {
				case err == nil:
					s.health = health.WithPods(s.health, pods)
				case fault.Is(err, fault.Forbidden): // then the object's own status has to do
				default:
					return failure{step: stepHealth, key: k, err: err}
				}
			}
		}
		results <- result{k, s}
		return nil
	})
	close(results)
	for r := range results {
		was := w.seen[r.key]
		if was.fingerprint != r.state.fingerprint {
			// It has changed between the looks: what the watch tells of it must not be taken for known.
			r.state.version, r.state.fingerprint = was.version, was.fingerprint
		}
		w.seen[r.key] = r.state
	}
	return err
}
