package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type faultyWorks struct {
	in ports.Works
	f  *faults
}

func (x faultyWorks) Pending(ctx context.Context, agents []agent.ID, now time.Time) (v map[agent.ID]ports.Pending, err error) {
	if err = x.f.next(); err != nil {
		return v, err
	}
	return x.in.Pending(ctx, agents, now)
}

func (x faultyWorks) Ring(ctx context.Context, agents ...agent.ID) (err error) {
	if err = x.f.next(); err != nil {
		return err
	}
	return x.in.Ring(ctx, agents...)
}
