package reconcile

import (
	"context"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// applyChanges applies rank by rank; objects of one rank in parallel. It stops after a rank of which something failed.
func (f *full) applyChanges(ctx context.Context, changes []plan.Change) error {
	free, err := f.w.e.claims.take(f.w.stack, changes)
	if err != nil {
		return err
	}
	defer free()
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].Object.Rank == changes[0].Object.Rank {
			n++
		}
		if err := f.applyRank(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

func (f *full) applyRank(ctx context.Context, changes []plan.Change) error {
	var mu sync.Mutex
	failed := map[cluster.Key]error{}
	err := each(ctx, changes, func(ctx context.Context, c plan.Change) error {
		// The request in hand is finished also when the pass is superseded, so that its result is known.
		done, did, err := f.applyOne(context.WithoutCancel(ctx), c)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed[c.Object.Key] = err
			return nil
		}
		f.state[c.Object.Key] = done
		if did != "" {
			f.did[c.Object.Key] = did
			f.w.note(c)
		}
		return nil
	})
	if len(failed) > 0 {
		return join(stepApply, failed)
	}
	if err == nil && plan.IsDefinition(changes[0].Object.Key.GroupKind()) {
		f.w.e.c.Cluster.Kinds.Forget()
	}
	return err
}

// applyOne writes an object as it was seen; if it has changed since, it is looked at again, and may be as wanted by now. did is
// what was done then; empty: nothing.
func (f *full) applyOne(ctx context.Context, c plan.Change) (s state, did plan.Action, err error) {
	as, objects := identity(f.want.Policy), f.w.e.c.Cluster.Objects
	for tries := 1; ; tries++ {
		u, err := f.applyAsSeen(ctx, objects, as, c)
		if err == nil && c.Action == plan.Create && plan.IsShared(u) {
			// Somebody else has made it in the same moment, and nothing that the two want differs: it was there before.
			c.Action, c.Before, c.Payload = plan.Adopt, u.GetResourceVersion(), plan.Payload(c.Object, u, f.want.Policy.IgnorePaths, true)
			u, err = f.applyAsSeen(ctx, objects, as, c)
		}
		if err == nil {
			return stateOf(f.rules, c.Object.Key, u), c.Action, nil
		}
		if !fault.Is(err, fault.Conflict) || tries == applyTries {
			return state{}, "", err
		}
		seen, err := f.w.observeOne(ctx, f.desired, f.stored, c.Object)
		if err != nil {
			return state{}, "", err
		}
		alone := plan.Desired{Agent: f.desired.Agent, Stack: f.desired.Stack, Objects: []plan.Object{c.Object}}
		again := plan.Diff(alone, plan.Observed{
			Inventory: f.stored, Objects: map[cluster.Key]plan.Observation{c.Object.Key: seen}, Partial: true,
		})
		switch {
		case len(again.Conflicts) > 0:
			return state{}, "", fault.New(fault.Refused, codeNotOwned, again.Conflicts[0].Reason)
		case len(again.Changes) == 0:
			return stateOf(f.rules, c.Object.Key, seen.Live), "", nil
		}
		c = again.Changes[0]
		if left := f.truces[c.Object.Key]; len(left) > 0 {
			rest, some := c.Without(left, f.want.Policy.IgnorePaths)
			if !some {
				return stateOf(f.rules, c.Object.Key, seen.Live), "", nil
			}
			c = rest
		}
	}
}

// applyAsSeen is a Conflict if the object is not as it was seen. Server-side apply has no precondition for an object that
// was not there: it is looked for once more, and if it comes in the moment after that, nothing of it is overwritten. Other stacks
// of this agent cannot make it meanwhile (see claims).
func (f *full) applyAsSeen(ctx context.Context, objects cluster.Objects, as cluster.Identity, c plan.Change) (*unstructured.Unstructured, error) {
	if c.Before != "" {
		payload := c.Payload.DeepCopy()
		payload.SetResourceVersion(c.Before)
		return objects.Apply(ctx, as, c.Object.Mapping, payload, false)
	}
	if _, err := objects.Get(ctx, as, c.Object.Target()); !fault.Is(err, fault.NotFound) {
		if err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Conflict, "object_appeared", "somebody else has made it meanwhile")
	}
	return objects.Introduce(ctx, as, c.Object.Mapping, c.Payload)
}

const (
	applyTries   = 5
	codeNotOwned = "not_owned"
)

// note counts what was done, and remembers corrections for telling fights.
func (w *worker) note(c plan.Change) {
	action := string(c.Action)
	if c.Drift {
		action = "correct"
		w.e.c.Metrics.drift.WithLabelValues("corrected").Inc()
		w.log.Info("drift corrected", "object", c.Object.Key.String(), "paths", dependents.First(c.Paths, ", "), "managers", strings.Join(c.By, ", "))
		if contested := w.fights.corrected(c.Object.Key, fought(c), c.By, time.Now()); len(contested) > 0 {
			w.log.Warn("a field is contested and is left for a while", "object", c.Object.Key.String(), "paths", dependents.First(contested, ", "), "managers", strings.Join(c.By, ", "))
		}
	}
	w.e.c.Metrics.writes.WithLabelValues(action).Inc()
}

// peace leaves fields as they are that another manager keeps changing, for as long as their truce lasts. What else differs in the same
// object is corrected.
func (f *full) peace(changes []plan.Change) []plan.Change {
	out, fights, now := make([]plan.Change, 0, len(changes)), f.w.fights, time.Now()
	for _, c := range changes {
		var contested []string
		if c.Drift {
			contested = fights.contested(c.Object.Key, fought(c), now)
		}
		if len(contested) == 0 {
			out = append(out, c)
			continue
		}
		f.truces[c.Object.Key] = contested
		f.notes.contested[c.Object.Key] = fights.say(c.Object.Key, contested)
		f.w.e.c.Metrics.drift.WithLabelValues("contested").Inc()
		if rest, some := c.Without(contested, f.want.Policy.IgnorePaths); some {
			out = append(out, rest)
		}
	}
	return out
}

// wholeObject is the path of an object that was deleted.
const wholeObject = ""

// fought are the paths that a correction is about.
func fought(c plan.Change) []string {
	if c.Action == plan.Create {
		return []string{wholeObject}
	}
	return c.Paths
}

// by names managers.
func by(managers []string) string {
	if len(managers) == 0 {
		return ""
	}
	return ", set by " + strings.Join(managers, ", ")
}

// claims keep two stacks of one agent from making the same object at the same time: each would find it absent.
type claims struct {
	mu   sync.Mutex
	held map[cluster.Key]string // the stack that is making it
}

// take claims all objects that are to be made or taken over, or none.
func (c *claims) take(stack string, changes []plan.Change) (free func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []cluster.Key
	for _, ch := range changes {
		if ch.Action == plan.Update {
			continue
		}
		if other, held := c.held[ch.Object.Key]; held && other != stack {
			return nil, failure{step: stepOwnership, key: ch.Object.Key, err: fault.Newf(fault.Refused, codeNotOwned, "owned_by stack %s, which is making it now", other)}
		}
		keys = append(keys, ch.Object.Key)
	}
	for _, k := range keys {
		c.held[k] = stack
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, k := range keys {
			delete(c.held, k)
		}
	}, nil
}
