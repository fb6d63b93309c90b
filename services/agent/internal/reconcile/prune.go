package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// prune takes away what the inventory has and the bundle has not, rank by rank. What is not gone soon stays in the inventory,
// with all that it may need to go, which comes after it; the watch tells when it is gone.
func (f *full) prune(ctx context.Context) error {
	as := identity(f.want.Policy)
	live, err := f.w.lives(ctx, as, f.held)
	if err != nil {
		return err
	}
	removals := plan.Diff(f.desired, plan.Observed{Inventory: f.stored, Stale: live}).Prune
	mine := deleted(removals)
	for rest := removals; len(rest) > 0; {
		n := sameRank(rest)
		left, err := f.w.takeAway(ctx, f.want.Policy, rest[:n], mine, f.notes)
		if err != nil {
			return err
		}
		f.leaving = append(f.leaving, left...)
		if rest = rest[n:]; len(left) == 0 || !remains(rest) {
			continue
		}
		if f.leaving, err = f.w.untilGone(ctx, as, left, f.notes, pruneLimit); err != nil {
			return err
		}
		if len(f.leaving) > 0 {
			f.held = f.held[:0]
			for _, r := range rest {
				f.held = append(f.held, r.Entry)
			}
			return nil
		}
	}
	f.held = nil
	return nil
}

// remains reports whether there is anything to be done.
func remains(removals []plan.Removal) bool {
	return slices.ContainsFunc(removals, func(r plan.Removal) bool { return r.Fate != plan.Gone && r.Fate != plan.Foreign })
}

// deleted are the uids of the objects that go: what is left of a namespace when they are gone is not the stack's.
func deleted(removals []plan.Removal) map[string]bool {
	uids := map[string]bool{}
	for _, r := range removals {
		if r.Fate == plan.Delete || r.Fate == plan.Await {
			uids[r.UID] = true
		}
	}
	return uids
}

func sameRank(r []plan.Removal) int {
	n := 1
	for n < len(r) && r[n].Rank == r[0].Rank {
		n++
	}
	return n
}

// takeAway does what is to be done with objects of one rank. It returns those that are still there and going.
func (w *worker) takeAway(ctx context.Context, p wire.Policy, removals []plan.Removal, mine map[string]bool, n notes) ([]cluster.Entry, error) {
	// What is remembered may be of a time before another process has taken over and gone on.
	if err := w.e.c.Cluster.Tenure.Holds(ctx); err != nil {
		return nil, failure{step: stepPrune, err: err}
	}
	var mu sync.Mutex
	var left []cluster.Entry
	failed := map[cluster.Key]error{}
	err := each(ctx, removals, func(ctx context.Context, r plan.Removal) error {
		going, kept, err := w.takeOne(context.WithoutCancel(ctx), p, r, mine)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			failed[r.Entry.Key] = err
		case going != "":
			left = append(left, r.Entry)
			n.leaving[r.Entry.Key] = going
		case kept != "":
			n.kept[r.Entry.Key] = kept
		}
		return nil
	})
	if len(failed) > 0 {
		return left, join(stepPrune, failed)
	}
	slices.SortFunc(left, func(a, b cluster.Entry) int { return byName(a.Key, b.Key) })
	return left, err
}

// takeOne returns for an object that is still there what it waits for, or why it is kept.
func (w *worker) takeOne(ctx context.Context, p wire.Policy, r plan.Removal, mine map[string]bool) (going, kept string, err error) {
	switch r.Fate {
	case plan.Gone:
		return "", "", nil
	case plan.Foreign:
		return "", "it belongs to somebody else now", nil
	case plan.Await, plan.Release, plan.Delete:
	}
	t, err := w.target(ctx, r.Entry)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return "", "", nil
		}
		return "", "", err
	}
	t.UID = r.UID
	if r.Fate == plan.Delete {
		if r.Why, err = w.mustKeep(ctx, p, r.Entry, mine); err != nil {
			return "", "", err
		}
		if r.Why != "" {
			r.Fate = plan.Release
		}
	}
	switch r.Fate {
	case plan.Release:
		if err := w.e.c.Cluster.Objects.Release(ctx, identity(p), t); err != nil {
			return "", "", err
		}
		w.e.c.Metrics.writes.WithLabelValues("release").Inc()
		return "", r.Why, nil
	case plan.Delete:
		if err := w.e.c.Cluster.Objects.Delete(ctx, identity(p), t); err != nil {
			return "", "", err
		}
		w.e.c.Metrics.writes.WithLabelValues("delete").Inc()
	case plan.Gone, plan.Foreign, plan.Await:
	}
	live, err := w.live(ctx, identity(p), r.Entry)
	if err != nil || live == nil || string(live.GetUID()) != r.UID {
		return "", "", err
	}
	return waitsFor(live), "", nil
}

// waitsFor says what an object waits for that is being deleted.
func waitsFor(live *unstructured.Unstructured) string {
	f := live.GetFinalizers()
	switch {
	case len(f) == 0:
		return "it is ending"
	case slices.Equal(f, []string{"foregroundDeletion"}):
		return "its dependents are ending"
	default:
		return "finalizers: " + strings.Join(f, ", ")
	}
}

// mustKeep says why an object that the stack made must not be deleted all the same. To try again for ever would not help: the stack
// could never go.
func (w *worker) mustKeep(ctx context.Context, p wire.Policy, e cluster.Entry, mine map[string]bool) (string, error) {
	guard := dependents.Guard{Contents: w.e.c.Cluster.Contents, Home: w.e.c.Namespace}
	return guard.Keep(ctx, identity(p), e.Key, mine, func() (*unstructured.Unstructured, error) { return w.live(ctx, identity(p), e) })
}
