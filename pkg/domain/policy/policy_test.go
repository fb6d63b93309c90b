package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

func TestEffective(t *testing.T) {
	t.Parallel()
	byID := policy.Ref{ID: "3", Name: "z", Revision: 4, By: policy.ByStack}
	a, b := policy.Ref{ID: "1", Name: "a", Revision: 1, By: policy.ByLabel, Label: "y"}, policy.Ref{ID: "2", Name: "b", Revision: 1, By: policy.ByLabel, Label: "x"}
	twice := a
	twice.Label = "x"
	for reason, tc := range map[string]struct {
		reach []policy.Ref
		want  *policy.Ref
	}{
		"none reaches it":                        {nil, nil},
		"what was attached to the stack wins":    {[]policy.Ref{a, byID, b}, &byID},
		"among labels the first name wins":       {[]policy.Ref{b, a}, &a},
		"by several labels the first is named":   {[]policy.Ref{a, twice, b}, &twice},
		"the order in which they come is naught": {[]policy.Ref{b, twice, byID, a}, &byID},
	} {
		if diff := cmp.Diff(tc.want, policy.Effective(tc.reach)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", reason, diff)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	one := &policy.Ref{ID: "1", Name: "a", Revision: 1, By: policy.ByStack}
	for reason, tc := range map[string]struct {
		a, b *policy.Ref
		want bool
	}{
		"none and none":          {nil, nil, true},
		"one and none":           {one, nil, false},
		"none and one":           {nil, one, false},
		"reached in another way": {one, &policy.Ref{ID: "1", Name: "b", Revision: 1, By: policy.ByLabel, Label: "x"}, true},
		"another revision":       {one, &policy.Ref{ID: "1", Name: "a", Revision: 2, By: policy.ByStack}, false},
		"another policy":         {one, &policy.Ref{ID: "2", Name: "a", Revision: 1, By: policy.ByStack}, false},
	} {
		if got := policy.Same(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: got %v, want %v", reason, got, tc.want)
		}
	}
}
