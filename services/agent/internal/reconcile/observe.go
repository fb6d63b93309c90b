package reconcile

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

// prepare makes the bundle comparable with the cluster. coming are kinds that the bundle's own definitions are going to
// bring: they are not served yet.
func (w *worker) prepare(ctx context.Context, s wire.Stack) (d plan.Desired, coming map[schema.GroupVersionKind]bool, err error) {
	objects, err := w.objects(ctx, s)
	if err != nil {
		return plan.Desired{}, nil, err
	}
	defined := map[schema.GroupVersionKind]cluster.Mapping{}
	for _, o := range objects {
		for _, m := range plan.Definitions(o.Unstructured) {
			defined[m.Kind] = m
		}
	}
	mappings, coming := map[schema.GroupVersionKind]cluster.Mapping{}, map[schema.GroupVersionKind]bool{}
	for _, o := range objects {
		kind := o.GroupVersionKind()
		if _, known := mappings[kind]; known {
			continue
		}
		m, err := w.e.c.Cluster.Kinds.Mapping(ctx, kind)
		if own, ok := defined[kind]; ok && fault.CodeOf(err) == cluster.CodeKindNotServed {
			mappings[kind], coming[kind] = own, true
			continue
		}
		if err != nil {
			return plan.Desired{}, nil, failure{step: stepValidate, key: o.Key(), err: located(o, err)}
		}
		mappings[kind] = m
	}
	d, err = plan.Prepare(w.e.c.Agent, s, objects, mappings, w.e.c.Scope)
	if err != nil {
		return plan.Desired{}, nil, failure{step: stepValidate, err: err}
	}
	return d, coming, nil
}

// located adds the place in the bundle to an error.
func located(o bundle.Object, err error) error {
	f, ok := fault.As(err)
	if !ok {
		return err
	}
	g := fault.New(f.Kind, f.Code, fmt.Sprintf("document %d, line %d: %s", o.Document, o.Line, f.Message)).Because(err)
	g.RetryAfter = f.RetryAfter
	return g
}

// identity is as whom the stack's objects are read and written.
func identity(p wire.Policy) cluster.Identity { return cluster.Identity(p.ServiceAccount) }

// refusal is that the API server does not accept an object.
type refusal struct {
	err    error
	exists bool // the object is there already
}

// observe looks at the objects of d: at what is there, and by dry run at what would be.
func (w *worker) observe(ctx context.Context, d plan.Desired, inv cluster.Inventory) (map[cluster.Key]plan.Observation, map[cluster.Key]refusal, error) {
	found, refused := make(map[cluster.Key]plan.Observation, len(d.Objects)), map[cluster.Key]refusal{}
	var mu sync.Mutex
	err := each(ctx, d.Objects, func(ctx context.Context, o plan.Object) error {
		seen, err := w.observeOne(ctx, d, inv, o)
		if err != nil && stops(ctx, err) {
			return failure{step: stepValidate, key: o.Key, err: err}
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused[o.Key] = refusal{err: err, exists: seen.Live != nil}
			return nil
		}
		found[o.Key] = seen
		return nil
	})
	return found, refused, err
}

// observeOne looks until what is there and what would be are of one moment: else a change of somebody in between looked
// like a difference that is the agent's to correct.
func (w *worker) observeOne(ctx context.Context, d plan.Desired, inv cluster.Inventory, o plan.Object) (plan.Observation, error) {
	p := d.Stack.Policy
	entry := plan.EntryOf(inv, o.Key)
	for tries := 1; ; tries++ {
		live, err := w.e.c.Cluster.Objects.Get(ctx, identity(p), o.Target())
		if err != nil && !fault.Is(err, fault.NotFound) {
			return plan.Observation{}, err
		}
		if err != nil {
			live = nil
		}
		seen := plan.Observation{Live: live, Payload: plan.Payload(o, live, p.IgnorePaths, d.Adopts(entry, live))}
		if live != nil && live.GetDeletionTimestamp() != nil {
			return seen, nil
		}
		seen.Would, err = w.e.c.Cluster.Objects.Apply(ctx, identity(p), o.Mapping, seen.Payload, true)
		if err != nil || tries == observeTries || isOfOneMoment(live, seen.Would) {
			return seen, err
		}
	}
}

// observeTries bounds how often a busy object is looked at anew; writing has a precondition of its own.
const observeTries = 5

func isOfOneMoment(live, would *unstructured.Unstructured) bool {
	if live == nil {
		return would.GetResourceVersion() == ""
	}
	return live.GetResourceVersion() == would.GetResourceVersion()
}

// stops reports whether an error makes going on with other objects pointless. An object whose webhook or storage fails is
// the trouble of that object.
func stops(ctx context.Context, err error) bool {
	return ctx.Err() != nil || fault.CodeOf(err) == cluster.CodeUnreachable || fault.Is(err, fault.Unauthenticated)
}

// lives reads what is there of an inventory's entries.
func (w *worker) lives(ctx context.Context, as cluster.Identity, entries []cluster.Entry) (map[cluster.Key]*unstructured.Unstructured, error) {
	live := make(map[cluster.Key]*unstructured.Unstructured, len(entries))
	var mu sync.Mutex
	err := each(ctx, entries, func(ctx context.Context, e cluster.Entry) error {
		u, err := w.live(ctx, as, e)
		if err != nil {
			return failure{step: stepPrune, key: e.Key, err: err}
		}
		if u != nil {
			mu.Lock()
			defer mu.Unlock()
			live[e.Key] = u
		}
		return nil
	})
	return live, err
}

// live returns nil if the object is not there. A kind that is not served any more has no objects.
func (w *worker) live(ctx context.Context, as cluster.Identity, e cluster.Entry) (*unstructured.Unstructured, error) {
	t, err := w.target(ctx, e)
	if err == nil {
		var u *unstructured.Unstructured
		if u, err = w.e.c.Cluster.Objects.Get(ctx, as, t); err == nil {
			return u, nil
		}
	}
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // not being there is an answer
	}
	return nil, err
}

func (w *worker) target(ctx context.Context, e cluster.Entry) (cluster.Target, error) {
	m, err := w.e.c.Cluster.Kinds.Any(ctx, e.Kind())
	return cluster.Target{Mapping: m, Namespace: e.Key.Namespace, Name: e.Key.Name}, err
}

// each calls f for the items, several at a time, and returns the first error, after which no new item is begun.
func each[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, item := range items {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return protect(func() error { return f(inner, item) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
