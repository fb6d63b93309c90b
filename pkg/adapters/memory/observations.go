package memory

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type observations struct{ s session }

func (r observations) Add(ctx context.Context, at time.Time, parcels []observation.Parcel) ([]observation.Receipt, error) {
	at = micro(at)
	return write(ctx, r.s, func(c *change) ([]observation.Receipt, error) {
		numbers := map[two]bool{}
		for _, p := range parcels {
			k := two{string(p.Agent), p.Boot}
			if p.Boot != "" && numbers[k] {
				return nil, twoParcels()
			}
			numbers[k] = true
		}
		out := make([]observation.Receipt, len(parcels))
		for i, p := range parcels {
			out[i] = c.addParcel(at, p)
		}
		return out, nil
	})
}

func twoParcels() error {
	return fault.New(fault.Invalid, "invalid_telemetry", "two parcels of one process came together")
}

func (c *change) addParcel(at time.Time, p observation.Parcel) observation.Receipt {
	out := observation.Receipt{Admitted: map[stack.ID]bool{}}
	if _, live := c.liveAgent(p.Agent); !live {
		return out
	}
	if p.Boot != "" {
		k := two{string(p.Agent), p.Boot}
		if last, ok := c.seenMarks.get(k); ok && p.Seq <= last {
			out.Repeated = true
			return out
		}
		c.seenMarks.put(k, p.Seq)
	}
	admitted := func(s stack.ID) bool {
		a, ok := c.assignments.get(two{string(p.Agent), string(s)})
		if ok && a.State == delivery.Assigned {
			out.Admitted[s] = true
		}
		return out.Admitted[s]
	}
	next := func(s stack.ID) numbered { return numbered{string(s), c.sequences.observation.Add(1)} }
	for _, e := range p.Events {
		if admitted(e.Stack) {
			e.ID, e.Agent, e.ObservedAt, e.CreatedAt = observation.ID(uuid.NewString()), p.Agent, micro(e.ObservedAt), at
			c.seenEvents.put(next(e.Stack), e)
		}
	}
	for _, l := range p.Lines {
		if admitted(l.Stack) {
			l.ID, l.Agent, l.At, l.CreatedAt = observation.ID(uuid.NewString()), p.Agent, micro(l.At), at
			c.seenLines.put(next(l.Stack), l)
		}
	}
	for _, g := range p.Gaps {
		if admitted(g.Stack) {
			g.Agent, g.Since, g.CreatedAt = p.Agent, micro(g.Since), at
			c.seenGaps.put(next(g.Stack), g)
		}
	}
	return out
}

// kept returns the rows of the stack within the window, in order of time, and when the oldest was taken.
func kept[V any](t table[numbered, V], s stack.ID, w observation.Window, when func(V) (happened, taken time.Time)) ([]V, *time.Time) {
	var out []V
	var first, oldest time.Time
	t.from(numbered{a: string(s)}, func(k numbered, v V) bool {
		if k.a != string(s) {
			return false
		}
		happened, taken := when(v)
		if taken.Before(w.Kept) {
			return true
		}
		if oldest.IsZero() || happened.Before(first) {
			first, oldest = happened, taken
		}
		if !taken.Before(w.Since) {
			out = append(out, v)
		}
		return true
	})
	slices.SortStableFunc(out, func(x, y V) int {
		a, _ := when(x)
		b, _ := when(y)
		return a.Compare(b)
	})
	if oldest.IsZero() {
		return out, nil
	}
	return out, &oldest
}

// lastOf is at most n of the last of a list.
func lastOf[V any](list []V, n int) []V { return list[max(0, len(list)-n):] }

func (s *state) owns(scope tenancy.Scope, id stack.ID) bool {
	st, ok := s.liveStack(id)
	return ok && scope.Owns(st.Generator)
}

func (r observations) Events(ctx context.Context, scope tenancy.Scope, id stack.ID, w observation.Window) (observation.Events, error) {
	return read(ctx, r.s, func(s *state) (observation.Events, error) {
		if !s.owns(scope, id) {
			return observation.Events{}, nil
		}
		list, oldest := kept(s.seenEvents, id, w, func(e observation.Event) (time.Time, time.Time) { return e.ObservedAt, e.CreatedAt })
		return observation.Events{Oldest: oldest, List: lastOf(list, w.Limit)}, nil
	})
}

func (r observations) Logs(ctx context.Context, scope tenancy.Scope, id stack.ID, w observation.Window) (observation.Logs, error) {
	return read(ctx, r.s, func(s *state) (observation.Logs, error) {
		if !s.owns(scope, id) {
			return observation.Logs{}, nil
		}
		lines, oldest := kept(s.seenLines, id, w, func(l observation.Line) (time.Time, time.Time) { return l.At, l.CreatedAt })
		gaps, _ := kept(s.seenGaps, id, w, func(g observation.Gap) (time.Time, time.Time) { return g.Since, g.CreatedAt })
		return observation.Logs{Oldest: oldest, Lines: lastOf(lines, w.Limit), Gaps: lastOf(gaps, w.Limit)}, nil
	})
}

func (r observations) Keep(ctx context.Context, before, _ time.Time) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		forget(&c.seenEvents, func(e observation.Event) bool { return e.CreatedAt.Before(before) })
		forget(&c.seenLines, func(l observation.Line) bool { return l.CreatedAt.Before(before) })
		forget(&c.seenGaps, func(g observation.Gap) bool { return g.CreatedAt.Before(before) })
		return 0, nil
	})
}

func forget[V any](t *table[numbered, V], old func(V) bool) {
	var gone []numbered
	t.each(func(k numbered, v V) bool {
		if old(v) {
			gone = append(gone, k)
		}
		return true
	})
	for _, k := range gone {
		t.drop(k)
	}
}
