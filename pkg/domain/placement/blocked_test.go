package placement_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

func TestBlockedClustersAreGroupedByCause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	picked := []placement.Reason{{Rule: placement.RulePicked, Message: "picked"}}
	d := placement.Decision{Verdicts: []placement.Verdict{
		{Agent: "a", Picked: true, Reasons: picked}, {Agent: "b", Picked: true, Reasons: picked}, {Agent: "c", Picked: true, Reasons: picked}, {Agent: "d", Picked: true, Reasons: picked},
	}}
	because := func(override string) placement.Blocked {
		return placement.Blocked{Override: override, Reason: "nothing is there", Object: "o", Since: now}
	}
	before := []placement.Blocked{{Override: "overrides[0]", Reason: "nothing is there", Object: "o", Since: now.Add(-time.Hour), Agents: []agent.ID{"x"}}}
	d.Block(map[agent.ID]placement.Blocked{"c": because("overrides[0]"), "a": because("overrides[0]"), "b": because("overrides[1]")}, before)
	d.ExplainBlocked()
	want := []placement.Blocked{
		{Override: "overrides[0]", Reason: "nothing is there", Object: "o", Since: now.Add(-time.Hour), Agents: []agent.ID{"a", "c"}},
		{Override: "overrides[1]", Reason: "nothing is there", Object: "o", Since: now, Agents: []agent.ID{"b"}},
	}
	if diff := cmp.Diff(want, d.Blocked); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
	for _, v := range d.Verdicts {
		is := len(v.Reasons) == 2 && v.Reasons[1].Rule == placement.RuleOverride && v.Reasons[1].Message != ""
		if is != (v.Agent != "d") {
			t.Errorf("verdict about %s: %+v", v.Agent, v.Reasons)
		}
	}
	if len(picked) != 1 {
		t.Error("the reasons that verdicts share were changed")
	}
}

func TestWhatIsBlockedAnewIsNews(t *testing.T) {
	t.Parallel()
	b := func(reason string, agents ...agent.ID) []placement.Blocked {
		return []placement.Blocked{{Override: "overrides[0]", Reason: reason, Object: "o", Since: time.Now(), Agents: agents}}
	}
	for name, tc := range map[string]struct {
		was, is []placement.Blocked
		want    bool
	}{
		"nothing":         {nil, []placement.Blocked{}, false},
		"the same":        {b("r", "a"), b("r", "a"), false},
		"first":           {nil, b("r", "a"), true},
		"over":            {b("r", "a"), nil, true},
		"another reason":  {b("r", "a"), b("x", "a"), true},
		"another cluster": {b("r", "a"), b("r", "a", "b"), true},
	} {
		if got := (placement.Decision{Blocked: tc.is}).News(placement.Subject{Blocked: tc.was}); got != tc.want {
			t.Errorf("%s: news %v, want %v", name, got, tc.want)
		}
	}
}
