package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	goneLimit   = 10 * time.Second // that a removal waits for objects before it says so
	goneRetry   = 5 * time.Second  // before it looks again
	pruneLimit  = 2 * time.Second  // that a pass waits for what it has deleted before it leaves the rest to the next one
	firstGoneIn = 50 * time.Millisecond
)

// removeAll executes a tombstone: what the inventory has is taken away, rank by rank, and then the inventory itself.
func (w *worker) removeAll(ctx context.Context, r wire.Removed) (err error) {
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	w.setState(stateRemoving)
	w.settled, w.begun, w.contents, w.held = false, wire.Stack{}, contents{}, nil
	inv, err := w.e.c.Cluster.Inventories.Load(ctx, w.stack)
	if err != nil {
		return failure{step: stepInventory, err: err}
	}
	policy, generator := inv.Policy, inv.Generator
	if r.Policy != nil {
		policy, generator = *r.Policy, r.GeneratorID
	}
	n := newNotes()
	as, refused := w.e.c.Accounts.As(generator, policy.ServiceAccount)
	if refused != nil {
		as = w.standIn(inv)
		n.instead = fmt.Sprintf("removed as %s: %v", orAgent(as), refused)
	}
	policy.ServiceAccount = string(as)
	w.current = wire.Stack{StackID: w.stack, GeneratorID: generator, DeploymentObjectID: inv.Object, SequenceID: inv.Sequence, Policy: policy}
	ctx, end := w.startPass(ctx, passRemove, w.current)
	defer func() { end(err) }()

	doubt := ""
	if inv.Version == "" && w.remnant != remnantNone {
		doubt = w.noInventory()
		w.log.WarnContext(ctx, doubt, "revision", r.Revision)
	}
	if inv.Applied != "" {
		// Should the stack be assigned again before the end, what has been taken away is no drift.
		inv.Applied = ""
		if inv.Version, err = w.e.c.Cluster.Inventories.Save(ctx, inv); err != nil {
			return failure{step: stepInventory, err: err}
		}
	}
	live, err := w.lives(ctx, as, inv.Entries)
	if err != nil {
		return err
	}
	removals := plan.Removals(w.e.c.Agent, w.stack, policy, inv.Entries, live)
	mine := deleted(removals)
	for rest := removals; len(rest) > 0; {
		some := sameRank(rest)
		left, err := w.takeAway(ctx, policy, rest[:some], mine, n)
		if err != nil {
			return err
		}
		if left, err = w.untilGone(ctx, as, left, n, goneLimit); err != nil {
			return err
		}
		if len(left) > 0 {
			return &waiting{what: n.String(), retry: goneRetry}
		}
		rest = rest[some:]
	}
	if inv.Version != "" {
		if err := w.e.c.Cluster.Inventories.Delete(ctx, w.stack, inv.Version); err != nil {
			return failure{step: stepInventory, err: err}
		}
	}
	w.removed(r, n, doubt)
	return nil
}

// noInventory says what it means that there is no inventory of a stack that is to be removed. It is also so where a process before this
// one was refused the stack before anything of it was written, or has removed it and could not tell of that before it ended.
func (w *worker) noInventory() string {
	label := cluster.LabelStack + "=" + w.stack
	return fmt.Sprintf("removed nothing: no inventory was found in namespace %s; objects labelled %s may remain. Look for them with "+
		"kubectl get KINDS --all-namespaces --selector %s, and delete by hand what is not to stay", w.e.c.Namespace, label, label)
}

// standIn is as whom a stack is removed whose treatment names an account that it may not: as which it was applied, if it still may
// be, else as stacks that name none. Who wrote the treatment can so neither keep the stack in the cluster nor choose whose rights are
// used; what goes is stamped as the stack's in any case.
func (w *worker) standIn(inv cluster.Inventory) cluster.Identity {
	if as, refused := w.e.c.Accounts.As(inv.Generator, inv.Policy.ServiceAccount); refused == nil {
		return as
	}
	return cluster.Identity(w.e.c.Accounts.Default)
}

func orAgent(as cluster.Identity) string {
	if as == "" {
		return "the agent itself"
	}
	return "service account " + string(as)
}

// untilGone waits until objects that are being deleted are gone, so that what they need outlives them: the controller
// that takes their finalizers off, the kind that they are of. It returns those that are still there after the limit.
func (w *worker) untilGone(ctx context.Context, as cluster.Identity, left []cluster.Entry, n notes, limit time.Duration) ([]cluster.Entry, error) {
	deadline := time.Now().Add(limit)
	for wait := firstGoneIn; len(left) > 0; wait = min(2*wait, time.Second) {
		if time.Now().After(deadline) {
			return left, nil
		}
		if err := w.pause(ctx, wait); err != nil {
			return nil, err
		}
		var still []cluster.Entry
		for _, e := range left {
			live, err := w.live(ctx, as, e)
			if err != nil {
				return nil, failure{step: stepRemove, key: e.Key, err: err}
			}
			// One without deletion timestamp has been made anew by somebody else.
			if live != nil && live.GetDeletionTimestamp() != nil {
				still = append(still, e)
				n.leaving[e.Key] = waitsFor(live)
				continue
			}
			delete(n.leaving, e.Key)
		}
		left = still
	}
	return nil, nil
}

// acknowledged is what the broker is told of a removal that is done. doubt says why something may be left; empty: nothing is.
func acknowledged(r wire.Removed, doubt string) wire.Removed {
	return wire.Removed{StackID: r.StackID, Revision: r.Revision, Message: health.Shorten(doubt, maxText)}
}

// removed acknowledges the tombstone, unless it has been superseded by a new assignment meanwhile.
func (w *worker) removed(r wire.Removed, n notes, doubt string) {
	w.e.c.Cluster.Watches.Use(w.stack, nil)
	w.seen, w.targets, w.leaving, w.fights = map[cluster.Key]state{}, nil, nil, newFights()
	w.setState(stateRemoved)
	if doubt == "" {
		w.remnant = remnantNone
	}
	w.log.Info("stack removed", "revision", r.Revision, "notes", n.String())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tombstone != nil {
		w.gone, w.doubt = true, doubt
		w.e.c.Reports.Removed(acknowledged(*w.tombstone, doubt))
	}
}
