package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type clusters struct{ s session }

func noTaint(key string, e cluster.Effect) error {
	return notFound("agent_taint_not_found", "taint", key+":"+string(e))
}

// known returns what is known of a cluster; the caller may keep it.
func (s *state) known(id agent.ID) cluster.Known {
	k, _ := s.clusters.get(one(id))
	return k.Copy()
}

// know stores what is known of a cluster as something that placement can see.
func (c *change) know(id agent.ID, k cluster.Known) {
	c.clusters.put(one(id), k)
	c.touchAgent(id)
}

func (r clusters) Known(ctx context.Context, scope tenancy.Scope, ids []agent.ID) (map[agent.ID]cluster.Known, error) {
	return read(ctx, r.s, func(s *state) (map[agent.ID]cluster.Known, error) {
		out := map[agent.ID]cluster.Known{}
		s.agentNames.each(func(_ two, id agent.ID) bool {
			if s.seesAgent(scope, id) && (ids == nil || slices.Contains(ids, id)) {
				out[id] = s.known(id)
			}
			return true
		})
		return out, nil
	})
}

func (r clusters) Report(ctx context.Context, id agent.ID, st cluster.Status, at time.Time) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		if _, ok := c.liveAgent(id); !ok {
			return false, noAgent(id)
		}
		k := c.known(id)
		next, err := st.Digest()
		if err != nil {
			return false, err
		}
		former, err := k.Status.Digest()
		if err != nil {
			return false, err
		}
		at = micro(at)
		same := k.ReportedAt != nil && next == former
		k.ReportedAt = &at
		if same {
			c.clusters.put(one(id), k)
			return false, nil
		}
		k.Status, k.ChangedAt = st.Copy(), ptr(&at)
		c.know(id, k)
		return true, nil
	})
}

func (r clusters) Taint(ctx context.Context, id agent.ID, t cluster.Taint) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		if _, ok := c.liveAgent(id); !ok {
			return false, noAgent(id)
		}
		k := c.known(id)
		t.Since = micro(t.Since)
		var changed bool
		if k.Taints, changed = cluster.Tainted(k.Taints, t); changed {
			c.know(id, k)
		}
		return changed, nil
	})
}

func (r clusters) Untaint(ctx context.Context, id agent.ID, key string, e cluster.Effect) error {
	return r.s.update(ctx, func(c *change) error {
		if _, ok := c.liveAgent(id); !ok {
			return noAgent(id)
		}
		k := c.known(id)
		i := slices.IndexFunc(k.Taints, func(t cluster.Taint) bool { return t.Key == key && t.Effect == e })
		if i < 0 {
			return noTaint(key, e)
		}
		k.Taints = slices.Delete(k.Taints, i, i+1)
		c.know(id, k)
		return nil
	})
}

func (r clusters) Cordon(ctx context.Context, id agent.ID, cordon *cluster.Cordon) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		if _, ok := c.liveAgent(id); !ok {
			return false, noAgent(id)
		}
		k := c.known(id)
		switch {
		case cordon == nil && k.Cordon == nil && k.Drain == nil, cordon != nil && k.Cordon != nil:
			return false, nil
		case cordon == nil:
			k.Cordon, k.Drain = nil, nil
		default:
			k.Cordon = ptr(cordon)
			k.Cordon.Since = micro(cordon.Since)
		}
		c.know(id, k)
		return true, nil
	})
}

type drains struct{ s session }

func (r drains) Start(ctx context.Context, id agent.ID, d cluster.Drain) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		if _, ok := c.liveAgent(id); !ok {
			return false, noAgent(id)
		}
		k := c.known(id)
		d.Since, d.Released = micro(d.Since), nil
		if was := k.Drain; was != nil {
			if was.Budget == d.Budget && was.Reason == d.Reason && was.By == d.By {
				return false, nil
			}
			d.Since, d.Released = was.Since, was.Released
		}
		k.Drain = &d
		if k.Cordon == nil {
			k.Cordon = &cluster.Cordon{Since: d.Since, By: d.By, Reason: d.Reason}
		}
		c.know(id, k)
		return true, nil
	})
}

