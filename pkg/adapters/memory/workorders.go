package memory

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// targeted reports whether the order is for the agent.
func (s *state) targeted(o workorder.Order, a agent.ID) bool {
	c := s.cluster(agent.Agent{ID: a})
	return o.Targeting.Matches(a, c.Labels, c.Annotations)
}

// pendingWorkOrders counts the orders that the agent may claim.
func (s *state) pendingWorkOrders(a agent.ID, _ time.Time, p *ports.Pending) {
	s.workOrders.each(func(_ one, o workorder.Order) bool {
		if o.Status == workorder.Pending && s.targeted(o, a) {
			p.WorkOrders++
			newest(p, o.AvailableAt)
		}
		return true
	})
}
