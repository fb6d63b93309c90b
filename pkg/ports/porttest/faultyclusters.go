package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (r faultyRepositories) Clusters() ports.Clusters { return faultyClusters{r.in.Clusters(), r.f} }

func (r faultyRepositories) Drains() ports.Drains { return faultyDrains{r.in.Drains(), r.f} }

func (r faultyRepositories) Reachability() ports.Reachability {
	return faultyReachability{r.in.Reachability(), r.f}
}

type faultyClusters struct {
	in ports.Clusters
	f  *faults
}

func (x faultyClusters) Known(ctx context.Context, scope tenancy.Scope, ids []agent.ID) (v map[agent.ID]cluster.Known, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Known(ctx, scope, ids)
}

func (x faultyClusters) Report(ctx context.Context, a agent.ID, s cluster.Status, at time.Time) (changed bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.Report(ctx, a, s, at)
}

func (x faultyClusters) Taint(ctx context.Context, a agent.ID, t cluster.Taint) (changed bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.Taint(ctx, a, t)
}

func (x faultyClusters) Untaint(ctx context.Context, a agent.ID, key string, e cluster.Effect) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Untaint(ctx, a, key, e)
}

func (x faultyClusters) Cordon(ctx context.Context, a agent.ID, c *cluster.Cordon) (changed bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.Cordon(ctx, a, c)
}

type faultyDrains struct {
	in ports.Drains
	f  *faults
}

func (x faultyDrains) Start(ctx context.Context, a agent.ID, d cluster.Drain) (changed bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.Start(ctx, a, d)
}

func (x faultyDrains) End(ctx context.Context, a agent.ID) (changed bool, err error) {
	if err = x.f.next(); err != nil {
		return false, err
	}
	return x.in.End(ctx, a)
}

func (x faultyDrains) Running(ctx context.Context) (v map[agent.ID]cluster.Drain, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Running(ctx)
}

func (x faultyDrains) Release(ctx context.Context, a agent.ID, stacks []stack.ID, at time.Time) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Release(ctx, a, stacks, at)
}

type faultyReachability struct {
	in ports.Reachability
	f  *faults
}

func (x faultyReachability) Silence(ctx context.Context, after time.Duration) (v cluster.Silence, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Silence(ctx, after)
}

func (x faultyReachability) Lose(ctx context.Context, agents []agent.ID, after time.Duration) (v []agent.ID, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Lose(ctx, agents, after)
}

func (x faultyReachability) Find(ctx context.Context, agents []agent.ID, after time.Duration) (v []agent.ID, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Find(ctx, agents, after)
}
