package scheduler_test

import (
	"testing"
	"testing/synctest"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// A policy decides in place of plain matching: which of the clusters, and how many; and when the cluster that it picked no
// longer fits, another one takes its place by itself.
func TestPolicyDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		defer stop()
		settle()
		f.agent("plain", "prod")
		f.agent("one", "gpu")
		f.agent("two", "gpu")
		s := f.stack("web", "prod")
		f.publish(s, "content")
		synctest.Wait()
		if got := f.assignments(s); len(got) != 1 {
			t.Fatalf("by labels: %d assignments, want the one of the agent with the stack's label", len(got))
		}
		f.follow(s, policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"gpu"}}, Strategy: policy.Strategy{Count: &policy.Range{Min: 1, Max: 1}}})
		synctest.Wait()
		assigned, removing := 0, 0
		for _, x := range f.assignments(s) {
			if x.State == delivery.Assigned {
				assigned++
			} else {
				removing++
			}
		}
		if assigned != 1 || removing != 1 {
			t.Fatalf("by the policy: %d assigned, %d to be removed; want one of the two with the label gpu in place of the one that is left", assigned, removing)
		}
	})
}
