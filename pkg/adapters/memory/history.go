package memory

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type history struct{ s session }

// recordsOf returns what scope sees of the records about a stack, the oldest first.
func (s *state) recordsOf(scope tenancy.Scope, id stack.ID) []placement.Record {
	st, ok := s.stacks.get(one(id))
	if !ok || !scope.Owns(st.Generator) {
		return nil
	}
	var out []placement.Record
	s.records.from(numbered{a: string(id)}, func(k numbered, r placement.Record) bool {
		if k.a != string(id) {
			return false
		}
		out = append(out, copyRecord(r))
		return true
	})
	return out
}

func (r history) Page(ctx context.Context, scope tenancy.Scope, id stack.ID, q page.Query) (page.Page[placement.Record], error) {
	return read(ctx, r.s, func(s *state) (page.Page[placement.Record], error) {
		var all []placement.Record
		until, asked := q.Is["at"]
		for _, rec := range s.recordsOf(scope, id) {
			if !asked || page.Time(rec.At) <= until {
				all = append(all, rec)
			}
		}
		return placement.RecordList().Cut(all, q), nil
	})
}

func (r history) At(ctx context.Context, scope tenancy.Scope, id stack.ID, at time.Time) (placement.Record, error) {
	return read(ctx, r.s, func(s *state) (placement.Record, error) {
		var found *placement.Record
		for _, rec := range s.recordsOf(scope, id) {
			if !rec.At.After(at) {
				found = &rec
			}
		}
		if found == nil {
			return placement.Record{}, notFound("decision_not_found", "a decision for stack", id)
		}
		return *found, nil
	})
}

func (r history) Keep(ctx context.Context, before, _ time.Time, limit int) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		var gone []numbered
		c.records.each(func(k numbered, rec placement.Record) bool {
			if d, _ := c.decisions.get(one(k.a)); rec.At.Before(before) && k.n < d.generation {
				gone = append(gone, k)
			}
			return len(gone) < limit
		})
		for _, k := range gone {
			c.records.drop(k)
		}
		return len(gone) == limit, nil
	})
}