func (r drains) End(ctx context.Context, id agent.ID) (bool, error) {
	return write(ctx, r.s, func(c *change) (bool, error) {
		if _, ok := c.liveAgent(id); !ok {
			return false, noAgent(id)
		}
		k := c.known(id)
		if k.Drain == nil {
			return false, nil
		}
		k.Drain = nil
		c.know(id, k)
		return true, nil
	})
}

func (r drains) Running(ctx context.Context) (map[agent.ID]cluster.Drain, error) {
	return read(ctx, r.s, func(s *state) (map[agent.ID]cluster.Drain, error) {
		out := map[agent.ID]cluster.Drain{}
		s.clusters.each(func(id one, k cluster.Known) bool {
			if k.Drain != nil {
				out[agent.ID(id)] = *k.Copy().Drain
			}
			return true
		})
		return out, nil
	})
}

func (r drains) Release(ctx context.Context, id agent.ID, stacks []stack.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		k := c.known(id)
		if k.Drain == nil {
			return notFound("drain_not_found", "drain of agent", id)
		}
		if k.Drain.Released == nil {
			k.Drain.Released = map[stack.ID]time.Time{}
		}
		for _, st := range stacks {
			if !c.stacks.has(one(st)) {
				return noStack(st)
			}
		}
		for _, st := range stacks {
			if _, ok := k.Drain.Released[st]; !ok {
				k.Drain.Released[st] = micro(at)
			}
		}
		c.know(id, k)
		return nil
	})
}

type reachability struct{ s session }

func (r reachability) Silence(ctx context.Context, after time.Duration) (cluster.Silence, error) {
	return read(ctx, r.s, func(s *state) (cluster.Silence, error) {
		var out cluster.Silence
		s.agents.each(func(_ one, a agent.Agent) bool {
			if a.DeletedAt != nil || a.Liveness.LastHeartbeat == nil {
				return true
			}
			out.Watched++
			marked := s.known(a.ID).UnreachableSince != nil
			if marked {
				out.Unreachable++
			}
			switch silent := s.silent(a, after); {
			case silent && !marked:
				out.Lost = append(out.Lost, a.ID)
			case !silent && marked:
				out.Back = append(out.Back, a.ID)
			}
			return true
		})
		return out, nil
	})
}

func (s *state) silent(a agent.Agent, after time.Duration) bool {
	return a.Liveness.LastHeartbeat != nil && a.Liveness.LastHeartbeat.Before(s.now().Add(-after))
}

func (r reachability) Lose(ctx context.Context, ids []agent.ID, after time.Duration) ([]agent.ID, error) {
	return r.mark(ctx, ids, func(c *change, a agent.Agent, k *cluster.Known) bool {
		if k.UnreachableSince != nil || !c.silent(a, after) {
			return false
		}
		k.UnreachableSince = ptr(a.Liveness.LastHeartbeat)
		return true
	})
}

func (r reachability) Find(ctx context.Context, ids []agent.ID, after time.Duration) ([]agent.ID, error) {
	return r.mark(ctx, ids, func(c *change, a agent.Agent, k *cluster.Known) bool {
		if k.UnreachableSince == nil || c.silent(a, after) {
			return false
		}
		k.UnreachableSince = nil
		return true
	})
}

func (r reachability) mark(ctx context.Context, ids []agent.ID, flip func(*change, agent.Agent, *cluster.Known) bool) ([]agent.ID, error) {
	return write(ctx, r.s, func(c *change) ([]agent.ID, error) {
		var out []agent.ID
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			a, ok := c.liveAgent(id)
			k := c.known(id)
			if !ok || !flip(c, a, &k) {
				continue
			}
			c.know(id, k)
			out = append(out, id)
		}
		return out, nil
	})
}
