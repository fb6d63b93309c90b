package memory

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type agents struct{ s session }

func noAgent(id any) error { return notFound("agent_not_found", "agent", id) }

func (r agents) Get(ctx context.Context, scope tenancy.Scope, id agent.ID) (agent.Agent, error) {
	return read(ctx, r.s, func(s *state) (agent.Agent, error) {
		a, ok := s.liveAgent(id)
		if !ok || !s.seesAgent(scope, id) {
			return agent.Agent{}, noAgent(id)
		}
		return copyAgent(a), nil
	})
}

func (r agents) ByName(ctx context.Context, name, cluster string) (agent.Agent, error) {
	return read(ctx, r.s, func(s *state) (agent.Agent, error) {
		id, ok := s.agentNames.get(two{name, cluster})
		if !ok {
			return agent.Agent{}, noAgent(name + " in " + cluster)
		}
		a, _ := s.liveAgent(id)
		return copyAgent(a), nil
	})
}

func (r agents) List(ctx context.Context, scope tenancy.Scope) ([]agent.Agent, error) {
	return read(ctx, r.s, func(s *state) ([]agent.Agent, error) {
		var out []agent.Agent
		s.agentNames.each(func(_ two, id agent.ID) bool {
			if s.seesAgent(scope, id) {
				a, _ := s.liveAgent(id)
				out = append(out, copyAgent(a))
			}
			return true
		})
		return out, nil
	})
}

func (r agents) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Agent], error) {
	return read(ctx, r.s, func(s *state) (page.Page[agent.Agent], error) {
		var all []agent.Agent
		s.agentNames.each(func(_ two, id agent.ID) bool {
			if s.seesAgent(scope, id) && s.agentPasses(scope, id, q) {
				a, _ := s.liveAgent(id)
				all = append(all, copyAgent(a))
			}
			return true
		})
		return agent.List().Cut(all, q), nil
	})
}

// agentPasses reports whether an agent has what q asks for and its row does not say.
func (s *state) agentPasses(scope tenancy.Scope, id agent.ID, q page.Query) bool {
	if g, asked := q.Is["generator_id"]; asked {
		of := tenancy.GeneratorID(g)
		if scope.Generator != "" && scope.Generator != of || !s.seesAgent(tenancy.Scope{Generator: of}, id) {
			return false
		}
	}
	if a, _ := s.liveAgent(id); !s.known(id).Passes(q.Is, a.Liveness.LastHeartbeat != nil) {
		return false
	}
	return hasAll(s.agentLabels, string(id), q.Labels) && annotated(s.agentAnnotations, string(id), q.Annotations, func(a agent.Annotation) string { return a.Value })
}

func (r agents) Insert(ctx context.Context, a agent.Agent) error {
	return r.s.update(ctx, func(c *change) error {
		name := two{a.Name, a.ClusterName}
		if c.agentNames.has(name) {
			return duplicate("agents_name_cluster", "agent", a.Name+" in "+a.ClusterName)
		}
		if c.agents.has(one(a.ID)) {
			return duplicate("agents_pkey", "agent", a.ID)
		}
		a = copyAgent(a)
		// Only heartbeats write liveness.
		a.DeletedAt, a.Liveness, a.Version = nil, agent.Liveness{}, max(a.Version, 1)
		c.agents.put(one(a.ID), a)
		c.agentNames.put(name, a.ID)
		return nil
	})
}

func (r agents) Update(ctx context.Context, a agent.Agent) error {
	return r.s.update(ctx, func(c *change) error {
		stored, ok := c.liveAgent(a.ID)
		if !ok {
			return noAgent(a.ID)
		}
		if stored.Version != a.Version {
			return stale("agent", a.ID)
		}
		name := two{a.Name, a.ClusterName}
		if holder, taken := c.agentNames.get(name); taken && holder != a.ID {
			return duplicate("agents_name_cluster", "agent", a.Name+" in "+a.ClusterName)
		}
		c.agentNames.drop(two{stored.Name, stored.ClusterName})
		c.agentNames.put(name, a.ID)
		stored.Name, stored.ClusterName, stored.Status, stored.UpdatedAt = a.Name, a.ClusterName, a.Status, micro(a.UpdatedAt)
		stored.Version++
		c.agents.put(one(a.ID), stored)
		c.announce(ports.Wakeup{Channel: ports.AgentsChanged, Payload: string(a.ID)})
		return nil
	})
}

func (r agents) Delete(ctx context.Context, id agent.ID, at time.Time) error {
	return r.s.update(ctx, func(c *change) error {
		a, ok := c.liveAgent(id)
		if !ok {
			return noAgent(id)
		}
		own := string(id)
		for _, l := range keysOf(c.agentLabels, own) {
			c.agentLabels.drop(two{own, l})
		}
		for _, k := range keysOf(c.agentAnnotations, own) {
			c.agentAnnotations.drop(two{own, k})
		}
		for _, s := range keysOf(c.targets, own) {
			c.dropTarget(id, stack.ID(s))
		}
		for _, g := range keysOf(c.registrations, own) {
			c.dropRegistration(id, tenancy.GeneratorID(g))
		}
		for _, s := range keysOf(c.assignments, own) {
			c.dropAssignment(id, stack.ID(s))
		}
		c.agentNames.drop(two{a.Name, a.ClusterName})
		c.turns.drop(one(id))
		c.clusters.drop(one(id))
		at = micro(at)
		a.DeletedAt, a.UpdatedAt = &at, at
		a.Version++
		c.agents.put(one(id), a)
		return nil
	})
}

func (r agents) Beat(ctx context.Context, beats []agent.Heartbeat) error {
	return r.s.update(ctx, func(c *change) error {
		inTime := slices.SortedStableFunc(slices.Values(beats), func(x, y agent.Heartbeat) int { return x.At.Compare(y.At) })
		for _, b := range inTime {
			a, ok := c.liveAgent(b.Agent)
			at := micro(b.At)
			if now := c.now(); at.After(now) {
				at = now
			}
			if !ok || (a.Liveness.LastHeartbeat != nil && at.Before(*a.Liveness.LastHeartbeat)) {
				continue
			}
			a.Liveness.LastHeartbeat = &at
			if b.K8sReachable != nil {
				a.Liveness.K8sReachable = ptr(b.K8sReachable)
			}
			if b.K8sLatencyMS != nil {
				a.Liveness.K8sLatencyMS = ptr(b.K8sLatencyMS)
			}
			if b.K8sReachable != nil || b.K8sLatencyMS != nil {
				a.Liveness.K8sReportedAt = &at
			}
			turns, _ := c.turns.get(one(b.Agent))
			turns = turns.Take(b.Boot, at)
			c.turns.put(one(b.Agent), turns)
			a.Liveness.DuplicateSince = turns.Since
			c.agents.put(one(b.Agent), a)
		}
		return nil
	})
}
