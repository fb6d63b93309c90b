package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type rollouts struct{ s session }

func noRollout(id any) error { return notFound("rollout_not_found", "rollout", id) }

// rolloutRow is a rollout without its members.
type rolloutRow struct {
	rollout rollout.Rollout
	governs bool
}

// whole returns a copy of the rollout with its members.
func (s *state) wholeRollout(row rolloutRow) rollout.Rollout {
	r := row.rollout
	r.Members = valuesOf(s.rolloutMembers, string(r.ID))
	return r.Clone()
}

func (r rollouts) Get(ctx context.Context, scope tenancy.Scope, id rollout.ID) (rollout.Rollout, bool, error) {
	governs := false
	out, err := read(ctx, r.s, func(s *state) (rollout.Rollout, error) {
		row, ok := s.rollouts.get(one(id))
		if !ok {
			return rollout.Rollout{}, noRollout(id)
		}
		st, _ := s.stacks.get(one(row.rollout.Stack))
		if !scope.Owns(st.Generator) {
			return rollout.Rollout{}, noRollout(id)
		}
		governs = row.governs
		return s.wholeRollout(row), nil
	})
	return out, governs, err
}

func (r rollouts) OfStack(ctx context.Context, id stack.ID, limit int) ([]rollout.Rollout, error) {
	return read(ctx, r.s, func(s *state) ([]rollout.Rollout, error) {
		var out []rollout.Rollout
		s.rollouts.each(func(_ one, row rolloutRow) bool {
			if row.rollout.Stack == id {
				out = append(out, row.rollout.Clone())
			}
			return true
		})
		slices.SortFunc(out, func(x, y rollout.Rollout) int {
			return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(y.ID, x.ID))
		})
		return out[:min(len(out), limit)], nil
	})
}

func (r rollouts) History(ctx context.Context, id rollout.ID) ([]rollout.Transition, error) {
	return read(ctx, r.s, func(s *state) ([]rollout.Transition, error) {
		var out []rollout.Transition
		s.rolloutHistory.from(numbered{a: string(id)}, func(k numbered, t rollout.Transition) bool {
			if k.a != string(id) {
				return false
			}
			out = append(out, t)
			return true
		})
		return out, nil
	})
}

func (r rollouts) Governing(ctx context.Context, ids []stack.ID) (map[stack.ID]rollout.Rollout, error) {
	return read(ctx, r.s, func(s *state) (map[stack.ID]rollout.Rollout, error) {
		out := map[stack.ID]rollout.Rollout{}
		add := func(st stack.ID, id rollout.ID) {
			row, _ := s.rollouts.get(one(id))
			out[st] = s.wholeRollout(row)
		}
		if ids == nil {
			s.governing.each(func(k one, id rollout.ID) bool {
				add(stack.ID(k), id)
				return true
			})
		}
		for _, st := range ids {
			if id, ok := s.governing.get(one(st)); ok {
				add(st, id)
			}
		}
		return out, nil
	})
}

func (r rollouts) Statuses(ctx context.Context, ids []stack.ID) (map[stack.ID]map[agent.ID]delivery.Status, error) {
	return read(ctx, r.s, func(s *state) (map[stack.ID]map[agent.ID]delivery.Status, error) {
		out := map[stack.ID]map[agent.ID]delivery.Status{}
		for _, id := range ids {
			for _, a := range keysOf(s.stackAgents, string(id)) {
				st, ok := s.statuses.get(two{a, string(id)})
				if !ok {
					continue
				}
				if out[id] == nil {
					out[id] = map[agent.ID]delivery.Status{}
				}
				out[id][agent.ID(a)] = st
			}
		}
		return out, nil
	})
}

func (r rollouts) Save(ctx context.Context, w ports.RolloutWrite) (int64, error) {
	return write(ctx, r.s, func(c *change) (int64, error) {
		next := w.Rollout.Clone()
		next.Members = nil
		if err := c.maySave(w); err != nil {
			return 0, err
		}
		next.Version++
		next.CreatedAt, next.EndedAt = micro(next.CreatedAt), microPtr(next.EndedAt)
		c.rollouts.put(one(next.ID), rolloutRow{rollout: next, governs: w.Governs})
		switch now, ok := c.governing.get(one(next.Stack)); {
		case w.Governs:
			c.governing.put(one(next.Stack), next.ID)
		case ok && now == next.ID:
			c.governing.drop(one(next.Stack))
		}
		for _, m := range w.Members {
			m.AdmittedAt = microPtr(m.AdmittedAt)
			c.rolloutMembers.put(two{string(next.ID), string(m.Agent)}, m)
		}
		for _, t := range w.Transitions {
			t.Rollout, t.At = next.ID, micro(t.At)
			c.rolloutHistory.put(numbered{string(next.ID), c.sequences.event.Add(1)}, t)
		}
		c.watch(next, w.DependsOn)
		return next.Version, nil
	})
}

func (c *change) maySave(w ports.RolloutWrite) error {
	r := w.Rollout
	row, known := c.rollouts.get(one(r.ID))
	if o, ok := c.objects.get(one(r.Object)); !ok || o.Stack != r.Stack {
		return noObject(r.Object)
	}
	switch {
	case r.Version == 0 && known:
		return stale("rollout", r.ID)
	case r.Version > 0 && !known:
		return noRollout(r.ID)
	case known && row.rollout.Version != r.Version:
		return stale("rollout", r.ID)
	}
	if now, ok := c.governing.get(one(r.Stack)); w.Governs && ok && now != r.ID {
		return stale("the rollout of stack", r.Stack)
	}
	return nil
}

// watch notes whose reports a rollout waits for.
func (c *change) watch(r rollout.Rollout, depends []stack.ID) {
	var former []two
	c.rolloutWatches.each(func(k two, _ nothing) bool {
		if k.b == string(r.ID) {
			former = append(former, k)
		}
		return true
	})
	for _, k := range former {
		c.rolloutWatches.drop(k)
	}
	if r.Phase.Open() {
		c.rolloutWatches.put(two{string(r.Stack), string(r.ID)}, nothing{})
	}
	if !r.Waits() {
		return
	}
	for _, s := range depends {
		c.rolloutWatches.put(two{string(s), string(r.ID)}, nothing{})
	}
}

func (r rollouts) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		var over []rollout.ID
		c.rollouts.each(func(_ one, row rolloutRow) bool {
			if end := row.rollout.EndedAt; !row.governs && end != nil && end.Before(before) {
				over = append(over, row.rollout.ID)
			}
			return len(over) < limit
		})
		for _, id := range over {
			c.dropRollout(id)
		}
		return len(over), nil
	})
}

// dropRollout forgets a rollout that governs nothing, with its members and history.
func (c *change) dropRollout(id rollout.ID) {
	c.rollouts.drop(one(id))
	for _, a := range keysOf(c.rolloutMembers, string(id)) {
		c.rolloutMembers.drop(two{string(id), a})
	}
	dropAll(&c.rolloutHistory, string(id))
}
