package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func (r stacks) Purge(ctx context.Context, before time.Time, limit int) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		type row struct {
			id stack.ID
			at time.Time
		}
		var gone []row
		named := c.namedStacks()
		c.collectedStacks.each(func(k one, at time.Time) bool {
			if at.Before(micro(before)) && !named[stack.ID(k)] {
				gone = append(gone, row{stack.ID(k), at})
			}
			return true
		})
		slices.SortStableFunc(gone, func(x, y row) int { return x.at.Compare(y.at) })
		gone = gone[:min(len(gone), limit)]
		for _, x := range gone {
			c.purge(x.id)
		}
		return len(gone) == limit, nil
	})
}

// namedStacks are those that something names which is kept for a time of its own.
func (s *state) namedStacks() map[stack.ID]bool {
	named := map[stack.ID]bool{}
	object := func(id stack.ObjectID) {
		o, _ := s.objects.get(one(id))
		named[o.Stack] = true
	}
	s.events.each(func(_ numbered, e agent.Event) bool {
		object(e.Object)
		return true
	})
	s.diagnostics.each(func(_ one, d diagnostic.Request) bool {
		object(d.Object)
		return true
	})
	s.removals.each(func(_ numbered, r placement.Removal) bool {
		named[r.Stack] = true
		return true
	})
	return named
}

// purge forgets a stack that has been collected.
func (c *change) purge(id stack.ID) {
	for _, o := range c.objectsOf(id) {
		c.objects.drop(one(o))
	}
	dropAll(&c.stackObjects, string(id))
	c.decisions.drop(one(id))
	dropAll(&c.records, string(id))
	var over []rollout.ID
	c.rollouts.each(func(_ one, row rolloutRow) bool {
		if row.rollout.Stack == id {
			over = append(over, row.rollout.ID)
		}
		return true
	})
	for _, r := range over {
		c.dropRollout(r)
	}
	c.governing.drop(one(id))
	var watches []two
	c.rolloutWatches.each(func(k two, _ nothing) bool {
		if k.a == string(id) || slices.Contains(over, rollout.ID(k.b)) {
			watches = append(watches, k)
		}
		return true
	})
	for _, k := range watches {
		c.rolloutWatches.drop(k)
	}
	c.forgetReleases(id)
	c.collectedStacks.drop(one(id))
	c.stacks.drop(one(id))
}

func (s *state) objectsOf(id stack.ID) []stack.ObjectID {
	var out []stack.ObjectID
	s.stackObjects.from(numbered{a: string(id)}, func(k numbered, o stack.ObjectID) bool {
		if k.a == string(id) {
			out = append(out, o)
		}
		return k.a == string(id)
	})
	return out
}

// forgetReleases drops the stack from what drains have let go.
func (c *change) forgetReleases(id stack.ID) {
	changed := map[one]cluster.Known{}
	c.clusters.each(func(a one, k cluster.Known) bool {
		if k.Drain != nil && !k.Drain.Released[id].IsZero() {
			changed[a] = k.Copy()
		}
		return true
	})
	for a, k := range changed {
		delete(k.Drain.Released, id)
		c.clusters.put(a, k)
	}
}

// dropAll drops the rows whose keys begin with a.
func dropAll[V any](t *table[numbered, V], a string) {
	var keys []numbered
	t.from(numbered{a: a}, func(k numbered, _ V) bool {
		if k.a == a {
			keys = append(keys, k)
		}
		return k.a == a
	})
	for _, k := range keys {
		t.drop(k)
	}
}
