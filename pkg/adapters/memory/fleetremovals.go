package memory

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

type removals struct{ s session }

func (s *state) removalsAfter(after time.Time) []placement.Removal {
	var out []placement.Removal
	s.removals.each(func(_ numbered, r placement.Removal) bool {
		if r.At.After(micro(after)) {
			out = append(out, r)
		}
		return true
	})
	slices.SortStableFunc(out, func(x, y placement.Removal) int { return x.At.Compare(y.At) })
	return out
}

func (r removals) Since(ctx context.Context, after time.Time) ([]placement.Removal, error) {
	return read(ctx, r.s, func(s *state) ([]placement.Removal, error) { return s.removalsAfter(after), nil })
}

func (r removals) Assigned(ctx context.Context) (int, error) {
	return read(ctx, r.s, func(s *state) (int, error) {
		n := 0
		s.assignments.each(func(_ two, a delivery.Assignment) bool {
			if a.State == delivery.Assigned {
				n++
			}
			return true
		})
		return n, nil
	})
}

func (r removals) Add(ctx context.Context, after time.Time, most int, list ...placement.Removal) error {
	return r.s.update(ctx, func(c *change) error {
		n := 0
		for _, old := range c.removalsAfter(after) {
			n += old.Count
		}
		if len(list) > 0 && n > most {
			return fault.Newf(fault.Conflict, "stale", "stacks were taken away from %d clusters of late, where a decision rests on at most %d", n, most)
		}
		for _, x := range list {
			if x.Count < 1 {
				return fault.Newf(fault.Refused, "check_violation", "a removal of %d clusters is none", x.Count).With("constraint", "fleet_removals_count")
			}
			if !c.stacks.has(one(x.Stack)) {
				return fault.Newf(fault.Refused, "foreign_key_violation", "stack %s is not there", x.Stack).With("constraint", "fleet_removals_stack_id_fkey")
			}
		}
		last := int64(0)
		c.removals.back(numbered{n: math.MaxInt64}, func(k numbered, _ placement.Removal) bool {
			last = k.n
			return false
		})
		for _, x := range list {
			last++
			x.At = micro(x.At)
			c.removals.put(numbered{n: last}, x)
		}
		return nil
	})
}

func (r removals) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		type row struct {
			k  numbered
			at time.Time
		}
		var old []row
		c.removals.each(func(k numbered, x placement.Removal) bool {
			if x.At.Before(micro(before)) {
				old = append(old, row{k, x.At})
			}
			return true
		})
		slices.SortStableFunc(old, func(x, y row) int { return x.at.Compare(y.at) })
		old = old[:min(limit, len(old))]
		for _, o := range old {
			c.removals.drop(o.k)
		}
		return len(old), nil
	})
}
