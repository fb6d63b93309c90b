package app

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// WatchStack returns the stack that somebody wants to watch, if he may: NotFound if it is not his.
func (g *Gateway) WatchStack(ctx context.Context, p tenancy.Principal, text string) (stack.ID, error) {
	s, err := id.Parse[stack.ID]("stack id", text)
	if err != nil {
		return "", err
	}
	if p.Role == tenancy.RoleAgent {
		return "", fault.New(fault.Forbidden, "generator_required", "agents watch no stacks")
	}
	if _, err := g.Store.Stacks().Get(ctx, tenancy.ScopeOf(p), s); err != nil {
		return "", err
	}
	return s, nil
}

// Offered is what an agent sends that nobody acknowledges: an event, a line or a gap.
type Offered struct {
	Event *wire.K8sEvent
	Line  *wire.PodLogLine
	Gap   *wire.LogGap
}

// Offer takes what an agent has seen, without a promise. False means that there is no room for it now.
func (g *Gateway) Offer(a agent.ID, o Offered) (bool, error) {
	p := observation.Parcel{Agent: a}
	switch {
	case o.Event != nil:
		p.Events = []observation.Event{kubeEventOf(*o.Event)}
	case o.Line != nil:
		p.Lines = []observation.Line{lineOf(*o.Line)}
	case o.Gap != nil:
		p.Gaps = []observation.Gap{gapOf(*o.Gap)}
	}
	if err := p.Check(g.Now().UTC()); err != nil {
		return false, err
	}
	return g.Intake.Offer(p), nil
}
