package cycle

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// told is what a store says of stacks, and of which it was asked for the assignments.
type told struct {
	ports.Facts
	subjects map[stack.ID]placement.Subject
	priors   map[stack.ID]placement.Prior
	clusters []placement.Cluster
	asked    []stack.ID
}

func (f *told) Clusters(context.Context, []agent.ID) ([]placement.Cluster, error) {
	return f.clusters, nil
}

func (f *told) Subjects(_ context.Context, ids []stack.ID) (out []placement.Subject, _ error) {
	for _, id := range ids {
		if s, ok := f.subjects[id]; ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func (f *told) Prior(_ context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error) {
	f.asked = append(f.asked, ids...)
	out := map[stack.ID]placement.Prior{}
	for _, id := range ids {
		if p, ok := f.priors[id]; ok {
			out[id] = p
		}
	}
	return out, nil
}

// A policy that reaches thousands of stacks does not move them: their assignments are read only of those that somebody has decided about
// meanwhile, and go with those that are gone.
func TestAPolicyAloneReadsNoAssignments(t *testing.T) {
	t.Parallel()
	at := func(object stack.ObjectID) placement.Prior {
		return placement.Prior{"a": {Agent: "a", Object: object, State: delivery.Assigned}}
	}
	f := &told{subjects: map[stack.ID]placement.Subject{}, priors: map[stack.ID]placement.Prior{}}
	w := empty().world
	for _, id := range []stack.ID{"ruled", "decided", "gone"} {
		f.subjects[id], f.priors[id] = placement.Subject{Stack: id, Generation: 1}, at("o1")
	}
	if err := w.refreshStacks(t.Context(), f, []stack.ID{"ruled", "decided", "gone"}); err != nil {
		t.Fatal(err)
	}
	f.asked = nil
	ref := &policy.Ref{ID: "p", Revision: 2}
	f.subjects["ruled"], f.subjects["decided"] = placement.Subject{Stack: "ruled", Generation: 1, Policy: ref}, placement.Subject{Stack: "decided", Generation: 2, Policy: ref}
	f.priors["decided"] = at("o2")
	delete(f.subjects, "gone")
	delete(f.priors, "gone")
	if err := w.refreshSubjects(t.Context(), f, []stack.ID{"ruled", "decided", "gone"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stack.ID{"decided", "gone"}, f.asked); diff != "" {
		t.Errorf("asked for the assignments of (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(f.priors, w.priors); diff != "" {
		t.Errorf("assignments (-in the store +known):\n%s", diff)
	}
	if diff := cmp.Diff(f.subjects, w.subjects); diff != "" {
		t.Errorf("stacks (-in the store +known):\n%s", diff)
	}
	if w.assigned != 2 || w.load["a"] != 2 {
		t.Errorf("%d are assigned, %d to the cluster, want 2", w.assigned, w.load["a"])
	}
	if len(w.index.policies["p"]) != 2 {
		t.Errorf("the policy reaches %d stacks, want 2", len(w.index.policies["p"]))
	}
}

// nothingElse is a store of which nothing but facts may be asked.
type nothingElse struct {
	ports.Store
	facts *told
}

func (s nothingElse) Facts() ports.Facts { return s.facts }

// What clusters tell concerns no stack by itself: nothing is read about any.
func TestEventsOfClustersReadNoStacks(t *testing.T) {
	t.Parallel()
	e, f := empty(), &told{clusters: []placement.Cluster{{Agent: "a"}}}
	e.store = nothingElse{facts: f}
	if err := e.take(t.Context(), []event.Event{{Type: event.AgentChanged, Agent: "a"}}); err != nil {
		t.Fatal(err)
	}
	if _, known := e.world.clusters["a"]; !known || len(f.asked) > 0 {
		t.Errorf("the cluster is known: %t; assignments were read of %v, want none", known, f.asked)
	}
}
