package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyAgents struct {
	in ports.Agents
	f  *faults
}

func (x faultyAgents) Get(ctx context.Context, scope tenancy.Scope, id agent.ID) (v agent.Agent, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Get(ctx, scope, id)
}

func (x faultyAgents) ByName(ctx context.Context, name, cluster string) (v agent.Agent, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.ByName(ctx, name, cluster)
}

func (x faultyAgents) List(ctx context.Context, scope tenancy.Scope) (v []agent.Agent, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.List(ctx, scope)
}

func (x faultyAgents) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (v page.Page[agent.Agent], err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Page(ctx, scope, q)
}

func (x faultyAgents) Insert(ctx context.Context, a agent.Agent) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Insert(ctx, a)
}

func (x faultyAgents) Update(ctx context.Context, a agent.Agent) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Update(ctx, a)
}

func (x faultyAgents) Delete(ctx context.Context, id agent.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Delete(ctx, id, at)
}

func (x faultyAgents) Labels(ctx context.Context, id agent.ID) (v []agent.Label, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Labels(ctx, id)
}

func (x faultyAgents) AddLabel(ctx context.Context, l agent.Label) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddLabel(ctx, l)
}

func (x faultyAgents) RemoveLabel(ctx context.Context, id agent.ID, label string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveLabel(ctx, id, label)
}

func (x faultyAgents) Annotations(ctx context.Context, id agent.ID) (v []agent.Annotation, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Annotations(ctx, id)
}

func (x faultyAgents) AddAnnotation(ctx context.Context, a agent.Annotation) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddAnnotation(ctx, a)
}

func (x faultyAgents) RemoveAnnotation(ctx context.Context, id agent.ID, key string) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveAnnotation(ctx, id, key)
}

func (x faultyAgents) Targets(ctx context.Context, id agent.ID) (v []agent.Target, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Targets(ctx, id)
}

func (x faultyAgents) AddTarget(ctx context.Context, t agent.Target) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.AddTarget(ctx, t)
}

func (x faultyAgents) RemoveTarget(ctx context.Context, id agent.ID, s stack.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.RemoveTarget(ctx, id, s)
}

func (x faultyAgents) Beat(ctx context.Context, beats []agent.Heartbeat) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Beat(ctx, beats)
}
