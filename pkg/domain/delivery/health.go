package delivery

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// HealthRecord is what one agent last said of the health of one object that is assigned to it.
type HealthRecord struct {
	Agent      agent.ID
	Object     stack.ObjectID
	Sequence   stack.Sequence
	Health     Health
	Summary    string    // JSON, as a published agent sent it; empty if the agent sends none
	CheckedAt  time.Time // the agent's clock
	Since      time.Time // the broker's clock: since when it has been so
	ReportedAt time.Time // the broker's clock
}

// Published returns the health in the words of the v1 contract, which knows no progressing: what is not ready yet is degraded.
func (h Health) Published() Health {
	if h == HealthProgressing {
		return HealthDegraded
	}
	return h
}

// Worst returns the worst of the healths: failing, degraded, progressing, then unknown. It is healthy only if there is one and
// all are; of none it is unknown.
func Worst(all ...Health) Health {
	if len(all) == 0 {
		return HealthUnknown
	}
	for _, bad := range []Health{HealthFailing, HealthDegraded, HealthProgressing, HealthUnknown} {
		for _, h := range all {
			if h == bad {
				return bad
			}
		}
	}
	return HealthHealthy
}
