package target

import (
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// What is cached for an agent is about that agent alone.
func TestACachedStateOfAnotherAgentIsNone(t *testing.T) {
	t.Parallel()
	encoded, err := encode(State{Revision: 3, Wanted: []delivery.Wanted{{Assignment: delivery.Assignment{Agent: "a", Stack: "s", Object: "o", State: delivery.Removing}}}})
	if err != nil {
		t.Fatal(err)
	}
	for a, good := range map[agent.ID]bool{"a": true, "b": false} {
		s, err := decode(encoded, a)
		if good != (err == nil) || good != (len(s.Wanted) == 1) {
			t.Errorf("for agent %s: %+v, %v", a, s, err)
		}
		if err != nil && !strings.Contains(err.Error(), "of agent a") {
			t.Errorf("got %v, want the other agent named", err)
		}
	}
}
