package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// Undo takes away what an order has made that is not to stay: of one that has succeeded what has run to its end, of others everything
// on which nobody else depends.
func (c Cluster) Undo(ctx context.Context, order string) { c.settle(ctx, order, false) }

// Told is told that the broker has the result of an order that succeeded: what has run to its end (Jobs, Pods, builds) goes, the rest
// stays and belongs to nobody.
func (c Cluster) Told(ctx context.Context, order string) { c.settle(ctx, order, false) }

// Leftovers returns the orders of which something was left behind: the agent lost them, or could not tidy up.
func (c Cluster) Leftovers(ctx context.Context) ([]string, error) {
	list, err := c.Owned.Orders(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what work orders have left: %w", err)
	}
	out := make([]string, len(list))
	for i, inv := range list {
		out[i] = inv.Stack
	}
	return out, nil
}

// inventory of an order; while the API server does not answer it waits.
func (c Cluster) inventory(ctx context.Context, order string) (inv cluster.Inventory, err error) {
	err = persist(ctx, func() error { inv, err = c.Inventories.Load(ctx, order); return err })
	return inv, err
}

// note writes down that the order has succeeded, before anybody is told. An order of which that cannot be written has failed: it would
// be undone some day.
func (c Cluster) note(ctx context.Context, order, message string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanup)
	defer cancel()
	err := persist(ctx, func() error {
		inv, err := c.Inventories.Load(ctx, order)
		if err != nil {
			return err
		}
		inv.Name, inv.Order, inv.Applied, inv.Message = ordersName, true, isDone, message
		_, err = c.Inventories.Save(ctx, inv)
		return err
	})
	if err != nil {
		return fmt.Errorf("it succeeded, but that could not be written down in the cluster: %w", err)
	}
	return nil
}

// left is what settle found, and what it left.
type left struct {
	succeeded bool
	message   string   // of the success
	kept      []string // what had to stay, and why
}

func (l left) stays() string {
	if len(l.kept) == 0 {
		return ""
	}
	return "; what it made stays in part: " + dependents.First(l.kept, "; ")
}

// settle deletes what goes, rank by rank, lets the rest belong to nobody, and forgets the order. If it is tried again, what must stay
// remains the order's, so that the next attempt finds it. What fails is left to be done when the order is begun again or is found
// among the leftovers, and said.
func (c Cluster) settle(ctx context.Context, order string, again bool) (l left) {
	ctx, cancel := context.WithTimeout(ctx, cleanup)
	defer cancel()
	inv, err := c.inventory(ctx, order)
	if err != nil {
		c.Log.WarnContext(ctx, "what a work order made cannot be looked up, and stays", "order", order, "error", err.Error())
		return l
	}
	l.succeeded, l.message = inv.Applied == isDone, inv.Message
	failed := c.leave(ctx, order, inv, again && !l.succeeded, &l)
	if len(l.kept) > 0 {
		c.Log.WarnContext(ctx, "a part of what a work order made must stay", "order", order, "what", strings.Join(l.kept, "; "))
	}
	if failed == nil && inv.Version != "" && (len(l.kept) == 0 || !again) {
		failed = persist(ctx, func() error { return c.Inventories.Delete(ctx, order, "") })
	}
	if failed != nil {
		c.Log.WarnContext(ctx, "a part of what a work order made could not be removed", "order", order, "error", failed.Error())
	}
	return l
}

// thing is what an order has made, as it is in the cluster.
type thing struct {
	key    cluster.Key
	target cluster.Target // with its UID
	live   *unstructured.Unstructured
	goes   bool
}

// leave does to each object that is still the order's what settle says: what needs others before what they need, so that there is
// still somebody to take finalizers off.
func (c Cluster) leave(ctx context.Context, order string, inv cluster.Inventory, again bool, l *left) error {
	things, err := c.made(ctx, order, inv)
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for i := range things {
		t := &things[i]
		t.goes = (!l.succeeded || runsToItsEnd(t.key)) && t.live.GetAnnotations()[cluster.AnnotationPrune] != cluster.PruneNever
		if t.goes {
			mine[t.target.UID] = true
		}
	}
	rank := func(t thing) plan.Rank { return plan.RankOf(t.key.GroupKind()) }
	for len(things) > 0 {
		n := slices.IndexFunc(things, func(t thing) bool { return rank(t) != rank(things[0]) })
		if n < 0 {
			n = len(things)
		}
		var failed error
		for _, t := range things[:n] {
			if err := c.release(ctx, t, mine, again, l); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", t.key, err))
			}
		}
		if failed != nil {
			return failed
		}
		if slices.ContainsFunc(things[n:], func(t thing) bool { return t.goes }) {
			if err := c.awaitEnd(ctx, things[:n]); err != nil {
				return err
			}
		}
		things = things[n:]
	}
	return nil
}

// made returns what is still the order's, in the order in which it goes.
func (c Cluster) made(ctx context.Context, order string, inv cluster.Inventory) ([]thing, error) {
	var out []thing
	for _, e := range inv.Entries {
		var m cluster.Mapping
		err := persist(ctx, func() (err error) { m, err = c.Kinds.Any(ctx, e.Kind()); return err })
		if fault.CodeOf(err) == cluster.CodeKindNotServed {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		t := thing{key: e.Key, target: cluster.Target{Mapping: m, Namespace: e.Key.Namespace, Name: e.Key.Name}}
		err = persist(ctx, func() (err error) { t.live, err = c.Objects.Get(ctx, "", t.target); return err })
		if fault.Is(err, fault.NotFound) || (err == nil && !c.isOf(t.live, order)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		t.target.UID = string(t.live.GetUID())
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b thing) int {
		return int(plan.RankOf(b.key.GroupKind())) - int(plan.RankOf(a.key.GroupKind()))
	})
	return out, nil
}

// release takes one object away, or lets it belong to nobody: what is to stay, and what others depend on.
func (c Cluster) release(ctx context.Context, t thing, mine map[string]bool, again bool, l *left) error {
	if t.goes {
		var why string
		guard := dependents.Guard{Contents: c.Contents, Home: c.Home}
		err := persist(ctx, func() (err error) {
			why, err = guard.Keep(ctx, "", t.key, mine, func() (*unstructured.Unstructured, error) { return t.live, nil })
			return err
		})
		if err != nil {
			return err
		}
		if why == "" {
			return persist(ctx, func() error { return c.Objects.Delete(ctx, "", t.target) })
		}
		if l.kept = append(l.kept, t.key.String()+": "+why); again {
			return nil
		}
	}
	return persist(ctx, func() error { return c.Objects.Release(ctx, "", t.target) })
}

// awaitEnd waits until those of the things that go are gone.
func (c Cluster) awaitEnd(ctx context.Context, things []thing) error {
	for _, t := range things {
		for t.goes {
			live, err := c.Objects.Get(ctx, "", t.target)
			if fault.Is(err, fault.NotFound) || (err == nil && string(live.GetUID()) != t.target.UID) || (err == nil && live.GetDeletionTimestamp() == nil) {
				break // gone, or it had to stay
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is still being deleted", t.key)
			case <-time.After(lookEvery / 4):
			}
		}
	}
	return nil
}
