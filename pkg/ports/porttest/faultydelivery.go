package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyAssignments struct {
	in ports.Assignments
	f  *faults
}

func (x faultyAssignments) OfAgent(ctx context.Context, a agent.ID) (v delivery.Revision, w []delivery.Wanted, err error) {
	if err = x.f.next(); err != nil {
		return v, w, err
	}
	return x.in.OfAgent(ctx, a)
}

func (x faultyAssignments) Since(ctx context.Context, a agent.ID, r delivery.Revision) (v delivery.Revision, w []delivery.Wanted, n delivery.Tally, err error) {
	if err = x.f.next(); err != nil {
		return v, w, n, err
	}
	return x.in.Since(ctx, a, r)
}

func (x faultyAssignments) Some(ctx context.Context, a agent.ID, stacks []stack.ID) (v []delivery.Wanted, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Some(ctx, a, stacks)
}

func (x faultyAssignments) OfStack(ctx context.Context, s stack.ID) (v []delivery.Wanted, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.OfStack(ctx, s)
}

func (x faultyAssignments) Revisions(ctx context.Context, agents []agent.ID) (v map[agent.ID]delivery.Revision, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Revisions(ctx, agents)
}

func (x faultyAssignments) Refers(ctx context.Context, a agent.ID, sum stack.Checksum) (v bool, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Refers(ctx, a, sum)
}

type faultyReports struct {
	in ports.Reports
	f  *faults
}

func (x faultyReports) Advance(ctx context.Context, a agent.ID, m delivery.Mark, at time.Time) (v delivery.Reception, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Advance(ctx, a, m, at)
}

func (x faultyReports) Serial(ctx context.Context, a agent.ID) error {
	if err := x.f.next(); err != nil {
		return err
	}
	return x.in.Serial(ctx, a)
}

func (x faultyReports) Record(ctx context.Context, a agent.ID, at time.Time, reports []delivery.Report) (v []delivery.Status, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Record(ctx, a, at, reports)
}

func (x faultyReports) Acknowledge(ctx context.Context, a agent.ID, r delivery.Removal) (v bool, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Acknowledge(ctx, a, r)
}

func (x faultyReports) AddEvent(ctx context.Context, e agent.Event) (v agent.Event, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.AddEvent(ctx, e)
}

func (x faultyReports) AddEvents(ctx context.Context, list []agent.Event) (v []agent.Event, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.AddEvents(ctx, list)
}

func (x faultyReports) TrimEvents(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err = x.f.next(); err != nil {
		return 0, err
	}
	return x.in.TrimEvents(ctx, before, limit)
}

type faultyFacts struct {
	in ports.Facts
	f  *faults
}

func (x faultyFacts) Clusters(ctx context.Context, ids []agent.ID) (v []placement.Cluster, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Clusters(ctx, ids)
}

func (x faultyFacts) Subjects(ctx context.Context, ids []stack.ID) (v []placement.Subject, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Subjects(ctx, ids)
}

func (x faultyFacts) Prior(ctx context.Context, ids []stack.ID) (v map[stack.ID]placement.Prior, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Prior(ctx, ids)
}
