package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type assignments struct{ s session }

// wanted adds to an assignment what an agent needs to act on it.
func (s *state) wanted(a delivery.Assignment) delivery.Wanted {
	a.Treatment = copyTreatment(a.Treatment)
	st, _ := s.stacks.get(one(a.Stack))
	o, _ := s.objects.get(one(a.Object))
	w := delivery.Wanted{
		Assignment: a, StackName: st.Name, Generator: st.Generator,
		Sequence: o.Sequence, Checksum: o.Checksum, Size: o.Size, Marker: o.Marker,
	}
	if a.Variant != "" {
		b, _ := s.blobs.get(one(a.Variant))
		w.Checksum, w.Size = a.Variant, int64(len(b.content))
	}
	w.Watched = hasAny(s.rolloutWatches, string(a.Stack))
	if status, ok := s.statuses.get(two{string(a.Agent), string(a.Stack)}); ok {
		w.Status = &status
	}
	return w
}

func (r assignments) OfAgent(ctx context.Context, a agent.ID) (delivery.Revision, []delivery.Wanted, error) {
	var rev delivery.Revision
	out, err := read(ctx, r.s, func(s *state) ([]delivery.Wanted, error) {
		rev, _ = s.revisions.get(one(a))
		list := valuesOf(s.assignments, string(a))
		out := slices.Grow([]delivery.Wanted(nil), len(list))
		for _, as := range list {
			out = append(out, s.wanted(as))
		}
		slices.SortFunc(out, func(x, y delivery.Wanted) int {
			return cmp.Or(cmp.Compare(y.Sequence, x.Sequence), cmp.Compare(x.Stack, y.Stack))
		})
		return out, nil
	})
	return rev, out, err
}

func (r assignments) Since(ctx context.Context, a agent.ID, since delivery.Revision) (delivery.Revision, []delivery.Wanted, delivery.Tally, error) {
	now, list, err := r.OfAgent(ctx, a)
	all := delivery.TallyOf(list)
	newer := slices.DeleteFunc(list, func(w delivery.Wanted) bool { return w.Revision <= since })
	if len(newer) == 0 {
		newer = nil
	}
	return now, newer, all, err
}

func (r assignments) Some(ctx context.Context, a agent.ID, stacks []stack.ID) ([]delivery.Wanted, error) {
	return read(ctx, r.s, func(s *state) ([]delivery.Wanted, error) {
		out := slices.Grow([]delivery.Wanted(nil), len(stacks))
		for _, id := range slices.Compact(slices.Sorted(slices.Values(stacks))) {
			if as, ok := s.assignments.get(two{string(a), string(id)}); ok {
				out = append(out, s.wanted(as))
			}
		}
		return out, nil
	})
}

func (r assignments) OfStack(ctx context.Context, id stack.ID) ([]delivery.Wanted, error) {
	return read(ctx, r.s, func(s *state) ([]delivery.Wanted, error) {
		agents := keysOf(s.stackAgents, string(id))
		out := slices.Grow([]delivery.Wanted(nil), len(agents))
		for _, a := range agents {
			as, _ := s.assignments.get(two{a, string(id)})
			out = append(out, s.wanted(as))
		}
		return out, nil
	})
}

func (r assignments) Revisions(ctx context.Context, ids []agent.ID) (map[agent.ID]delivery.Revision, error) {
	return read(ctx, r.s, func(s *state) (map[agent.ID]delivery.Revision, error) {
		out := make(map[agent.ID]delivery.Revision, len(ids))
		for _, id := range ids {
			if rev, ok := s.revisions.get(one(id)); ok {
				out[id] = rev
			}
		}
		return out, nil
	})
}

func (r assignments) Refers(ctx context.Context, a agent.ID, sum stack.Checksum) (bool, error) {
	return read(ctx, r.s, func(s *state) (bool, error) {
		for _, as := range valuesOf(s.assignments, string(a)) {
			if as.State == delivery.Assigned && s.wanted(as).Checksum == sum {
				return true, nil
			}
		}
		return false, nil
	})
}
