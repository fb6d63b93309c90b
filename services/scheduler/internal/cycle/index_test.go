package cycle

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Whatever comes and goes, the index says what a look at every stack would say.
func TestIndexIsOfTheStacks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, all := newIndex(), map[stack.ID]placement.Subject{}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			id := stack.ID(fmt.Sprintf("s%d", rapid.IntRange(0, 5).Draw(t, "stack")))
			x.remove(all[id])
			delete(all, id)
			if rapid.Bool().Draw(t, "gone") {
				continue
			}
			s := placement.Subject{Stack: id, Name: string(id), Generator: tenancy.GeneratorID(rapid.SampledFrom([]string{"g", "h"}).Draw(t, "generator")),
				Deleted: rapid.Bool().Draw(t, "deleted"), Labels: map[string]bool{}}
			if p := rapid.SampledFrom([]policy.ID{"", "p", "q"}).Draw(t, "policy"); p != "" {
				s.Policy = &policy.Ref{ID: p}
			}
			for _, l := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 2).Draw(t, "labels") {
				s.Labels[l] = true
			}
			all[id] = s
			x.add(s)
		}
		want := newIndex()
		for _, s := range all {
			want.add(s)
		}
		if diff := cmp.Diff(want, x, cmp.AllowUnexported(index{}, own{})); diff != "" {
			t.Fatalf("index (-want +got):\n%s", diff)
		}
	})
}

// A name goes over to another stack only when the former has let it go, in either order of the two changes.
func TestIndexOfANameThatGoesOver(t *testing.T) {
	t.Parallel()
	x := newIndex()
	first, second := placement.Subject{Stack: "1", Name: "web", Generator: "g"}, placement.Subject{Stack: "2", Name: "web", Generator: "g"}
	x.add(first)
	x.add(second) // the first is deleted already, and not read again yet
	x.remove(first)
	if got := x.names[own{"g", "web"}]; got != "2" {
		t.Errorf("web is %q, want the second", got)
	}
}
