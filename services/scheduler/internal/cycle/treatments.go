package cycle

import (
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// treat gives everything that the decision changes the stack's treatment, with what its annotations say, and adds what has another one and does not change
// otherwise: at once, whatever rollout goes on, because it is about what is there already and brings nothing new. A tombstone that
// waits for its agent gets it too: as long as nothing is deleted it can still be said that nothing is to be.
func (e *Engine) treat(s placement.Subject, d *placement.Decision) {
	wanted := s.Treatment.Annotated(s.Annotations)
	changed := make(map[agent.ID]bool, len(d.Changes))
	for i := range d.Changes {
		d.Changes[i].Treatment = wanted
		changed[d.Changes[i].Agent] = true
	}
	more := false
	for a, was := range e.world.priors[s.Stack] {
		c, live := e.world.clusters[a]
		if changed[a] || !live || was.Treatment.Equal(wanted) {
			continue
		}
		d.Changes = append(d.Changes, placement.Change{
			Agent: a, State: was.State, Object: was.Object, Variant: was.Variant, Treatment: wanted, Reason: was.Reason, Version: c.Version,
			Going: was.State == delivery.Removing,
		})
		more = true
	}
	if more {
		slices.SortFunc(d.Changes, func(x, y placement.Change) int { return strings.Compare(string(x.Agent), string(y.Agent)) })
	}
}
