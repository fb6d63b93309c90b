package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Clusters that keep what they have because of an override are named with it, to an owner without those of others.
func TestStatusNamesBlockedClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	lease, err := w.store.Leases().Acquire(t.Context(), "shard", "test", time.Minute)
	must(t, err)
	subs, err := w.store.Facts().Subjects(t.Context(), []stack.ID{w.stack.ID})
	must(t, err)
	co := ports.Commit{Lease: lease, Stack: w.stack.ID, StackVersion: subs[0].Version, Generation: subs[0].Generation, Policy: subs[0].Policy}
	co.Record = placement.Record{Stack: w.stack.ID, At: time.Now(), Object: w.object.ID, Decision: placement.Decision{Blocked: []placement.Blocked{
		{Override: "overrides[0].patches[1]", Reason: "nothing is there", Object: w.object.ID, Since: time.Now(), Agents: []agent.ID{w.agent.ID, w.otherAgent.ID}},
	}}}
	_, err = w.store.Decisions().Commit(t.Context(), co)
	must(t, err)
	type answer struct {
		Blocked []struct {
			Override, Reason string
			Clusters         []struct {
				AgentName string `json:"agent_name"`
			}
		}
		Clusters []struct {
			BlockedOn *string `json:"blocked_on"`
		}
	}
	for as, names := range map[string]int{asOwner: 1, asAdmin: 2} {
		got := decode[answer](t, w.checked(as, request{method: "GET", path: "/stacks/" + string(w.stack.ID) + "/status"}))
		if len(got.Blocked) != 1 || got.Blocked[0].Override != "overrides[0].patches[1]" || got.Blocked[0].Reason != "nothing is there" || len(got.Blocked[0].Clusters) != names || got.Blocked[0].Clusters[0].AgentName == "" {
			t.Errorf("%s: blocked %+v, want %d clusters with the override and the reason", as, got.Blocked, names)
		}
		if len(got.Clusters) != 1 || got.Clusters[0].BlockedOn == nil || !strings.Contains(*got.Clusters[0].BlockedOn, "overrides[0].patches[1]") {
			t.Errorf("%s: clusters %+v, want the override as what it is blocked on", as, got.Clusters)
		}
	}
}
