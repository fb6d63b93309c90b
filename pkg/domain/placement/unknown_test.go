package placement_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Facts that cannot be read for a moment move nothing: neither from the clusters that do not tell theirs, nor from others for the
// sake of a spread that may be kept after all. Nothing new comes where the domain is not known.
func TestASpreadOverWhatIsUnknownMovesNothing(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c, err := placement.Compile(policy.Document{Name: "p", Spread: []policy.Spread{{By: "facts.zone", MaxSkew: 1, WhenUnsatisfiable: policy.Refuse}}}, placement.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for unknown := range 7 {
		prior := placement.Prior{}
		var list []placement.Cluster
		for i := range 7 {
			x := placement.Cluster{Agent: agent.ID(fmt.Sprint("c", i)), Name: fmt.Sprint("c", i), Status: agent.Active, Generators: map[tenancy.GeneratorID]bool{"g": true}, ReportedAt: &now}
			x.Reported.Facts = map[string]status.Fact{"zone": {Text: fmt.Sprint("z", i%2)}}
			if i < 6 {
				prior[x.Agent] = delivery.Assignment{Agent: x.Agent, Stack: "s", Object: "o", State: delivery.Assigned, Since: now}
			}
			if i%2 == 1 && i <= unknown || i == 6 { // of one zone: the other has more than the skew allows, as far as is known
				x.Reported = status.Status{Unknown: map[status.Part]string{status.PartFacts: "forbidden"}}
			}
			list = append(list, x)
		}
		d := placement.Explain(placement.Input{Subject: placement.Subject{Stack: "s", Generator: "g", Newest: &stack.Object{ID: "o"}, Policy: &policy.Ref{ID: "p", Revision: 1}},
			Clusters: list, Prior: prior, Policy: c, Brake: placement.Brake{Share: 1, AtOne: 100}}, now)
		if len(d.Changes) != 0 || d.Hold != nil {
			t.Errorf("up to %d unknown: changes %+v, hold %+v; want none", unknown, d.Changes, d.Hold)
		}
	}
}
