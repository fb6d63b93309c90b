package agent_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	type heard struct {
		boot  string
		after time.Duration // since the one before
	}
	const s = time.Second
	began := time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		heard []heard
		since time.Duration // from the first one; negative: one process
	}{
		"nobody":                          {nil, -1},
		"one process":                     {[]heard{{"a", 0}, {"a", s}, {"a", 9 * time.Minute}}, -1},
		"a restart":                       {[]heard{{"a", 0}, {"b", s}, {"b", s}}, -1},
		"a crash loop":                    {[]heard{{"a", 0}, {"b", s}, {"c", s}, {"d", s}, {"e", s}, {"f", s}}, -1},
		"two take turns":                  {[]heard{{"a", 0}, {"b", s}, {"a", s}, {"b", s}}, 2 * s},
		"three take turns":                {[]heard{{"a", 0}, {"b", s}, {"c", s}, {"a", s}, {"b", s}, {"c", s}}, 3 * s},
		"idle ones":                       {[]heard{{"a", 0}, {"b", 30 * s}, {"a", 25 * s}, {"b", 30 * s}}, 55 * s},
		"the last word of a former one":   {[]heard{{"a", 0}, {"b", s}, {"a", s}, {"b", s}, {"b", 2 * time.Minute}}, 2 * s},
		"and it is forgotten":             {[]heard{{"a", 0}, {"b", s}, {"a", s}, {"b", s}, {"b", 2 * time.Minute}, {"b", 61 * s}}, -1},
		"by one that does not say either": {[]heard{{"a", 0}, {"b", s}, {"a", s}, {"", 181 * s}}, -1},
		"again later begins anew":         {[]heard{{"a", 0}, {"b", s}, {"a", s}, {"b", 10 * time.Minute}}, 10*time.Minute + 2*s},
		"who does not say does not count": {[]heard{{"a", 0}, {"", s}, {"a", s}, {"", s}}, -1},
	} {
		var turns agent.Turns
		at := began
		for _, h := range tt.heard {
			at = at.Add(h.after)
			turns = turns.Take(h.boot, at)
		}
		switch {
		case tt.since < 0 && turns.Since != nil:
			t.Errorf("%s: two processes since %s, want one", name, turns.Since.Sub(began))
		case tt.since >= 0 && (turns.Since == nil || turns.Since.Sub(began) != tt.since):
			t.Errorf("%s: got %v, want two processes since %s", name, turns.Since, tt.since)
		}
	}
}

func TestTurnsStaySmallAndLeaveTheirArgumentAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC)
		var turns agent.Turns
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "boots") {
			before := fmt.Sprint(turns)
			former := turns
			boot := fmt.Sprint(n)
			at = at.Add(time.Second)
			turns = turns.Take(boot, at)
			if fmt.Sprint(former) != before {
				t.Fatal("the former turns changed")
			}
			if turns.Boots[0] != boot || len(turns.Boots) > agent.KeptBoots || (turns.Since == nil) != (turns.Last == nil) {
				t.Fatalf("got %+v, want %s first, at most %d, and both times or none", turns, boot, agent.KeptBoots)
			}
		}
	})
}
