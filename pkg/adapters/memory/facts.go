package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type facts struct{ s session }

func (r facts) Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error) {
	return read(ctx, r.s, func(s *state) ([]placement.Cluster, error) {
		if ids == nil {
			s.agents.each(func(_ one, a agent.Agent) bool {
				ids = append(ids, a.ID)
				return true
			})
		}
		out := make([]placement.Cluster, 0, len(ids))
		for _, id := range ids {
			if a, ok := s.liveAgent(id); ok {
				out = append(out, s.cluster(a))
			}
		}
		return out, nil
	})
}

func (s *state) cluster(a agent.Agent) placement.Cluster {
	c := placement.Cluster{
		Agent: a.ID, Name: a.ClusterName, Version: a.Version, Status: a.Status,
		Labels: map[string]bool{}, Annotations: map[string]string{},
		Generators: map[tenancy.GeneratorID]bool{}, Targets: map[stack.ID]bool{},
	}
	for _, l := range keysOf(s.agentLabels, string(a.ID)) {
		c.Labels[l] = true
	}
	for _, an := range valuesOf(s.agentAnnotations, string(a.ID)) {
		c.Annotations[an.Key] = an.Value
	}
	for _, reg := range valuesOf(s.registrations, string(a.ID)) {
		if reg.State == tenancy.RegistrationApproved {
			c.Generators[reg.Generator] = true
		}
	}
	for _, t := range valuesOf(s.targets, string(a.ID)) {
		c.Targets[t.Stack] = true
	}
	for _, as := range valuesOf(s.assignments, string(a.ID)) {
		if as.State == delivery.Assigned {
			c.Load++
		}
	}
	k := s.known(a.ID)
	c.Reported, c.ReportedAt, c.Taints, c.Cordon, c.Drain, c.UnreachableSince = k.Status, k.ReportedAt, k.Taints, k.Cordon, k.Drain, k.UnreachableSince
	return c
}

func (r facts) Subjects(ctx context.Context, ids []stack.ID) ([]placement.Subject, error) {
	return read(ctx, r.s, func(s *state) ([]placement.Subject, error) {
		if ids == nil {
			s.stacks.each(func(_ one, st stack.Stack) bool {
				ids = append(ids, st.ID)
				return true
			})
		}
		out := make([]placement.Subject, 0, len(ids))
		for _, id := range ids {
			st, ok := s.stacks.get(one(id))
			if !ok || (st.DeletedAt != nil && len(keysOf(s.stackAgents, string(id))) == 0) {
				continue
			}
			out = append(out, s.subject(st))
		}
		return out, nil
	})
}

func (s *state) subject(st stack.Stack) placement.Subject {
	d, _ := s.decisions.get(one(st.ID))
	p := placement.Subject{
		Stack: st.ID, Name: st.Name, Generator: st.Generator, Version: st.Version, Deleted: st.DeletedAt != nil, DeletedAt: ptr(st.DeletedAt),
		Labels: map[string]bool{}, Annotations: map[string]string{},
		Treatment: copyTreatment(st.Treatment), Generation: d.generation, Approved: d.approved, Hold: copyHold(d.hold), Blocked: placement.CopyBlocked(d.record.Decision.Blocked), Policy: s.effectivePolicy(st), Decided: ptr(d.record.Decision.Policy), Moved: slices.Clone(d.moved),
	}
	for _, l := range keysOf(s.stackLabels, string(st.ID)) {
		p.Labels[l] = true
	}
	for _, a := range valuesOf(s.stackAnnotations, string(st.ID)) {
		p.Annotations[a.Key] = a.Value
	}
	if o, ok := s.newest(st.ID); ok {
		o = copyObject(o)
		p.Newest = &o
	}
	return p
}

func (r facts) Prior(ctx context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error) {
	return read(ctx, r.s, func(s *state) (map[stack.ID]placement.Prior, error) {
		if ids == nil {
			all := map[stack.ID]bool{}
			s.stackAgents.each(func(k two, _ nothing) bool {
				all[stack.ID(k.a)] = true
				return true
			})
			for id := range maps.Keys(all) {
				ids = append(ids, id)
			}
		}
		out := map[stack.ID]placement.Prior{}
		for _, id := range ids {
			for _, a := range keysOf(s.stackAgents, string(id)) {
				if out[id] == nil {
					out[id] = placement.Prior{}
				}
				as, _ := s.assignments.get(two{a, string(id)})
				as.Treatment = copyTreatment(as.Treatment)
				out[id][agent.ID(a)] = as
			}
		}
		return out, nil
	})
}
